"""Writes `report.html`: the scenario, the tables, the figures and the timeline in one file."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from desim.analysis.errors import ResultsError
from desim.analysis.files import whole
from desim.analysis.horizons import curves
from desim.analysis.report import report
from desim.analysis.results import scenario, sweep_points, trials, unfinished
from desim.analysis.summary import (
    divergence_lines,
    round_times,
    stall_lines,
    summary,
    summary_cells,
)
from desim.analysis.web.lanes import KINDS, kinds_in, scenes
from desim.analysis.web.phrases import listed
from desim.analysis.web.provenance import provenance
from desim.analysis.web.vector import inlined
from desim.analysis.web.words import methods, sentences

# What each figure shows, in words for those who can't see it; by the beginning of its name.
_FIGURES = {
    "loss-vs-time": (
        "Training loss over simulated time",
        "One curve per method, falling as its mean model learns; bands are the range over seeds.",
    ),
    "loss-gap-vs-rounds": (
        "Distance from the optimal loss over rounds",
        "The training loss less the smallest that there is, one falling curve per method, on "
        "logarithmic axes.",
    ),
    "speedup-vs-target": (
        "Time to target and speedup against the target loss",
        "Above, the simulated time until each training loss is reached; below, how many times "
        "faster than the baseline each method is. The table of times holds some of its points.",
    ),
    "bits-to-target": (
        "Bits to target against the target loss",
        "Bits sent over all links until each training loss is reached, one curve per method.",
    ),
    "who-holds-what": (
        "Who holds what",
        "How many training samples of each class every worker holds, darker for more.",
    ),
    "timeline": (
        "Timeline of a few workers",
        "One lane per worker under each method, and one for its server if it has one, with bars "
        "for computing, sending, waiting and the like. The timeline to zoom, above, shows the same "
        "intervals and more.",
    ),
    "time-share": (
        "Where the workers' time went",
        "One bar per method, divided into computing, sending, waiting and the like; a server's "
        "time is left out.",
    ),
    "speedup-vs-": (
        "Time to target and speedup against",
        "Above, the time to a few target losses; below, the speedup over the baseline, each "
        "against a swept value.",
    ),
    "loss-vs-": (
        "Training loss at one time against",
        "The training loss that each method has reached at that time, against a swept value.",
    ),
    "round-time-vs-": (
        "Time per round against",
        "Simulated time per round of each method against a swept value.",
    ),
}


class Table(NamedTuple):
    """A table in the page; each row says whether it begins another question."""

    title: str
    heads: list[str]
    rows: list[tuple[bool, list[str]]]


class Picture(NamedTuple):
    """A figure in the page."""

    title: str
    svg: Markup


def web_report(
    folder: str | Path, baseline: str | None = None, targets: Sequence[float] | None = None
) -> list[Path]:
    """Writes all that `report` writes, and `report.html` with everything in one page.

    The page loads nothing, from the network or from beside it, and says so to the browser: only
    its own script may run in it.

    Args:
        folder: what `desim run` wrote; `report/` is made in it.
        baseline: label of the algorithm that speedups refer to; None for the scenario's first.
        targets: training losses of the table; None for a few round ones.

    Returns:
        The files written, `report.html` first.

    Raises:
        ResultsError: no results, an unknown baseline, or a page that can't be written.
    """
    root = Path(folder)
    paths = report(root, baseline, targets)
    page = root / "report" / "report.html"
    text = _rendered(root, baseline, targets, paths)
    try:
        with whole(page) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise ResultsError(f"{page}: must be a file that can be written ({error})") from None
    return [page, *paths]


def _rendered(
    root: Path, baseline: str | None, targets: Sequence[float] | None, paths: Sequence[Path]
) -> str:
    loader = PackageLoader("desim.analysis.web", "template")
    # Everything that is put into the page is escaped, unless it is Markup made here.
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )

    def own(name: str) -> Markup:
        return Markup(loader.get_source(environment, name)[0])

    (metrics, finished), described = curves(root), scenario(root)
    script, shown = own("timeline.js"), scenes(root, finished, metrics)
    served = bool(finished["server"].any())
    return environment.get_template("page.html").render(
        name=str(described.get("name", root.name)),
        state=_state(root, trials(root)),
        sentences=sentences(described, served=served),
        methods=methods(described),
        tables=_tables(root, metrics, baseline, targets),
        notes=[*divergence_lines(finished), *stall_lines(trials(root))],
        pictures=_pictures(paths),
        timeline={"kinds": KINDS, "scenes": shown},
        kinds=kinds_in(shown),
        served=served,
        points=len(sweep_points(finished)),
        provenance=provenance(root, finished),
        style=own("page.css"),
        script=script,
        script_hash=_hash(script),
    )


def _hash(script: str) -> str:
    """As a content security policy names the one script that may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _state(root: Path, finished: pd.DataFrame) -> str:
    count = finished["algorithm"].nunique()
    state = f"{len(finished)} finished trials of {count} method{'s' if count > 1 else ''}"
    begun = unfinished(root)
    if begun or not (root / "manifest.json").is_file():
        state += f", {begun} unfinished: the run is not complete, and this page covers a part"
    if not finished["train"].any():
        state += "; the clock alone was run, without training, so there are no losses"
    return f"{state}."


def _tables(
    root: Path, metrics: pd.DataFrame, baseline: str | None, targets: Sequence[float] | None
) -> list[Table]:
    table = summary(root, baseline, targets)
    found = {"Pace of the rounds": summary_cells(round_times(metrics))}
    if "target_loss" in table:
        found = {"Time to target and speedup": summary_cells(table), **found}
    return [_table(title, cells) for title, cells in found.items()]


def _table(title: str, cells: pd.DataFrame) -> Table:
    heads = [str(name) for name in cells.columns]
    asked = cells[heads[: heads.index("algorithm")]]
    begins = (asked != asked.shift()).any(axis=1).tolist()
    return Table(title, heads, list(zip(begins, cells.to_numpy().tolist(), strict=True)))


def _pictures(paths: Sequence[Path]) -> list[Picture]:
    files = [path for path in paths if path.suffix == ".svg"]
    return [_picture(path, f"figure{number}") for number, path in enumerate(files)]


def _picture(path: Path, prefix: str) -> Picture:
    # A name may hold dots, so that its stem is what stands before .svg.
    base, *settings = path.name.removesuffix(".svg").split("--")
    start = next(start for start in _FIGURES if base.startswith(start))
    title, description = _FIGURES[start]
    if start.endswith("-"):
        title = f"{title} {base.removeprefix(start)}"
    if settings:
        title += f", at {listed([setting.replace('=', ' = ') for setting in settings])}"
    # Safe: the XML writer has escaped what the file and the title hold.
    return Picture(title, Markup(inlined(path, prefix, title, description)))
