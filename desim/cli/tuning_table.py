"""What `desim tune` prints."""

from math import isfinite, nan

from rich.console import Console
from rich.table import Table as RichTable

from desim import analysis
from desim.tuning.tune import Tuning


def print_tuning(tuning: Tuning, deadline: bool, console: Console) -> None:
    """Prints the best of each method, what is to be known about it, and draws the figure.

    The console takes texts as they are, without markup.
    """

    best_of, own = ("T_d [s]", "b / E[V] [s]") if deadline else ("best", "scenario's")
    objective = tuning.objective
    timed = objective.target is not None
    unit = " s" if timed else f" {objective.column.unit}".rstrip()
    what = "time to target" if timed else objective.column.title
    table = RichTable(title=str(objective), title_justify="left", box=None)
    table.add_column("method", overflow="fold")
    for column in (best_of, what, own, what, "lost by it"):
        table.add_column(column, justify="right")
    for method in tuning.methods:
        name = "" if deadline else f"{method.parameter} = "
        epsilon = "" if method.epsilon is None else f", epsilon = {method.epsilon:g}"
        cost, before = method.score.cost, method.own_score
        table.add_row(
            method.label,
            f"{name}{method.value:.4g}{epsilon}",
            _score_cell(objective.shown(cost), unit),
            f"{method.own:.4g}",
            "not tried" if before is None else _score_cell(objective.shown(before.cost), unit),
            _loss_cell(cost, before.cost if before else nan, timed),
        )
    console.print(table)
    for method in tuning.methods:
        if method.note:
            console.print(f" {method.label}: {method.note}", soft_wrap=True)
    figures = analysis.report_tuning(tuning.folder)
    console.print(
        f"scenario: {tuning.folder / 'tuned.toml'!s}, figure: {figures[0]!s}",
        soft_wrap=True,
    )


def _score_cell(score: float, unit: str) -> str:
    return f"{score:.4g}{unit}" if isfinite(score) else "failed"


def _loss_cell(best: float, own: float, timed: bool) -> str:
    """What is lost by the scenario's own number: a share of the best time, or of the metric."""
    if not (isfinite(best) and isfinite(own)):
        return "-"
    return f"{own / best - 1:.0%}" if timed else f"{own - best:.3g}"
