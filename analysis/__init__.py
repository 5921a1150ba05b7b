"""Reads the results of `desim run`: tables, time to target, speedups and figures.

It reads files only and never imports the simulator.
"""

from desim.analysis.comparison import compare
from desim.analysis.errors import ResultsError
from desim.analysis.figures.base import Drawing, FigureData, ReportFigure
from desim.analysis.fits import load_fit, report_fit
from desim.analysis.horizons import curves
from desim.analysis.report import report
from desim.analysis.results import load, load_labels, load_schema, load_timeline, trials
from desim.analysis.summary import round_times, summary, summary_table
from desim.analysis.targets import bits_to_target, round_targets, target_grid, time_to_target
from desim.analysis.trace import trace
from desim.analysis.tuning import load_candidates, report_tuning
from desim.analysis.web.page import web_report

__all__ = [
    "Drawing",
    "FigureData",
    "ReportFigure",
    "ResultsError",
    "bits_to_target",
    "compare",
    "curves",
    "load",
    "load_candidates",
    "load_fit",
    "load_labels",
    "load_schema",
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
