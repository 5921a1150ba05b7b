"""`desim tune` on a quadratic without noise, where the best step size is known.

All workers hold the same point, so that one step takes each coordinate's error times 1 - alpha h.
With curvatures h of 1/4 and 1 the slowest coordinate shrinks fastest, by 0.6 a step, at alpha =
2 / (1/4 + 1); after 30 steps the larger weight of the faster coordinate in the loss moves the best
by less than 1 %.
"""

from math import inf, log
from pathlib import Path

import pytest

import desim
from desim.schema.results import Column
from desim.tuning.grid import Grid
from desim.tuning.objective import Curve, Objective, Score, score

BEST = 2 / (1 / 4 + 1)


LOSS = Column("train_loss", "training loss", good="low")


def quadratic(**changes):
    table = {
        "name": "quadratic",
        "seeds": [0, 1],
        "problem": {
            "dataset": {"kind": "quadratic", "samples": 8, "dimension": 2, "spread": 0.0},
            "model": {"kind": "quadratic", "condition": 4.0},
            "dtype": "float64",
        },
        "cluster": {"workers": 4, "stragglers": {"kind": "uniform-speed", "low": 1.0, "high": 1.0}},
        "network": {
            "topology": "ring",
            "mixing": "metropolis",
            "link": {"kind": "dedicated", "bandwidth_bps": 1e9},
        },
        "stop": {"rounds": 30},
        "evaluate": {"every_rounds": 1},
        "algorithms": [
            {"kind": "dsgd", "batch": 1, "step_size": {"kind": "constant", "alpha": 0.5}},
            {
                "kind": "quantimed-dsgd",
                "deadline_s": 1.0,
                "step_size": {"kind": "nonconvex", "c1": 1.0, "c2": 30**0.5, "horizon": 30},
            },
        ],
    }
    return desim.from_table(table | changes)


def tune(scenario, folder, **options):
    return desim.tune(scenario, folder / "tuned", jobs=1, **options)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"target": 1e-6}, {"at": 25.0}], ids=str)
def test_it_finds_the_best_step_within_a_cell_of_the_finer_grid(options, tmp_path: Path):
    grid = Grid(points=5, refine=5)
    found = tune(quadratic(), tmp_path, grid=grid, **options)
    cell = log(4) / 6  # the grid's factor is 4
    for method, scale in zip(found.methods, (1.0, 30 ** (-1 / 6)), strict=True):
        assert abs(log(method.value * scale / BEST)) <= cell, method
        assert not method.on_edge
        assert method.note == ""
    assert [method.parameter for method in found.methods] == ["alpha", "c1"]


def test_every_method_gets_as_many_candidates(tmp_path: Path):
    found = tune(quadratic(), tmp_path, grid=Grid(points=4, refine=2))
    assert [method.candidates for method in found.methods] == [8, 8]
    assert len(list((tmp_path / "tuned/trials").iterdir())) == 8 * 2 * 2


@pytest.mark.parametrize(("low", "high", "edge"), [(1e-3, 1e-2, 1e-2), (0.3, 10.0, None)])
def test_a_best_on_the_edge_is_told(low, high, edge, tmp_path: Path):
    found = tune(quadratic(), tmp_path, grid=Grid(points=3, refine=1, low=low, high=high))
    assert found.methods[0].on_edge == (edge is not None)
    if edge:
        assert found.methods[0].note == "on the edge of the grid: widen with --range"
        assert found.methods[0].value > edge  # the finer grid reaches over it


def test_epsilon_is_searched_where_it_is_asked_for(tmp_path: Path):
    grid = Grid(points=5, refine=0)
    found = tune(quadratic(), tmp_path, grid=grid, epsilons=(0.01, 1.0), at=20.0)
    assert [method.candidates for method in found.methods] == [10, 10]
    # Here epsilon does nothing but scale the gradient: 0.01 needs a step that isn't on the grid.
    assert found.methods[0].epsilon == 1.0
    assert found.scenario.algorithms[0].step_size.epsilon == 1.0
    assert found.methods[0].note == ""  # 1 averages fully: no need for more


