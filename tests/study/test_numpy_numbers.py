"""Numbers of numpy in scenarios made in Python are taken as Python's own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import sums, tiny

import desim
from desim.scenario.scenario import Scenario, from_table
from desim.schema.registry import Table

#: What numpy gives, and the same in Python's own numbers.
SAME: list[tuple[str, Any, Any]] = [
    ("seeds", np.arange(2), [0, 1]),
    ("seeds", range(1, 3), [1, 2]),
    ("seeds", list(np.arange(2, dtype=np.uint8)), [0, 1]),
    ("cluster.workers", np.int64(5), 5),
    ("cluster.stragglers.low", np.int32(5), 5),
    ("cluster.stragglers.high", np.float32(50.5), 50.5),
    ("problem.model.hidden", np.array([3, 2]), [3, 2]),
    ("problem.model.hidden", (np.int64(3),), [3]),
    ("problem.samples_per_worker", np.uint16(10), 10),
    ("stop.rounds", np.int64(2), 2),
    ("stop", {"rounds": np.int64(2)}, {"rounds": 2}),
    ("algorithms.0.batch", np.int64(4), 4),
    ("algorithms.0.step_size", {"kind": "constant", "alpha": np.float64(0.25)}, None),
    ("network.link.latency_s", np.float64(0.5), 0.5),
    ("sweep", {"algorithms.0.batch": np.array([2, 3])}, {"algorithms.0.batch": [2, 3]}),
    ("sweep", {"cluster.workers": range(2, 4)}, {"cluster.workers": [2, 3]}),
    ("sweep", {"stop.rounds": [np.int64(2), 3]}, {"stop.rounds": [2, 3]}),
    ("sweep", {"problem.model.hidden": [np.array([2]), [3]]}, {"problem.model.hidden": [[2], [3]]}),
    ("sweep", {"stop": [{"rounds": np.int64(2)}]}, {"stop": [{"rounds": 2}]}),
]


@pytest.mark.parametrize(("key", "numpys", "own"), SAME)
def test_they_stand_for_the_same_scenario(key: str, numpys: Any, own: Any) -> None:
    own = {"kind": "constant", "alpha": 0.25} if own is None else own
    made, expected = from_table(tiny({key: numpys})), from_table(tiny({key: own}))
    assert made == expected
    assert repr(made.table()) == repr(expected.table())  # 4, not np.int64(4)
    assert made.points() == expected.points()
    changed = Scenario(**tiny()).with_values({key: numpys})
    assert repr(changed.table()) == repr(expected.table())


def test_the_files_of_their_results_are_the_same_bytes(tmp_path: Path) -> None:
    numpys = desim.run(
        Scenario(**tiny({"sweep": {"algorithms.0.batch": np.array([2, 3])}})),
        tmp_path / "numpy",
        values={"cluster.workers": np.int64(3)},
        seeds=np.arange(1),  # type: ignore[arg-type]
        jobs=np.int64(1),  # type: ignore[arg-type]
        threads=np.int64(1),  # type: ignore[arg-type]
        train=np.True_,  # type: ignore[arg-type]
    )
    changes = {"sweep": {"algorithms.0.batch": [2, 3]}, "cluster.workers": 3}
    own = desim.run(Scenario(**tiny(changes)), tmp_path / "own", jobs=1)
    assert sums(numpys) == sums(own)


def test_a_search_takes_them_too(tmp_path: Path) -> None:
    scenario = Scenario(**tiny({"stop.rounds": 2}))
    numpys = desim.tune(
        scenario,
        tmp_path / "numpy",
        target=np.float32(2.25),  # type: ignore[arg-type]
        grid=desim.Grid(np.int64(3), 0, np.float64(0.25), np.float64(1.0)),  # type: ignore[arg-type]
        jobs=1,
        threads=np.int64(1),  # type: ignore[arg-type]
    )
    grid = desim.Grid(3, 0, 0.25, 1.0)
    own = desim.tune(scenario, tmp_path / "own", target=2.25, grid=grid, jobs=1)
    assert sums(numpys.folder) == sums(own.folder)


def test_rules_see_the_numbers_and_data_stays_as_it_is() -> None:
    with pytest.raises(desim.ScenarioError, match=r"^cluster\.workers = 1: must be greater than"):
        from_table(tiny({"cluster.workers": np.int64(1)}))
    with pytest.raises(desim.ScenarioError, match=r"^cluster\.workers = 2\.5: must be a valid int"):
        from_table(tiny({"cluster.workers": np.float64(2.5)}))

    class Own(Table):
        """A table with data in it."""

        on: bool
        data: Any
        made_of: np.ndarray[Any, Any]

    data = np.arange(3)
    own = Own(on=np.True_, data=data, made_of=data)
    assert own.on is True
    assert own.data is data
    assert own.made_of is data
