"""Partitions: which worker holds which samples; one file each."""
