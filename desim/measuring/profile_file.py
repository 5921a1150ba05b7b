"""The hardware profile that `desim calibrate` writes."""

import platform
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path

from desim.errors import ScenarioError
from desim.measuring.calibration import NEGLIGIBLE, Calibration
from desim.schema.toml_lines import comment, inline, six_digits


@dataclass(frozen=True)
class Origin:
    """Where a profile comes from.

    Attributes:
        machine: the processor.
        date: the day.
        torch: its version.
        model, dataset: as the scenario has them, on one line.
        command: the command line.
    """

    machine: str
    date: str
    torch: str
    model: str
    dataset: str
    command: str


def origin_here(model: str, dataset: str, command: str) -> Origin:
    """This machine, today."""
    today = datetime.now().astimezone().date().isoformat()
    return Origin(processor(), today, metadata.version("torch"), model, dataset, command)


def processor() -> str:
    """The processor's name, and the system's."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        name = named[0] if named else name
    return f"{name}, {platform.system()} {platform.machine()}"


def check_new(out: Path) -> None:
    """Raises ScenarioError where a file is in the way: a measurement is never overwritten."""
    if out.exists():
        raise ScenarioError(
            f"--out = {out}: is there already, and must be a new file; choose another name, or "
            "remove it"
        )


def write(text: str, out: Path) -> None:
    """Writes a new file.

    Raises:
        ScenarioError: it is there already, or can't be written.
    """
    check_new(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ScenarioError(
            f"--out = {out}: must be a file that can be written ({error})"
        ) from None


def profile(found: Calibration, origin: Origin) -> str:
    """The profile's TOML, for `hardware = {file = ...}`."""
    threads = f"{found.threads} thread{'s' if found.threads > 1 else ''}"
    head = (
        f"{origin.machine}, {threads}: plain SGD as measured by desim calibrate, {origin.date}.\n\n"
        f"{origin.command}\n"
        f"torch {origin.torch}; model {origin.model}, {found.parameters:,} parameters; "
        f"dataset {origin.dataset}, {found.samples:,} training samples.\n\n"
        "seconds = overhead_s + batch / speed_sps, fitted to the medians of each batch size, then "
        f"times {found.mean_factor:.4f},\nthe mean of seconds / median:"
    )
    rows = [
        f"batch {row.batch}: median {row.median_s:.4g} s of {len(row.seconds)} steps, fitted "
        f"{found.median_s(row.batch):.4g} s, {error:+.1%}"
        for row, error in zip(found.timed, found.errors(), strict=True)
    ]
    return "\n".join(
        [
            comment("\n".join([head, *rows])),
            f"name = {inline(origin.machine)}",
            f"overhead_s = {six_digits(found.overhead_s)}",
            f"speed_sps = {six_digits(found.speed_sps)}",
            *_stragglers(found.sigma),
            "",
        ]
    )


def _stragglers(sigma: float) -> list[str]:
    if sigma < NEGLIGIBLE:
        return [
            comment(
                f"ln(seconds) spreads by {sigma:.2g} only. Without this line the cluster's "
                "stragglers would count."
            ),
            'stragglers = "none"',
        ]
    table = {"kind": "lognormal", "sigma": six_digits(sigma), "mu": six_digits(-(sigma**2) / 2)}
    return [
        comment("The standard deviation of ln(seconds); with mu = -sigma^2 / 2 the mean is 1."),
        f"stragglers = {inline(table)}",
    ]
