"""Laws of compute speed, one file each."""
