"""What methods share: none of these is a method."""
