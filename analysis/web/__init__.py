"""The report as one page for a browser, with nothing to load from anywhere."""
