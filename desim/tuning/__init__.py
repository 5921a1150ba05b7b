"""The search for step sizes and deadlines: what `desim tune` does."""
