"""The commands that start from measurements: `desim fit` and `desim calibrate`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from desim.cli import options

if TYPE_CHECKING:
    from desim.measuring.calibration import Calibration
    from desim.measuring.fitting import Fit

#: A best law whose distance from the steps is larger, and no chance, fits none of them well.
_FAR, _UNLIKELY = 0.1, 0.01

#: A machine whose mean step takes so many medians was doing something else as well.
_BUSY = 1.15

#: A line through batch sizes that is so far off at one of them isn't what the model does.
_CROOKED = 0.15


def fit(
    trace: Annotated[
        Path, typer.Argument(metavar="TRACE", help="CSV or parquet: seconds; also batch, worker.")
    ],
    batch: Annotated[
        int, typer.Option(help="Samples of each gradient, where TRACE has no column batch.")
    ] = 1,
    out: Annotated[Path | None, options.out("The results folder.", "results/fit-NAME")] = None,
    law: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:CLASS", help="A law of your own to fit too; repeatable."),
    ] = None,
) -> None:
    """Fit straggler laws to measured step times, and give the line to paste."""
    from desim.measuring import fit_files
    from desim.measuring.fitting import fit as fitted
    from desim.measuring.fitting import law_named

    found = fitted(trace, batch=batch, laws=[law_named(path) for path in law or ()])
    folder = out or fit_files.default_folder(trace)
    fit_files.claim(folder)
    fit_files.write(found, folder)
    from desim import analysis

    figure = analysis.report_fit(folder)[1]
    _print_fit(found, Console(emoji=False))
    plain = Console(soft_wrap=True, highlight=False, emoji=False)
    if note := fit_files.worker_note(found):
        plain.print(escape(f"workers: {note}"))
    if found.best.ks_p < _UNLIKELY and found.best.ks > _FAR:
        plain.print(
            f"None of the laws fits well; the best is {found.best.ks:.2f} off. stragglers = "
            '{kind = "trace", ...} takes speeds as they were measured (desim show trace).'
        )
    plain.print("\n[bold]\\[cluster][/bold]")
    plain.print(escape(fit_files.stragglers_line(found.best)))
    if found.persistent:
        plain.print("or, each worker at a speed of its own:")
        plain.print(escape(fit_files.stragglers_line(found.persistent, persistent=True)))
    toml = folder / "stragglers.toml"
    plain.print(f"\nlaws: {escape(str(toml))}, figure: {escape(str(figure))}")


def _print_fit(found: "Fit", console: Console) -> None:
    x = found.measured.slowdowns
    title = f"{found.measured.file}: {len(x):,} steps, mean {x.mean():.4g} s per sample"
    table = RichTable(title=escape(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("law", overflow="fold")
    for column in ("k", "ln L", "AIC", "+BIC", "KS", "p", "mean"):
        table.add_column(column, justify="right", no_wrap=True)
    for law in found.laws:
        table.add_row(
            "\n ".join(
                [f"[bold]{escape(law.kind)}[/bold]", *map(escape, _parameters(law.table()))]
            ),
            str(law.parameters),
            f"{law.log_likelihood:.1f}",
            f"{law.aic:.1f}",
            f"{law.bic - found.best.bic:.1f}",
            f"{law.ks:.3f}",
            f"{law.ks_p:.2g}" if law.ks_p >= 1e-3 else "<.001",
            f"{law.mean / float(x.mean()):.3f}",
        )
    console.print(table)
    laws = sorted(found.laws, key=lambda law: law.place)
    ends = dict.fromkeys(end for law in laws for end in law.model.ends)
    console.print(
        "AIC = 2 k - 2 ln L and BIC = k ln n - 2 ln L charge for the k parameters, since more of "
        "them gain likelihood\nin any case. +BIC: over the best one's; ends of the support "
        f"({', '.join(ends)}) count twice.\np is optimistic, as the parameters were fitted to the "
        "same steps. mean: the law's over the measured one.",
        soft_wrap=True,
        highlight=False,
    )


def _parameters(table: dict[str, Any]) -> list[str]:
    """A law's parameters on one line, those of a mixture on one a part, with its share."""
    if table["kind"] == "mixture":
        total = sum(table["weights"])
        parts = zip(table["weights"], table["models"], strict=True)
        return [f"{w / total:.3g}: {line}" for w, part in parts for line in _parameters(part)]
    return [", ".join(f"{key} {_short(value)}" for key, value in table.items() if key != "kind")]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def calibrate(
    scenario: options.ScenarioName,
    set_: options.Values = None,
    batches: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Batch sizes to time.",
            show_default="around those of the algorithms",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(help="Timed steps of each batch size.", show_default="what --seconds allows"),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long to measure.")] = 10.0,
    threads: Annotated[int, typer.Option(help="Torch threads.")] = 1,
    out: Annotated[
        Path | None, options.out("The profile, a new file.", "results/hardware-NAME.toml")
    ] = None,
) -> None:
    """Time the scenario's model on this machine and write a hardware profile."""
    from desim.measuring import profile_file
    from desim.measuring.calibration import calibrate as calibrated
    from desim.scenario.scenario import prepared
    from desim.schema.toml_lines import inline
    from desim.studies.buildable import check_counts
    from desim.studies.study import torch_threads

    check_counts(threads=threads)
    sizes = options.whole_numbers("--batches", batches, "1,8,64")
    chosen = prepared(scenario, options.values(set_), None)
    file = out or Path("results") / f"hardware-{chosen.name.replace('/', '-')}.toml"
    profile_file.check_new(file)
    used = [
        value
        for algorithm in chosen.algorithms
        for key in ("batch", "expected_batch")
        if isinstance(value := getattr(algorithm, key, None), int | float)
    ]
    with torch_threads(threads):
        found = calibrated(
            chosen.problem,
            sizes,
            used=used,
            repeats=repeats,
            seconds=seconds,
            seed=chosen.seeds[0],
        )
    problem = chosen.problem.table()
    origin = profile_file.origin_here(
        model=inline(problem["model"]),
        dataset=inline(problem["dataset"]),
        command=shlex.join(["desim", *sys.argv[1:]]),
    )
    profile_file.write(profile_file.profile(found, origin), file)
    _print_calibration(found, Console(emoji=False))
    plain = Console(soft_wrap=True, highlight=False, emoji=False)
    line = f"hardware = {inline({'file': str(file.resolve())})}"
    plain.print(f"\n[bold]\\[cluster][/bold]\n{escape(line)}")


