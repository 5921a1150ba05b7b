"""What a command imports: heavy libraries are loaded only where they are needed."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "scipy", "networkx", "sklearn", "seaborn", "matplotlib", "pyarrow")

RUN = """
import sys
sys.argv = ["desim", *{words!r}]
from desim.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


def loaded(program: str) -> set[str]:
    """Which of the heavy libraries a program has imported when it ends."""
    told = f"\nimport sys\nprint('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program + told], capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["run", "--help"], ["list"]], ids=" ".join
)
def test_help_and_lists_load_nothing_heavy_and_no_numpy(words: list[str]) -> None:
    program = RUN.format(words=words) + "\nassert 'numpy' not in sys.modules"
    assert loaded(program) == set()


@pytest.mark.parametrize(
    "name", ["dsgd", "min-max", "mlp", "erdos-renyi", "lognormal", "train-loss", "mnist", "h100"]
)
def test_show_loads_nothing_heavy(name: str) -> None:
    assert loaded(RUN.format(words=["show", name])) == set()


def test_check_needs_no_tensors_where_models_know_their_sizes() -> None:
    assert loaded(RUN.format(words=["check", "quickstart"])) <= {"networkx", "scipy"}


@pytest.mark.parametrize(
    "program", ["import desim", "import desim.analysis", "import desim as d; d.analysis"]
)
def test_import_loads_nothing(program: str) -> None:
    assert loaded(program + "\nimport sys\nassert 'numpy' not in sys.modules") == set()


def test_a_method_of_ones_own_needs_no_torch_until_it_is_run() -> None:
    program = "from desim import Algorithm, Compressor, Loss, Metric, Model, Problem, StepSize"
    assert loaded(program) == set()
