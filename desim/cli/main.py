"""The command line: parse, call, print."""

import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table as RichTable

from desim.cli import measure, options, progress
from desim.cli.warned import one_line_each
from desim.errors import DesimError, ScenarioError
from desim.schema.own_code import named
from desim.schema.results import COMMANDS
from desim.studies.ending import SIGNALS, Terminated, orderly

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


#: The exit code of a program that Ctrl-C ended, and those of the other ways to stop it.
_INTERRUPTED = 128 + signal.SIGINT
_STOPPED = (_INTERRUPTED, *(128 + one for one in SIGNALS))


def _version(asked: bool) -> None:
    if asked:
        print(f"desim {metadata.version('desim')}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Which decentralized training method reaches the target loss first, on this cluster?"""


class Device(StrEnum):
    """Where tensors live."""

    cpu = "cpu"
    cuda = "cuda"


ResultsDir = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")]
NoTrain = Annotated[bool, typer.Option("--no-train", help="The clock alone: no data, no losses.")]


@app.command()
def run(
    scenario: options.ScenarioName,
    out: Annotated[Path | None, options.out("The results folder.", "results/NAME")] = None,
    set_: options.Values = None,
    seeds: Annotated[str | None, typer.Option(help="Other seeds, such as 0,1,2.")] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Trials at a time.", show_default="all processors")
    ] = None,
    threads: Annotated[int, typer.Option(help="Torch threads per trial.")] = 1,
    device: Annotated[Device, typer.Option(help="Where tensors live.")] = Device.cpu,
    no_train: NoTrain = False,
    strict: options.Strict = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Run a scenario; trials that are finished in the results folder are kept."""
    from desim.studies import study

    console = _console(quiet=quiet)
    with progress.shown(console) as show:
        folder = study.run(
            scenario,
            out,
            values=options.values(set_),
            seeds=options.whole_numbers("--seeds", seeds, "0,1,2"),
            jobs=jobs,
            threads=threads,
            device=device.value,
            train=not no_train,
            strict=strict,
            progress=show,
        )
    _report(folder, console)


@app.command()
def tune(
    scenario: options.ScenarioName,
    out: Annotated[Path | None, options.out("The results folder.", "results/NAME-tuning")] = None,
    set_: options.Values = None,
    seeds: Annotated[str | None, typer.Option(help="Other seeds, such as 0,1,2.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="[METRIC=]VALUE",
            help="Least time to this training loss, or value of another metric.",
        ),
    ] = None,
    at: Annotated[
        float | None,
        typer.Option(metavar="TIME_S", help="Best training loss, or metric, at this time."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(help="The metric.", show_default="the scenario's target's, or train-loss"),
    ] = None,
    deadline: Annotated[
        bool, typer.Option("--deadline", help="Search T_d, and compare it with b / E[V].")
    ] = False,
    range_: Annotated[
        str | None,
        typer.Option(
            "--range",
            metavar="LOW,HIGH",
            help="Ends of the grid.",
            show_default="a factor 16 (T_d: 4) around the scenario's",
        ),
    ] = None,
    grid: Annotated[int, typer.Option(help="Candidates on the grid, per method.")] = 5,
    refine: Annotated[int, typer.Option(help="More on each side of the best of them.")] = 3,
    epsilon: Annotated[
        str | None, typer.Option(help="Consensus steps to cross with the grid, such as 0.5,1.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes at a time.", show_default="all processors")
    ] = None,
    threads: Annotated[int, typer.Option(help="Torch threads per process.")] = 1,
    device: Annotated[Device, typer.Option(help="Where tensors live.")] = Device.cpu,
    strict: options.Strict = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Find each method's best step size, or deadline; as many candidates for every method."""
    from desim.cli.tuning_table import print_tuning
    from desim.schema.results import column_name
    from desim.tuning.grid import Grid
    from desim.tuning.search import prepare_search
    from desim.tuning.tune import execute

    console = _console(quiet=quiet)
    low, high = options.numbers("--range", range_, "0.01,10", 2) or (None, None)
    aimed, values = options.targets("--target", target)
    if len(values) > 1:
        raise ScenarioError(f"--target = {target!r}: must be one value")
    if aimed and metric and column_name(aimed) != column_name(metric):
        raise ScenarioError(f"--target = {target!r}, --metric = {metric!r}: name one metric")
    planned = prepare_search(
        scenario,
        values=options.values(set_),
        seeds=options.whole_numbers("--seeds", seeds, "0,1,2"),
        target=values[0] if values else None,
        at=at,
        metric=aimed or metric,
        grid=Grid(grid, refine, low, high),
        epsilons=options.numbers("--epsilon", epsilon, "0.5,1"),
        deadline=deadline,
    )
    console.print(str(planned), soft_wrap=True)
    with progress.shown(console) as show:
        tuning = execute(
            planned,
            out,
            jobs=jobs,
            threads=threads,
            device=device.value,
            strict=strict,
            progress=show,
        )
    print_tuning(tuning, deadline, console)


@app.command()
def check(
    scenario: options.ScenarioName, set_: options.Values = None, no_train: NoTrain = False
) -> None:
    """Validate a scenario and print what it amounts to; nothing is written."""
    from desim.cli.printing import print_plan
    from desim.scenario.scenario import prepared
    from desim.studies.plan import plan

    print_plan(
        plan(prepared(scenario, options.values(set_), None), train=not no_train),
        Console(emoji=False),
    )


@app.command()
def report(
    folder: ResultsDir,
    html: Annotated[
        bool, typer.Option("--html", help="Also write report/report.html: all in one page.")
    ] = False,
    metric: Annotated[
        str | None,
        typer.Option(
            help="What it is about, such as test-accuracy.",
            show_default="the metric of the scenario's target, or train-loss",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="[METRIC=]VALUE,...",
            help="Targets of the table.",
            show_default="a few round ones",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(metavar="LABEL", help="What speedups refer to.", show_default="the first"),
    ] = None,
    figure: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:CLASS", help="A figure of your own to draw too; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, options.out("Where to write.", "report/ in the folder", "DIR")
    ] = None,
) -> None:
    """Draw the figures of a results folder again and print its table."""
    aimed, targets = options.targets("--target", target)
    if aimed and metric and aimed != metric:
        raise ScenarioError(f"--target = {target!r}, --metric = {metric!r}: name one metric")
    about = {"baseline": baseline, "targets": targets or None, "metric": aimed or metric}
    from desim import analysis  # which takes a second to import

    kind = analysis.load_schema(folder, None).kind
    if kind == "run":
        _report(folder, _console(), html=html, figures=figure or (), out=out, **about)
        return
    if html or any(about.values()):
        raise ScenarioError(
            f"{folder}: holds what `desim {COMMANDS[kind]}` wrote, of which there is no --html, "
            "--metric, --target or --baseline"
        )
    draw = analysis.report_tuning if kind == "tuning" else analysis.report_fit
    drawn = draw(folder, figures=figure or (), out=out)[0]
    _console().print(f"figure: {drawn}", soft_wrap=True)


@app.command()
def trace(
    folder: ResultsDir,
    trial: Annotated[str, typer.Option(help="A trial's name: its folder below trials/.")],
    out: Annotated[
        Path | None,
        options.out("The file; packed if it ends in .gz.", "DIR/report/trace-TRIAL.json.gz"),
    ] = None,
) -> None:
    """Write a trial's timeline for ui.perfetto.dev or chrome://tracing."""
    from desim import analysis

    path = analysis.trace(folder, trial, out)
    _console().print(f"trace: {path}", soft_wrap=True)


@app.command("list")
def list_(
    axis: Annotated[str | None, typer.Argument(help="algorithms, compressors, ...")] = None,
) -> None:
    """List what scenarios can be made of, with a line of help each."""
    from desim.scenario.catalogue import lists

    console = _console()
    for name, lines in lists(axis).items():
        table = RichTable(title=name, title_justify="left", show_header=False, box=None)
        table.add_column(no_wrap=True, min_width=max(map(len, lines)))
        table.add_column()
        for key, line in lines.items():
            table.add_row(key, line)
        console.print(table)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A kind, such as quantimed-dsgd; a table; or a profile.")
    ],
) -> None:
    """Show a member's fields with their defaults and where it comes from."""
    from desim.cli.printing import print_member, print_profile
    from desim.scenario.catalogue import entries

    for where, entry in entries(name):
        if isinstance(entry, Path):
            print_profile(where, name, entry)
        else:
            print_member(where, name, entry)


