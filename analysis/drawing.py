"""Draws the figures of a results folder, those that come with desim and those of one's own."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from pydantic import ValidationError

from desim.analysis import style
from desim.analysis.errors import ResultsError
from desim.analysis.figures.base import Drawing, FigureData, Per, Report, ReportFigure
from desim.analysis.files import writing
from desim.analysis.results import at_point, sweep_keys, sweep_points
from desim.schema.explain import explain
from desim.schema.own_code import reason
from desim.schema.phrases import short
from desim.schema.registry import members
from desim.schema.results import COMMANDS, FolderKind

#: Figures of single points are drawn for so many points of a sweep at most.
MOST_POINTS = 4


@dataclass(frozen=True)
class Picture:
    """A figure that was written.

    Attributes:
        title: stands over it.
        description: what it shows, for those who can't see it.
        png, svg: its files.
    """

    title: str
    description: str
    png: Path
    svg: Path


def figures_of(
    kind: FolderKind, scenario: Mapping[str, Any], asked: Sequence[object] = ()
) -> list[ReportFigure]:
    """The figures of a kind of results folder, in their order.

    Args:
        kind: of the folder.
        scenario: of the folder, whose table [report] may name some.
        asked: further ones: figures, their tables, or "package.module:Class".

    Raises:
        ResultsError: one that can't be used.
    """
    bundled = [cls() for cls in members("figures").values() if issubclass(cls, ReportFigure)]
    own = _read({"figures": list(asked)}, "")
    for one in own:
        if one.of != kind:
            raise ResultsError(
                f"figure {_name(one)}: is of what `desim {COMMANDS[one.of]}` writes, and this is "
                f"what `desim {COMMANDS[kind]}` wrote"
            )
    own += _read(scenario.get("report", {}), "report")
    found: list[ReportFigure] = []
    for one in [*bundled, *own]:
        if one.of == kind and one not in found:
            found.append(one)
    return sorted(found, key=lambda one: one.order)


def _read(table: object, prefix: str) -> list[ReportFigure]:
    try:
        return list(Report.model_validate(table).figures)
    except ValidationError as error:
        raise ResultsError("\n".join(explain(error, Report, prefix))) from None


def draw(figures: Sequence[ReportFigure], data: FigureData, home: Path) -> list[Picture]:
    """Draws and writes figures, as often as each is to be drawn.

    Args:
        figures: from `figures_of`.
        data: all that there is; each figure gets its part.
        home: the folder to write to, which exists.

    Raises:
        ResultsError: one line: a figure of one's own raised an error or gave no figure, or the
            folder can't be written.
    """
    written: dict[str, Picture] = {}
    with style.applied():
        for per, part, point in _parts(data):
            for figure in figures:
                for drawing in _drawings(figure, part) if figure.per == per else ():
                    name = _slug(drawing.name) + _suffix(point)
                    if name in written:
                        raise ResultsError(
                            f"figure {_name(figure)}: names its file {name!r}, as another figure "
                            "does; choose another name"
                        )
                    written[name] = _write(figure, drawing, point, home / name)
    return list(written.values())


def points_left_out(data: FigureData) -> str:
    """A sentence where the sweep has too many points for figures of each; else nothing."""
    count = len(sweep_points(data.trials, sweep_keys(data.trials, data.schema)))
    if count <= MOST_POINTS:
        return ""
    return (
        f"The sweep has {count} points; figures of single points are drawn for up to {MOST_POINTS}."
    )


def _parts(data: FigureData) -> Iterator[tuple[Per, FigureData, Mapping[str, Any]]]:
    keys = sweep_keys(data.trials, data.schema)
    points = sweep_points(data.trials, keys)
    if len(points) <= MOST_POINTS and len(data.trials):
        for point in points:
            yield "point", _at(data, point), point
    for key in keys:
        if not pd.api.types.is_numeric_dtype(data.trials[key]) or data.trials[key].nunique() < 2:
            continue
        for point in sweep_points(data.trials, [other for other in keys if other != key]):
            yield "key", replace(_at(data, point), key=key), point
    yield "folder", data, {}


def _at(data: FigureData, point: Mapping[str, Any]) -> FigureData:
    metrics, trials = at_point(data.metrics, point), at_point(data.trials, point)
    return replace(data, metrics=metrics, trials=trials)


def _write(figure: ReportFigure, drawing: Drawing, point: Mapping[str, Any], file: Path) -> Picture:
    """Writes both files of a drawing, whose names get their endings."""
    settings = ", ".join(f"{key} = {_text(value)}" for key, value in point.items())
    title = drawing.title or figure.title or drawing.name.replace("-", " ").capitalize()
    try:
        with writing(file.parent):
            png, svg = style.save(drawing.figure, file.parent, file.name)
    except ResultsError:
        raise
    except Exception as error:  # what was put into a figure may fail only now
        raise _refused(figure, error) from None
    shown = f"{title}, at {settings}" if settings else title
    return Picture(shown, drawing.description or figure.description, png, svg)


def _suffix(point: Mapping[str, Any]) -> str:
    return "".join(f"--{_slug(key)}={_slug(_text(value))}" for key, value in point.items())


def _drawings(figure: ReportFigure, data: FigureData) -> list[Drawing]:
    try:
        made: object = figure.draw(data)
        if isinstance(made, Drawing) or not isinstance(made, Iterable):
            made = [made]
        given = list(made)
    except Exception as error:  # whatever the user's code does
        raise _refused(figure, error) from None
    drawings = []
    for one in given:
        if not (isinstance(one, Drawing) and isinstance(one.figure, Figure) and _named(one)):
            raise ResultsError(
                f"figure {_name(figure)}: gave {short(one)}; draw must yield "
                "desim.Drawing(name, figure): a name for its files, and a figure of matplotlib's"
            )
        drawings.append(one)
    return drawings


def _named(drawing: Drawing) -> bool:
    return isinstance(drawing.name, str) and _slug(drawing.name).strip(".-") != ""


def _refused(figure: ReportFigure, error: Exception) -> Exception:
    """An error in a figure of one's own as one line; in desim's own it stays what it is."""
    if ":" not in _name(figure):
        return error
    return ResultsError(f"figure {_name(figure)}: raised {reason(error)}")


def _name(figure: ReportFigure) -> str:
    return str(figure.table()["kind"])


def _text(value: Any) -> str:
    """A number without needless zeros, but all the digits that tell it from another."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text)
