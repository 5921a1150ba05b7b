"""Reads the results of `desim run`: tables, time to target, speedups and figures.

It reads files only and never imports the simulator.
"""

from analysis.comparison import compare
from analysis.errors import ResultsError
from analysis.figures.fit import report_fit
from analysis.horizons import curves
from analysis.report import report
from analysis.results import load, load_labels, load_timeline, trials
from analysis.summary import round_times, summary, summary_table
from analysis.targets import bits_to_target, round_targets, target_grid, time_to_target
from analysis.trace import trace
from analysis.tuning import load_candidates, report_tuning
from analysis.web.page import web_report

__all__ = [
    "ResultsError",
    "bits_to_target",
    "compare",
    "curves",
    "load",
    "load_candidates",
    "load_labels",
    "load_timeline",
    "report",
    "report_fit",
    "report_tuning",
    "round_targets",
    "round_times",
    "summary",
    "summary_table",
    "target_grid",
    "time_to_target",
    "trace",
    "trials",
    "web_report",
]
