"""The tensors: gradients, compression, mixing. They never look at the time."""
