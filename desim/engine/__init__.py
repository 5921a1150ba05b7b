"""One trial: built, run on the clock, evaluated, stopped."""
