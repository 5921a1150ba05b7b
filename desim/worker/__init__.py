"""What a method sees of the worker that it runs on, and the simulated worker."""
