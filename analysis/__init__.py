"""Reads the results of `desim run`: tables, time to target, speedups and figures.

It reads files only and never imports the simulator.
"""

from analysis.comparison import compare
from analysis.errors import ResultsError
from analysis.report import report
from analysis.results import load, load_timeline, trials
from analysis.summary import round_times, summary, summary_table
from analysis.targets import bits_to_target, round_targets, target_grid, time_to_target
from analysis.tuning import load_candidates, report_tuning

__all__ = [
    "ResultsError",
    "bits_to_target",
    "compare",
    "load",
    "load_candidates",
    "load_timeline",
    "report",
    "report_tuning",
    "round_targets",
    "round_times",
    "summary",
    "summary_table",
    "target_grid",
    "time_to_target",
    "trials",
]
