"""Processor time of commands that should answer at once, of two builds side by side.

    python tests/benchmarks/start_up.py OLD NEW

OLD and NEW are the `desim` commands of two environments. Each command is run by both in turn, a few
times after one that doesn't count; medians of user and system time together, and their ratio.
"""

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import gettempdir

COMMANDS = (
    "desim --help",
    "desim list",
    "desim show dsgd",
    "desim show min-max",
    "desim check quickstart",
    "python -c 'import desim'",
)
REPEATS = 7


def main() -> None:
    """Prints a line per command."""
    builds = [Path(word) for word in sys.argv[1:3]]
    for command in COMMANDS:
        times: list[list[float]] = [[], []]
        for turn in range(REPEATS + 1):
            for build, found in zip(builds, times, strict=True):
                spent_s = processor_s(command, build)
                if turn:
                    found.append(spent_s)
        old, new = map(median, times)
        print(f"{command:28s} {old:6.3f} s -> {new:6.3f} s, 1/{old / new:.1f}", flush=True)


def processor_s(command: str, desim: Path) -> float:
    """User and system time of one run."""
    first, _, rest = command.partition(" ")
    words = f"{desim.parent / first} {rest}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Elsewhere: Python would import a checkout that it stands in.
    subprocess.run(words, shell=True, check=True, stdout=subprocess.DEVNULL, cwd=gettempdir())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
