"""The public names of the analysis, loaded when they are first used."""

from .comparison import compare as compare
from .errors import ResultsError as ResultsError
from .figures.base import Drawing as Drawing
from .figures.base import FigureData as FigureData
from .figures.base import ReportFigure as ReportFigure
from .fits import load_fit as load_fit
from .fits import report_fit as report_fit
from .horizons import curves as curves
from .report import report as report
from .results import load as load
from .results import load_labels as load_labels
from .results import load_schema as load_schema
from .results import load_timeline as load_timeline
from .results import trials as trials
from .summary import round_times as round_times
from .summary import summary as summary
from .summary import summary_table as summary_table
from .targets import bits_to_target as bits_to_target
from .targets import round_targets as round_targets
from .targets import target_grid as target_grid
from .targets import time_to_target as time_to_target
from .trace import trace as trace
from .tuning import load_candidates as load_candidates
from .tuning import report_tuning as report_tuning
from .web.page import web_report as web_report
