"""Straggler models, one file each."""
