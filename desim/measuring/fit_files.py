"""What `desim fit` writes.

DIR/results.json        which kind of folder it is
DIR/fit.parquet         one row per law, the best first
DIR/slowdowns.parquet   seconds_per_sample, batch and, where the file has it, worker
DIR/curves.parquet      every law's density and tail
DIR/stragglers.toml     the table to paste for the best law; the others as comments
DIR/fit.svg, fit.png    the figure, which the analysis draws from these tables
"""

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from desim.errors import ResultsError
from desim.measuring.fitting import Fit, FittedLaw, distribution
from desim.schema.results import ResultsSchema
from desim.schema.toml_lines import comment, inline

if TYPE_CHECKING:
    import pyarrow as pa

_TABLE = "fit.parquet"

#: Curves have so many points, and go beyond the measured times by this power of their range.
_POINTS, _MARGIN = 800, 0.08


def default_folder(trace: str | Path) -> Path:
    """results/fit-NAME for a trace NAME.csv."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(trace).stem).strip("-.")
    return Path("results") / f"fit-{name or 'trace'}"


def claim(folder: Path) -> None:
    """Makes the folder; it may hold an earlier fit, which is then replaced.

    Raises:
        ResultsError: it holds other files, or can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not _holds_a_fit(folder):
            raise ResultsError(
                f"--out = {folder}: must be empty or hold an earlier fit, and it holds other "
                "files; choose another folder"
            )
    except OSError as error:
        raise _refused(folder, error) from None


def _holds_a_fit(folder: Path) -> bool:
    try:
        return ResultsSchema.read(folder).kind == "fit"
    except ValueError:
        return False


def write(fit: Fit, folder: Path) -> None:
    """Writes all but the figure into a folder that was claimed.

    Raises:
        ResultsError: it can't be written.
        ScenarioError: a law's curve can't be a distribution's.
    """
    import pyarrow as pa

    measured = fit.measured
    columns = {"seconds_per_sample": measured.slowdowns, "batch": measured.batches}
    if len(measured.workers):
        columns["worker"] = measured.workers
    try:
        ResultsSchema("fit").write(folder)
        _put(folder / "slowdowns.parquet", pa.table(columns))
        _put(folder / "curves.parquet", curve_table(fit))
        _put(folder / _TABLE, law_table(fit))
        (folder / "stragglers.toml").write_text(toml(fit), encoding="utf-8")
    except OSError as error:
        raise _refused(folder, error) from None


def law_table(fit: Fit) -> "pa.Table":
    """The laws, one row each, the best first.

    Columns `law` (its kind), `place` (among the laws that were tried, so that a law has the same
    colour in every figure), `parameters` (their number), `log_likelihood, aic, bic, ks, ks_p,
    mean_s, sample_mean_s` (seconds per sample), and `table` (the scenario's table as JSON).
    """
    import pyarrow as pa

    sample_mean_s = float(fit.measured.slowdowns.mean())
    return pa.Table.from_pylist(
        [
            {
                "law": law.kind,
                "place": law.place,
                "parameters": law.parameters,
                "log_likelihood": law.log_likelihood,
                "aic": law.aic,
                "bic": law.bic,
                "ks": law.ks,
                "ks_p": law.ks_p,
                "mean_s": law.mean,
                "sample_mean_s": sample_mean_s,
                "table": json.dumps(law.table()),
            }
            for law in fit.laws
        ]
    )


def curve_table(fit: Fit) -> "pa.Table":
    """What the laws say of times x from a little below the shortest to a little above the longest.

    Columns `law`, `seconds_per_sample` (x, evenly on a logarithmic axis), `density` (1/s) and
    `tail`, P(1/V > x).
    """
    import pyarrow as pa

    low, high = float(fit.measured.slowdowns.min()), float(fit.measured.slowdowns.max())
    margin = (high / low) ** _MARGIN
    x = np.geomspace(low / margin, high * margin, _POINTS)
    found = []
    for law in fit.laws:
        log_density, cdf = distribution(law.model, x)
        columns = {"seconds_per_sample": x, "density": np.exp(log_density), "tail": 1 - cdf}
        found.append(pa.table({"law": [law.kind] * len(x), **columns}))
    return pa.concat_tables(found)


def stragglers_line(law: FittedLaw, *, persistent: bool = False) -> str:
    """The line to paste under [cluster], or into a table of hardware."""
    table = law.table() | ({"persistent": True} if persistent else {})
    return f"stragglers = {inline(table)}"


def toml(fit: Fit) -> str:
    """A [cluster] with the best law, and the others as comments, in the order of BIC."""
    measured, best = fit.measured, fit.best
    low, high = measured.batches.min(), measured.batches.max()
    batches = f"{low}" if low == high else f"{low} to {high}"
    about = (
        f"Straggler laws fitted by `desim fit` to {measured.file}: {len(measured.slowdowns)} rows, "
        f"{batches} samples a gradient.\n"
        "1/V is in seconds per sample: for a cluster without hardware, or with speed_sps = 1.\n\n"
        f"{_figures(best, best)}"
    )
    parts = [comment(about), "[cluster]", stragglers_line(best)]
    if fit.persistent:
        line = stragglers_line(fit.persistent, persistent=True)
        parts.append(comment(f"{worker_note(fit)}\n{line}"))
    for law in fit.laws[1:]:
        parts.append("\n" + comment(f"{_figures(law, best)}\n{stragglers_line(law)}"))
    return "\n".join(parts) + "\n"


def worker_note(fit: Fit) -> str | None:
    """What the workers' differences amount to, on one line; None where there is one worker only."""
    count = len(set(fit.measured.workers.tolist()))
    if count < 2:
        return None
    if fit.between_workers is None:
        return f"{count} workers with one step each: whether workers or steps differ can't be told"
    share = f"{fit.between_workers:.0%} of the variance of ln(seconds per sample) is between the "
    if fit.persistent:
        return f"{share}{count} workers, not between their steps: use persistent = true"
    return f"{share}{count} workers: most is between steps, a draw per step (the default) fits"


def _figures(law: FittedLaw, best: FittedLaw) -> str:
    worse = f", {law.bic - best.bic:.4g} more than the best" if law is not best else ""
    return (
        f"{law.kind}: BIC {law.bic:.6g}{worse}; KS distance {law.ks:.3g}; mean {law.mean:.6g} s "
        "per sample"
    )


def _put(file: Path, table: "pa.Table") -> None:
    """Writes a file so that it is there whole or not at all."""
    import pyarrow.parquet as pq

    part = file.with_name(file.name + ".part")
    pq.write_table(table, part)
    os.replace(part, file)


def _refused(folder: Path, error: OSError) -> ResultsError:
    return ResultsError(f"--out = {folder}: must be a folder that can be written ({error})")
