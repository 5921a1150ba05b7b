"""Training methods, one file each, written as one worker sees them."""
