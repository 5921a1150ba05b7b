"""Graphs over the workers, one file each."""
