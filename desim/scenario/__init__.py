"""The tables of a scenario: read, checked, changed by dotted keys."""
