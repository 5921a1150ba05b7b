"""Models that a function builds, however it does, are content of the trials that train them."""

import functools
from pathlib import Path

import pytest
import torch
from test_content_of_results import refused, run, trace
from tiny import sums
from torch import nn

import desim


def test_weights_that_a_function_reads_from_a_file(tmp_path: Path) -> None:
    file, out = str(tmp_path / "weights.pt"), tmp_path / "out"

    def pretrained() -> nn.Module:
        made = nn.Linear(64, 10)
        made.load_state_dict(torch.load(file))
        return made

    torch.manual_seed(0)
    torch.save(nn.Linear(64, 10).state_dict(), file)
    changes = {"problem.dataset": "digits", "problem.model": pretrained}
    before = sums(run(changes, out, train=True))
    assert sums(run(changes, out, train=True)) == before
    torch.save(nn.Linear(64, 10).state_dict(), file)
    refused(changes, out, "problem.model.build()", train=True)


@functools.cache
def backbone() -> nn.Module:
    return nn.Linear(64, 8).requires_grad_(False)


@torch.no_grad()
def scaled() -> nn.Module:
    made = nn.Linear(64, 10)
    made.weight.data *= 1 / float(made.weight.std())
    made.weight.data = torch.from_numpy(made.weight.numpy())
    return made if made.weight.sum() else made.to("cpu")


BUILDERS = {
    "moved": lambda: nn.Linear(64, 10).to("cpu"),
    "shared": lambda: nn.Sequential(backbone(), nn.Linear(8, 10)),
    "scaled": scaled,
}


@pytest.mark.parametrize("name", BUILDERS)
def test_a_function_builds_as_it_likes(name: str, tmp_path: Path) -> None:
    changes = {"problem.dataset": "digits", "problem.model": BUILDERS[name]}
    before = sums(run(changes, tmp_path / "out", train=True))
    assert sums(run(changes, tmp_path / "out", train=True)) == before


def test_a_file_that_was_moved_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    out = tmp_path / "out"
    changes = {"cluster.stragglers": {"kind": "trace", "file": str(tmp_path / "t.csv")}}
    trace(tmp_path / "t.csv", 1)
    before = sums(run(changes, out) / "trials")
    (tmp_path / "t.csv").rename(tmp_path / "there" / "t.csv")
    changes["cluster.stragglers"]["file"] = str(tmp_path / "there" / "t.csv")
    assert sums(run(changes, out) / "trials") == before


class Named(desim.Metric):
    """A field that is called as if it named a file, and does not."""

    file: str

    def value(self, evaluation: desim.Evaluation) -> float:
        return float(len(self.file))


def test_a_word_that_is_no_path_is_compared_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "out"
    metric = {"kind": "test_content_of_models:Named", "file": "loss"}
    run({"evaluate.metrics": [metric]}, out, train=True)
    with pytest.raises(desim.ResultsError, match=r"evaluate\.metrics\.0\.file = 'loss' instead"):
        run({"evaluate.metrics": [metric | {"file": "accuracy"}]}, out, train=True)