def _print_calibration(found: "Calibration", console: Console) -> None:
    title = f"{found.parameters:,} parameters, {found.threads} torch thread(s)"
    table = RichTable(title=title, title_justify="left", box=None)
    for column in ("batch", "steps", "median [ms]", "fitted [ms]", "error"):
        table.add_column(escape(column), justify="right")
    for row, error in zip(found.timed, found.errors(), strict=True):
        table.add_row(
            f"{row.batch:,}",
            f"{len(row.seconds):,}",
            f"{1e3 * row.median_s:.4g}",
            f"{1e3 * found.median_s(row.batch):.4g}",
            f"{error:+.1%}",
        )
    console.print(table)
    lines = [
        f" overhead_s = {found.overhead_s:.4g}, speed_sps = {found.speed_sps:.4g}; both of a mean "
        f"step, {found.mean_factor:.3f} medians",
        f" spread of ln(seconds): {found.sigma:.3g}",
    ]
    worst = max(found.errors(), key=abs)
    if abs(worst) > _CROOKED:
        lines.append(
            f" The time is no straight line in the batch ({worst:+.0%} at one of them): give "
            "--batches near those that you simulate."
        )
    if found.mean_factor > _BUSY:
        lines.append(
            " The machine was busy with other programs, and the profile says so: if that isn't "
            "meant, measure again when it is idle."
        )
    console.print("\n".join(lines), soft_wrap=True, highlight=False)
