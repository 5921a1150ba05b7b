"""W is for those who average with it: others aren't stopped where a graph has none."""

from collections.abc import Generator
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from builders import setting
from tiny import tiny

import desim
from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.mixings.base import LaterWeights, Mixing, Weights
from desim.scenario.scenario import from_table
from desim.studies.plan import plan
from desim.topologies.base import Graph

STEP = {"kind": "constant", "alpha": 0.1}
DIRECTED: dict[str, Any] = {
    "workers": 5,
    "topology": "directed-exponential",
    "mixing": "metropolis",
}


class PlainMean(desim.Rounds):
    """Takes the plain mean of what arrives, without W."""

    def worker(self, me: desim.Worker) -> Generator[Any, Any, None]:
        x = me.initial_model()
        for t in count():
            x = x - me.step_size() * (yield from me.compute(x, 2))
            me.broadcast(desim.Message(x, 32), tag=t)
            received = yield from me.gather(tag=t)
            x = yield from me.mean([x, *received.messages])
            me.commit(x)


OWN = {"kind": f"{__name__}:PlainMean", "step_size": STEP}
SERVED = {"kind": "sync-sgd", "batch": 2, "step_size": STEP}
ALL_REDUCE = {"kind": "all-reduce-sgd", "batch": 2, "step_size": STEP}
AVERAGES = {"kind": "dsgd", "batch": 2, "step_size": STEP}


class Never(Mixing):
    """Gives no W at all."""

    def off_diagonal(self, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
        raise AssertionError("nobody asked for it")


@pytest.mark.parametrize("table", [OWN, SERVED, ALL_REDUCE], ids=lambda table: table["kind"])
def test_a_method_that_never_averages_with_w_runs_without_one(
    table: dict[str, Any], tmp_path: Any
) -> None:
    changes = {"network.topology": "directed-exponential", "network.mixing": "metropolis"}
    scenario = from_table(tiny({**changes, "algorithms": [table]}))
    found = plan(scenario, train=False)
    assert "a directed graph can't have" in str(found.averaging)
    folder = desim.run(scenario, tmp_path / "out", jobs=1, train=False)
    statuses = desim.analysis.trials(folder)["status"]
    assert set(statuses) == {"finished"}
    never = {"network.mixing": {"kind": f"{__name__}:Never"}, "algorithms": [table]}
    desim.simulate(next(from_table(tiny(never)).trials()), train=False)


@pytest.mark.parametrize("table", [AVERAGES], ids=lambda table: table["kind"])
def test_one_that_does_is_stopped_before_anything_is_written(
    table: dict[str, Any], tmp_path: Any
) -> None:
    changes = {"network.topology": "directed-exponential", "network.mixing": "metropolis"}
    both = from_table(tiny({**changes, "algorithms": [SERVED, table]}))
    for call in (
        lambda: plan(both, train=False),
        lambda: desim.run(both, tmp_path / "out", jobs=1, train=False),
        lambda: Simulation(setting(table, **DIRECTED), train=False).run(),
    ):
        with pytest.raises(ScenarioError, match="symmetric W, which a directed graph can't have"):
            call()
    assert not (tmp_path / "out").exists()
    columns = {**changes, "network.mixing": "out-degree", "network.topology": "star"}
    with pytest.raises(ScenarioError, match="needs a W whose rows and columns sum to 1"):
        desim.run(from_table(tiny({**columns, "algorithms": [table]})), tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


def test_w_is_built_once_and_by_whoever_asks() -> None:
    graph = Graph((np.array([1]), np.array([0])))
    built: list[int] = []

    def build() -> Weights:
        built.append(1)
        return Weights(graph, np.array([0.75, 0.25]), (np.array([0.25]), np.array([0.75])))

    later = LaterWeights(graph, build)
    assert later.graph is graph
    assert built == []
    assert later.matrix().toarray().tolist() == [[0.75, 0.25], [0.75, 0.25]]
    assert later.own.tolist() == [0.75, 0.25]
    assert not later.doubly_stochastic
    assert built == [1]
