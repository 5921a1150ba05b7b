"""Per-sample losses, one file each."""
