"""An exception in the user's own code is one line: who, what, and where; bugs of desim are not."""

import inspect
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import desim
from desim.schema.own_code import named


def helper(*_: Any) -> Any:
    return {}["boom"]


LINE = inspect.getsourcelines(helper)[1] + 1


SHAPE = desim.Shape((5,), 2)
DATA = (np.eye(8, 5, dtype=np.float32), np.arange(8) % 2)


class Source(desim.Dataset):
    def shape(self):
        return SHAPE

    def load(self):
        return helper()


class Shares(desim.Partition):
    def assign(self, targets, workers, samples_per_worker, random):
        return helper()


class Network(desim.Model):
    def build(self, shape):
        return helper()


class Edges(desim.Topology):
    def draw(self, workers, random):
        return helper()


class Weights(desim.Mixing):
    def off_diagonal(self, graph):
        return tuple(helper() for _ in graph.neighbours)


class Slow(desim.PerStep):
    def speeds(self, streams, worker, steps):
        return [helper() for _ in steps]

    def mean_speed(self):
        return 1.0

    def mean_slowdown(self):
        return 1.0


class Worth(desim.Metric):
    def value(self, evaluation):
        return helper()


class Enough(desim.StopRule):
    def reached(self, rows):
        return helper()


EVERY: dict[str, tuple[Any, str]] = {
    "dataset": (Source(), "load"),
    "partition": (Shares(), "assign"),
    "model": (Network(), "build"),
    "topology": (Edges(), "draw"),
    "mixing": (Weights(), "off_diagonal"),
    "stragglers": (Slow(), "speeds"),
    "metric": (Worth(), "value"),
    "stop": (Enough(), "reached"),
}


def scenario(**own: Any) -> desim.Scenario:
    given = {key: own[key] for key in ("dataset", "model", "partition", "loss") if key in own}
    defaults = {"dataset": DATA, "model": nn.Linear(5, 2), "samples_per_worker": 2}
    return desim.Scenario(
        name="mistakes",
        seeds=(0,),
        problem=desim.Problem(**(defaults | given)),
        cluster=desim.Cluster(
            workers=4, stragglers=own.get("stragglers", {"kind": "exponential", "mean": 1.0})
        ),
        network=desim.Network(
            topology=own.get("topology", "ring"),
            mixing=own.get("mixing", "metropolis"),
            link={"kind": "dedicated", "bandwidth_bps": 1e6},
        ),
        stop=desim.Stop(rounds=2, rules=(own["stop"],) if "stop" in own else ()),
        evaluate=desim.Evaluate(
            every_rounds=1, metrics=(own["metric"],) if "metric" in own else ()
        ),
        algorithms=({"kind": "dsgd", "batch": 1, "step_size": {"kind": "constant", "alpha": 0.1}},),
    )


@pytest.mark.parametrize("key", EVERY)
def test_a_mistake_names_the_class_and_the_line(key: str, tmp_path: Path) -> None:
    member, method = EVERY[key]
    own = type(member).__name__
    with pytest.raises(desim.ExtensionError) as error:
        desim.run(scenario(**{key: member}), tmp_path / "out", jobs=1)
    assert str(error.value) == f"{own}.{method} failed: KeyError: 'boom', {__file__}:{LINE}"
    assert isinstance(error.value.__cause__, KeyError)


def test_a_mistake_in_another_process_is_told_the_same(tmp_path: Path) -> None:
    given = scenario(metric=Worth()).model_copy(update={"seeds": (0, 1)})
    with pytest.raises(desim.ExtensionError, match=re.escape(f"{Path(__file__).name}:{LINE}")):
        desim.run(given, tmp_path / "out", jobs=2)


class Fails(nn.Module):
    def __init__(self, when: int) -> None:
        super().__init__()
        self.linear, self.calls, self.when = nn.Linear(5, 2), 0, when

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.linear(x if self.calls < self.when else helper())


def test_a_module_that_fails_later_is_named(tmp_path: Path) -> None:
    with pytest.raises(desim.ExtensionError, match=r"Fails\.forward failed: KeyError"):
        desim.run(scenario(model=Fails(14)), tmp_path / "out", jobs=1)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_passes(error: type[BaseException]) -> None:
    def interrupted() -> None:
        raise error

    with pytest.raises(error):
        named(interrupted)()


def test_errors_on_purpose_and_bugs_of_desim_pass() -> None:
    def refuses() -> None:
        raise desim.ScenarioError("no")

    with pytest.raises(desim.ScenarioError, match="no"):
        named(refuses)()
    with pytest.raises(AttributeError):  # nobody's code but ours
        named(desim.Compressor.table)(None)


def test_the_error_travels_between_processes() -> None:
    error = desim.ExtensionError("Mine.value failed: KeyError: 'boom', a.py:3")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_long_text_stays_one_line() -> None:
    def talks() -> None:
        raise ValueError("a\n" * 5000)

    with pytest.raises(desim.ExtensionError) as error:
        named(talks)()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500 + len(__file__)


def test_an_error_that_a_library_raised_from_another_of_its_kind() -> None:
    def looks_up() -> object:
        return pd.Series([1]).loc["nowhere"]

    said = rf"^looks_up failed: KeyError: 'nowhere', {__file__}:\d+$"
    with pytest.raises(desim.ExtensionError, match=said):
        named(looks_up)()
