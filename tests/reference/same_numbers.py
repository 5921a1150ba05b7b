"""Whether two builds of desim give the same numbers, to the last bit, for every bundled scenario.

    python tests/reference/same_numbers.py OLD NEW [NAME ...]

OLD and NEW are the `desim` commands of two environments; NAMEs are scenarios, all by default. Each
is run in its short version (that of tests/study/test_presets.py) with seed 0, by both. Every column
of metrics that both have must be equal, and every row of every timeline; an activity that has
another name in one build is said to be renamed where all else is equal. Scenarios whose data are
not there are left out, with a word.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

sys.path += [str(Path(__file__).parents[1] / folder) for folder in ("", "study")]
from test_presets import NAMES, data, short


def main() -> int:
    """Compares, prints a line per scenario, and gives 1 where something differs."""
    old, new, *names = sys.argv[1:]
    failed = False
    for name in names or ["quickstart", *NAMES]:
        with tempfile.TemporaryDirectory(prefix="desim-") as folder:
            verdict = compared(name, Path(folder), [old, new])
        print(f"{name}: {verdict}", flush=True)
        failed |= verdict.startswith("DIFFERENT")
    return int(failed)


def compared(name: str, folder: Path, commands: list[str]) -> str:
    """What came of one scenario, in words."""
    try:
        files = data(name, folder / "pictures")
    except pytest.skip.Exception as missing:
        return f"left out ({missing})"
    options = ["--set", "stop.time_s=60"] if name == "quickstart" else short(name)
    outs = [folder / side for side in ("old", "new")]
    for command, out in zip(commands, outs, strict=True):
        words = [command, "run", name, "--out", out, "--seeds", "0", "--quiet", *files, *options]
        subprocess.run([str(word) for word in words], check=True, cwd=folder)
    trials = [sorted(path.name for path in (out / "trials").iterdir()) for out in outs]
    if trials[0] != trials[1]:
        return f"DIFFERENT trials: {trials}"
    counts, renamed = [0, 0], set()
    for trial in trials[0]:
        metrics, timelines = (
            [pd.read_parquet(out / "trials" / trial / f"{file}.parquet") for out in outs]
            for file in ("metrics", "timeline")
        )
        shared = [column for column in metrics[0] if column in metrics[1]]
        if set(metrics[0]) - set(shared) or not metrics[0][shared].equals(metrics[1][shared]):
            return f"DIFFERENT metrics of {trial}"
        kinds = [timeline.pop("kind").astype(str) for timeline in timelines]
        if not timelines[0].equals(timelines[1]):
            return f"DIFFERENT timeline of {trial}"
        pairs = set(zip(kinds[0], kinds[1], strict=True))
        if len(pairs) != len({before for before, _ in pairs}) or len(pairs) != len(
            {after for _, after in pairs}
        ):
            return f"DIFFERENT activities in {trial}"
        renamed |= {f"{before} is now {after}" for before, after in pairs if before != after}
        counts = [counts[0] + len(metrics[0]), counts[1] + len(timelines[0])]
    told = f"; {', '.join(sorted(renamed))}" if renamed else ""
    return (
        f"equal: {len(trials[0])} trials, {counts[0]:,} evaluations, {counts[1]:,} intervals{told}"
    )


if __name__ == "__main__":
    sys.exit(main())
