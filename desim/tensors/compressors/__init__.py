"""Compressors: what arrives instead of x, and how many bits it takes; one file each."""
