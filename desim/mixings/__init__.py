"""Mixing matrices W on a graph, one file each."""
