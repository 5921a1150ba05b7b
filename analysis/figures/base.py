"""What a figure of the report is, and what it is drawn from.

pandas and matplotlib are loaded when something is drawn, so that figures can be listed, and named
in a scenario, without.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field

from desim.analysis.metrics import measured
from desim.schema.registry import Member, Table
from desim.schema.results import COMMANDS, Column, FolderKind, ResultsSchema

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from desim.analysis.style import LineStyle

#: Once for each point of the sweep, as long as they are few; once for each swept number, at each
#: point of the other keys; or once.
Per = Literal["point", "key", "folder"]


@dataclass(frozen=True)
class FigureData:
    """What a figure is drawn from: the results of a run, or of one point of its sweep.

    Attributes:
        root: the results folder.
        schema: its metrics and the keys of its sweep.
        scenario: what was run, as resolved.
        metric: the one that the report is about.
        metrics: from `curves`, a row per evaluation; empty for a search or a fit.
        trials: from `curves`, a row per trial; empty for a search or a fit.
        styles: how each algorithm is drawn, by its label.
        baseline: the label of the algorithm that speedups refer to.
        targets: a few round values of the metric that were reached somewhere in the sweep.
        key: the swept number on the x axis of a figure per key; empty for others.
    """

    root: Path
    schema: ResultsSchema
    scenario: Mapping[str, Any]
    metric: Column
    metrics: pd.DataFrame
    trials: pd.DataFrame
    styles: Mapping[str, LineStyle]
    baseline: str
    targets: tuple[float, ...] = ()
    key: str = ""

    def measured(self, column: Column | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows of `metrics` and `trials` that a metric was measured of; without training, few.

        Args:
            column: the metric; None for the one that the report is about.
        """
        rows = measured(self.metrics, self.trials, column or self.metric)
        return rows, self.trials[self.trials["trial"].isin(rows["trial"])]

    @cached_property
    def comparison(self) -> pd.DataFrame | None:
        """From `compare`, on a fine grid of targets; None where there is nothing to compare."""
        from desim.analysis.comparison import compare
        from desim.analysis.targets import target_grid

        (rows, _), name = self.measured(), self.metric.name
        if self.metric.good is None or self.baseline not in set(rows["algorithm"]):
            return None
        if not len(target_grid(rows, self.schema, name)):
            return None
        return compare(rows, self.schema, metric=name, baseline=self.baseline)


class Drawing(NamedTuple):
    """A figure, drawn.

    Attributes:
        name: of its files, report/NAME.png and report/NAME.svg; the point of the sweep is added.
        figure: matplotlib's.
        title: stands over it; left out, the class's.
        description: what it shows, for those who can't see it; left out, the class's.
    """

    name: str
    figure: Figure
    title: str = ""
    description: str = ""


class ReportFigure(Member):
    """Something that is drawn from a results folder: in the report, its index and the page.

    Class attributes:
        title: stands over it.
        description: what it shows, in words, for those who can't see it.
        order: its place among those of the same `per`; figures of your own come last.
        per: how often it is drawn: "point" (of the sweep), "key" (a swept number) or "folder".
        of: the kind of results folder that it is drawn from: "run", "tuning" or "fit".
    """

    axis: ClassVar[str] = "figures"
    title: ClassVar[str] = ""
    description: ClassVar[str] = ""
    order: ClassVar[int] = 100
    per: ClassVar[Per] = "point"
    of: ClassVar[FolderKind] = "run"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, allowed in (("per", get_args(Per)), ("of", get_args(FolderKind))):
            if getattr(cls, name) not in allowed:
                rule = ", ".join(map(repr, allowed))
                raise TypeError(f"{cls.__name__}.{name} = {getattr(cls, name)!r}: one of {rule}")
        if not isinstance(cls.order, int):
            raise TypeError(f"{cls.__name__}.order = {cls.order!r}: must be a whole number")
        if cls.of != "run" and cls.per != "folder":
            raise TypeError(
                f"{cls.__name__}.per = {cls.per!r}: what `desim {COMMANDS[cls.of]}` wrote has no "
                "points of a sweep; must be 'folder'"
            )

    @abstractmethod
    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """Yields what there is to draw: one figure, several, or none where it has nothing to show.

        It is called in the report's style; `desim.analysis.style` has what all figures share, such
        as `new_figure` and `legend_above`.
        """


class Report(Table):
    """What the report draws besides the figures that come with desim.

    Attributes:
        figures: figures of your own, such as ["my_module:MyFigure"].
    """

    figures: Annotated[tuple[ReportFigure, ...], Field(strict=False)] = ()
