"""Measurements of real machines: straggler laws and hardware profiles made of them."""
