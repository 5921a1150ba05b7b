"""Stops: what ends a trial, one file each."""