def test_a_best_epsilon_at_the_end_of_those_tried_is_told(tmp_path: Path):
    grid = Grid(points=3, refine=0, low=0.5, high=2.0)
    found = tune(quadratic(), tmp_path, grid=grid, epsilons=(0.01, 0.1), at=20.0)
    assert found.methods[0].epsilon == 0.1
    assert "at the end of --epsilon: add larger ones" in found.methods[0].note


def test_a_method_that_diverges_everywhere_keeps_its_step(tmp_path: Path):
    grid = Grid(points=3, refine=0, low=1e30, high=1e32)
    found = tune(quadratic(stop={"rounds": 30, "target_train_loss": 1e-3}), tmp_path, grid=grid)
    assert found.methods[0].score == Score(inf, inf)
    assert "all diverged" in found.methods[0].note
    assert found.scenario.algorithms == quadratic().algorithms


def test_a_longer_deadline_without_noise_only_costs_time(tmp_path: Path):
    """One sample is as good as many, so the best deadline is the shortest that gives one."""
    scenario = quadratic(
        algorithms=[
            {
                "kind": "quantimed-dsgd",
                "expected_batch": 4.0,
                "step_size": {"kind": "constant", "alpha": 1.6},
            }
        ]
    )
    grid = Grid(points=5, refine=0)
    found = tune(scenario, tmp_path, deadline=True, target=1e-3, grid=grid).methods[0]
    assert (found.value, found.own, found.on_edge) == (1.0, 4.0, True)
    assert found.own_score.cost / found.score.cost == pytest.approx(4.0, rel=1e-3)


def test_scores_of_curves_by_hand():
    fast, slow = Curve([0, 1, 2], [4.0, 2.0, 1.0], False), Curve([0, 1, 2], [4.0, 3.0, 2.5], False)
    burst = Curve([0, 1], [4.0, inf], True)
    timed, final = Objective(LOSS, False, 1.5, ""), Objective(LOSS, False, None, "at the end")
    assert timed.cost(fast) == 1.5
    assert timed.cost(slow) == timed.cost(burst) == inf
    assert (final.cost(fast), final.cost(burst)) == (1.0, inf)
    assert score(timed, [fast, slow]) == (inf, 1.75)
    # Nobody reaches the target: the lower loss is better, and divergence is the worst.
    assert sorted([score(timed, [burst]), score(timed, [slow]), score(timed, [fast])]) == [
        (1.5, 1.0),
        (inf, 2.5),
        (inf, inf),
    ]


def test_a_metric_whose_high_values_are_good_mirrors_one_whose_low_ones_are() -> None:
    """Accuracy a and loss 1 - a: the same times to targets, the same order of candidates."""
    accuracies = [[0.1, 0.5, 0.9], [0.1, 0.4, 0.6], [0.1, 0.3, 0.2]]
    losses = [[1 - value for value in values] for values in accuracies]
    for target in (None, 0.45, 0.95):
        high = Objective(Column("a", "accuracy", good="high"), True, target, "at the end")
        low = Objective(LOSS, False, None if target is None else 1 - target, "at the end")
        for rising, falling in zip(accuracies, losses, strict=True):
            up, down = (Curve([0.0, 1.0, 2.0], values, False) for values in (rising, falling))
            cost = high.cost(up) + (1.0 if target is None else 0.0)
            assert cost == pytest.approx(low.cost(down), rel=1e-12)
        assert min(accuracies, key=lambda a: score(high, [Curve([0, 1, 2], a, False)])) == [
            0.1,
            0.5,
            0.9,
        ]
    assert Objective(Column("a", "accuracy", good="high"), True, None, "").shown(-0.9) == 0.9
