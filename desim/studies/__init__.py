"""From a scenario to its results: trials, run in processes, written to a folder."""
