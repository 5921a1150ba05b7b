"""Metrics: what an evaluation measures, one file each."""