app.command()(measure.fit)
app.command()(measure.calibrate)


def main() -> None:
    """Runs the command line; errors on purpose are one line each and exit code 2."""
    try:
        with orderly(), one_line_each():
            code = named(app)(standalone_mode=False)
    except DesimError as error:
        _fail(str(error))
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except Terminated as ended:
        code = ended.code
        _flush()
    except BrokenPipeError:  # the reader of our output has gone
        progress.silence()
        code = 0
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        _fail(message())
    if code in _STOPPED:  # Ctrl-C: some versions of typer return it, others raise
        with suppress(OSError):  # the terminal may be what has gone
            print("desim: interrupted; the same command goes on where it stopped", file=sys.stderr)
    sys.exit(code)


def _flush() -> None:
    """Writes what is still to be printed, unless there is nobody any more: that is no error."""
    try:
        sys.stdout.flush()
    except OSError:
        progress.silence()


def _fail(text: str) -> NoReturn:
    for line in text.splitlines():
        print(f"desim: {line}", file=sys.stderr)
    sys.exit(2)


def _report(
    folder: Path,
    console: Console,
    *,
    html: bool = False,
    figures: Sequence[str] = (),
    out: Path | None = None,
    **about: Any,
) -> None:
    """Writes the report and prints its table; `about` says of what, as the analysis takes it."""
    from desim import analysis

    write = analysis.web_report if html else analysis.report
    console.print(analysis.summary_table(analysis.summary(folder, **about)))
    paths = write(folder, **about, figures=figures, out=out)
    console.print(f"results: {folder}, figures: {paths[0].parent}")
    if html:
        console.print(f"page: {paths[0]}")


def _console(*, quiet: bool = False) -> Console:
    """One that prints texts as they are: labels and paths are no markup."""
    return Console(quiet=quiet, markup=False, emoji=False)
