"""What tables, axes, files and messages are made of."""
