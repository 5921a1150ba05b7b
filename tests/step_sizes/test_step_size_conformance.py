"""What every choice of step sizes promises, and the schedules against torch's own."""

import numpy as np
import pytest
import torch
from builders import examples, label
from torch.optim import lr_scheduler

from desim.errors import ScenarioError
from desim.step_sizes.base import StepSize
from desim.step_sizes.cosine import Cosine
from desim.step_sizes.inverse_sqrt import InverseSqrt
from desim.step_sizes.inverse_time import InverseTime
from desim.step_sizes.polynomial import Polynomial
from desim.step_sizes.step_decay import StepDecay
from desim.step_sizes.warm_up import WarmUp

ROUNDS, TIME_S = 40, 20.0
STEP_SIZES = examples("step-sizes")
every = pytest.mark.parametrize("step_size", STEP_SIZES, ids=label)


def curve(step_size, steps=range(ROUNDS + 1)):
    """alpha at each step, half a second apart, with a horizon of 40 rounds and 20 s."""
    within = step_size.within(ROUNDS, TIME_S)
    return np.array([within.at(step, step / 2)[0] for step in steps])


@every
def test_steps_are_positive_until_the_end_and_never_negative(step_size):
    within = step_size.within(ROUNDS, TIME_S)
    for step in range(ROUNDS):
        alpha, epsilon = within.at(step, step / 2)
        assert alpha > 0
        assert epsilon > 0
    for step in (ROUNDS, 2 * ROUNDS):
        assert within.at(step, step / 2)[0] >= 0


@every
def test_a_table_gives_the_same_back_and_so_does_the_horizon_once_it_is_filled_in(step_size):
    again = StepSize.parse(step_size.table())
    assert again == step_size
    within = step_size.within(ROUNDS, TIME_S)
    assert within.within(7, 3.0) == within
    assert StepSize.parse(within.table()) == within


@every
def test_what_is_searched_scales_alpha_and_epsilon(step_size):
    """At all times: twice the value, twice the step."""
    for place, field in enumerate(step_size.searched):
        table = step_size.table()
        *heads, last = field.split(".")
        inner = table
        for head in heads:
            inner = inner[head]
        inner[last] = 2 * inner.get(last, 1.0)
        doubled = StepSize.parse(table).within(ROUNDS, TIME_S)
        within = step_size.within(ROUNDS, TIME_S)
        for step in (0, 7, 39):
            old, new = within.at(step, step / 2), doubled.at(step, step / 2)
            assert new[place] == pytest.approx(2 * old[place], rel=1e-12)
            assert new[1 - place] == old[1 - place]


def torchs(scheduler, **fields):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    found = scheduler(optimizer, **fields)
    rates = []
    for _ in range(ROUNDS + 1):
        rates += found.get_last_lr()
        optimizer.step()
        found.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "theirs", "fields"),
    [
        (Cosine(alpha=0.5), lr_scheduler.CosineAnnealingLR, {"T_max": ROUNDS}),
        (
            Cosine(alpha=0.5, final=0.2),
            lr_scheduler.CosineAnnealingLR,
            {"T_max": ROUNDS, "eta_min": 0.1},
        ),
        (Polynomial(alpha=0.5), lr_scheduler.PolynomialLR, {"total_iters": ROUNDS}),
        (
            Polynomial(alpha=0.5, power=2.0, over_steps=30),
            lr_scheduler.PolynomialLR,
            {"total_iters": 30, "power": 2.0},
        ),
        (
            StepDecay(alpha=0.5, over_steps=15, by=0.3),
            lr_scheduler.StepLR,
            {"step_size": 15, "gamma": 0.3},
        ),
        (
            WarmUp(over_steps=10, start=0.1, after={"kind": "constant", "alpha": 0.5}),
            lr_scheduler.LinearLR,
            {"start_factor": 0.1, "total_iters": 10},
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_schedules_are_torchs(ours, theirs, fields):
    np.testing.assert_allclose(curve(ours), torchs(theirs, **fields), rtol=1e-9, atol=1e-12)


def test_closed_forms_by_hand():
    assert curve(InverseSqrt(alpha=0.6, over_steps=5), [0, 15, 40]) == pytest.approx(
        [0.6, 0.3, 0.2]
    )
    # a / (b + t) with b = 10 and a = 0.5 * 10.
    by_hand = [5 / (10 + t) for t in range(41)]
    assert curve(InverseTime(alpha=0.5, over_steps=10)) == pytest.approx(by_hand)
    # The same in seconds: a step is half of one.
    assert curve(InverseTime(alpha=0.5, over_s=5.0)) == pytest.approx(by_hand)


def test_a_warm_up_goes_around_any_other():
    inner = Cosine(alpha=0.5)
    outer = WarmUp(over_s=10.0, start=0.2, after=inner)
    rise = np.minimum(1, 0.2 + 0.8 * np.arange(41) / 20)
    assert curve(outer) == pytest.approx(curve(inner) * rise)


def test_the_length_of_the_run_is_its_rounds_or_else_its_time():
    by_rounds, by_time = Cosine(alpha=1.0).within(10, 99.0), Cosine(alpha=1.0).within(None, 8.0)
    assert (by_rounds.over_steps, by_rounds.over_s) == (10, None)
    assert (by_time.over_steps, by_time.over_s) == (None, 8.0)
    assert by_time.at(1000, 4.0)[0] == pytest.approx(0.5)
    with pytest.raises(ScenarioError, match="needs the length of the run; give over_steps or"):
        Cosine(alpha=1.0).within(None, None)


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"kind": "step-decay", "alpha": 1.0}, "give exactly one of them"),
        ({"kind": "cosine", "alpha": 1.0, "over_steps": 3, "over_s": 1.0}, "give at most one"),
        ({"kind": "warm-up", "over_s": 1.0, "after": "constant"}, "Field required"),
    ],
)
def test_bad_tables_are_refused(table, rule):
    with pytest.raises(ValueError, match=rule):
        StepSize.parse(table)


def test_a_class_with_the_arguments_of_old_is_told_what_they_are_now():
    with pytest.raises(TypeError, match=r"must be at\(self, step, time_s\)"):
        type("Old", (StepSize,), {"at": lambda self, horizon: (1.0, 1.0)})
