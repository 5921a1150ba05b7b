"""The figures, one file each; every function takes tables and returns a matplotlib Figure."""
