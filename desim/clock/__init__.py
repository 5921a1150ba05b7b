"""The clock: who computes when, which message arrives when. It never looks inside a tensor."""
