"""Step sizes, one file each."""
