"""Speeds that change in time: Markov's paths against closed forms, and the work by a deadline.

With speeds v1 for a share p of the time and v0 for q = 1 - p, and r = 1/mean_fast + 1/mean_slow,
the speed's covariance over a lag s is (v1 - v0)^2 p q exp(-r s) (a two-state telegraph process), so
that the work W(t), its integral, has

    E W(t) = t (p v1 + q v0)
    Var W(t) = 2 int_0^t (t - s) (v1 - v0)^2 p q exp(-r s) ds
             = 2 (v1 - v0)^2 p q [t / r - (1 - exp(-r t)) / r^2]
"""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, chain, count, islice, repeat
from math import exp, floor, inf
from typing import Any

import numpy as np
import pytest
from builders import setting, simulate
from hypothesis import assume, given
from hypothesis import strategies as st

from desim.clock.stragglers.base import SpeedInTime, StragglerModel
from desim.clock.stragglers.markov import Markov
from desim.streams import Streams


class GivenPaths(StragglerModel):
    """Worker i's segments: (the time at which it ends, the speed until then)."""

    paths: Any

    def speed(self, streams, worker):
        return SpeedInTime(iter(self.paths[worker]))

    def mean_speed(self):
        return 1.0

    def mean_slowdown(self):
        return 1.0


def telegraph(model, time_s):
    """Mean and variance of the work done in a time."""
    rate = 1 / model.mean_fast_s + 1 / model.mean_slow_s
    p = model.mean_fast_s / (model.mean_fast_s + model.mean_slow_s)
    spread = (1 - 1 / model.factor) ** 2 * p * (1 - p)
    mean = time_s * (p + (1 - p) / model.factor)
    return mean, 2 * spread * (time_s / rate - (1 - exp(-rate * time_s)) / rate**2)


def switches(model, seed, worker, until_s):
    """The path by hand: (times at which segments end, speeds), to beyond a time.

    The first state is the draw 1 of step 0, the k-th length the draw 0 of step k.
    """
    streams = Streams(seed)
    share = model.mean_slow_s / (model.mean_fast_s + model.mean_slow_s)
    slow = streams.uniforms("speed", worker, 0, 1)[0] < share
    many = 1000 + int(4 * until_s / min(model.mean_fast_s, model.mean_slow_s))
    u = streams.uniforms("speed", worker, np.arange(many))
    is_slow = (np.arange(many) % 2 == 0) == slow
    ends_s = np.cumsum(-np.log1p(-u) * np.where(is_slow, model.mean_slow_s, model.mean_fast_s))
    assert ends_s[-1] > until_s
    return ends_s, np.where(is_slow, 1 / model.factor, 1.0)


def work_by_hand(ends_s, speeds, start_s, end_s):
    """The integral of the speed, by interpolation of the work done since 0."""
    times_s = np.append(0, ends_s)
    done_s = np.append(0, np.cumsum(np.diff(times_s) * speeds))
    return np.diff(np.interp([start_s, end_s], times_s, done_s))[0]


# The work by a deadline.

MODELS = [
    Markov(slow_fraction=0.25, mean_slow_s=1.0, factor=4.0),
    Markov(slow_fraction=0.8, mean_slow_s=2.0, factor=10.0),
    Markov(),
]


@pytest.mark.parametrize("deadline_s", [0.2, 5.0, 60.0])
@pytest.mark.parametrize("model", MODELS, ids=str)
def test_work_by_a_deadline_has_the_telegraph_processs_mean_and_variance(model, deadline_s):
    workers = 3000
    # From a later time on as well: the process is stationary.
    paths = [model.speed(Streams(5), i) for i in range(workers)]
    for start_s in (0.0, 2.5):
        done_s = np.array([path.work_s(0, start_s, deadline_s) for path in paths])
        mean, variance = telegraph(model, deadline_s)
        assert mean == pytest.approx(deadline_s * model.mean_speed(), rel=1e-12)
        assert done_s.mean() == pytest.approx(mean, abs=5 * (variance / workers) ** 0.5)
        # The variance of a sample's variance is (4th central moment - variance^2) / n.
        squares = (done_s - mean) ** 2
        error = squares.std() / workers**0.5
        assert squares.mean() == pytest.approx(variance, abs=5 * error)


def test_a_path_is_made_of_exponential_times_in_turn():
    model = MODELS[0]
    for worker in range(5):
        ends_s, speeds = switches(model, 7, worker, 300.0)
        path = list(islice(model._path(Streams(7), worker), 150))
        np.testing.assert_allclose([end_s for end_s, _ in path], ends_s[:150], rtol=1e-12)
        assert [speed for _, speed in path] == speeds[:150].tolist()


def test_the_first_state_is_stationary():
    model = MODELS[1]  # slow for 4 / 5 of the time
    first = [next(model._path(Streams(9), i))[1] for i in range(5000)]
    share = np.mean(np.array(first) == 1 / model.factor)
    assert share == pytest.approx(0.8, abs=5 * (0.8 * 0.2 / 5000) ** 0.5)


def test_deadlines_batches_in_the_simulator_are_the_integral_of_the_path():
    # 3 workers at 200 samples/s, T_d = 0.7 s, and messages that take 128 bits / 500 bit/s.
    model = Markov(slow_fraction=0.37499999999999994, mean_slow_s=0.3, factor=4.0)
    method = {"kind": "quantimed-dsgd", "deadline_s": 0.7}
    trial = simulate(
        setting(
            method,
            stragglers=model,
            hardware={"speed_sps": 200.0},
            link={"kind": "dedicated", "bandwidth_bps": 500.0},
            stop={"rounds": 300},
            seed=4,
        )
    )
    for worker in range(3):
        path = switches(model, 4, worker, trial.outcome.time_s)
        rows = trial.rows("compute", worker)
        assert len(rows) == 300
        work_s = [work_by_hand(*path, *span) for span in zip(rows.start_s, rows.end_s, strict=True)]
        assert rows.samples.tolist() == [floor(200 * s + 1e-9) for s in work_s]
    assert trial.rows("compute").samples.nunique() > 50


def test_durations_in_the_simulator_are_those_in_which_the_work_is_done():
    model = Markov(slow_fraction=0.37499999999999994, mean_slow_s=0.3, factor=4.0)
    trial = simulate(
        setting(
            {"kind": "async-dsgd", "batch": 100},
            stragglers=model,
            hardware={"speed_sps": 200.0},
            stop={"rounds": 200},
            seed=6,
        )
    )
    for worker in range(3):
        path = switches(model, 6, worker, trial.outcome.time_s)
        for start_s, end_s in trial.spans("compute", worker):
            assert work_by_hand(*path, start_s, end_s) == pytest.approx(0.5, rel=1e-9)


# By hand.


def test_a_worker_that_slows_down_in_the_middle_of_a_gradient():
    # Worker 0 is half as fast from 2 to 5 and twice as fast afterwards; worker 1 always 1; worker 2
    # stands still from 1 to 4.
    paths = [[(2, 1.0), (5, 0.5), (inf, 2.0)], [(inf, 1.0)], [(1, 1.0), (4, 0.0), (inf, 1.0)]]
    run = {"stragglers": GivenPaths(paths=paths), "hardware": {"speed_sps": 1.0}}
    trial = simulate(setting({"kind": "async-dsgd", "batch": 3}, **run, stop={"time_s": 9.2}))
    # 3 samples: 2 by time 2 and one more in 2 s; then 0.5 by time 5 and 2.5 in 1.25 s; ...
    assert trial.spans("compute", 0) == [(0, 4), (4, 6.25), (6.25, 7.75)]
    assert trial.spans("compute", 1) == [(0, 3), (3, 6), (6, 9)]
    assert trial.spans("compute", 2) == [(0, 6), (6, 9)]
    trial = simulate(
        setting({"kind": "quantimed-dsgd", "deadline_s": 3.0}, **run, stop={"rounds": 3})
    )
    # Until 3, 6 and 9: 2 + 0.5, 1 + 2, 6; always 3; 1, 2, 3.
    assert [trial.rows("compute", i).samples.tolist() for i in range(3)] == [
        [2, 3, 6],
        [3, 3, 3],
        [1, 2, 3],
    ]


def test_a_worker_that_stands_still_for_ever_is_waited_for_in_vain():
    paths = [[(inf, 1.0)], [(inf, 1.0)], [(5, 1.0), (inf, 0.0)]]
    trial = simulate(
        setting(
            {"kind": "dsgd", "batch": 3},
            stragglers=GivenPaths(paths=paths),
            hardware={"speed_sps": 1.0},
            stop={"rounds": 3},
        )
    )
    assert trial.outcome.stopped_by == "stalled"
    assert trial.outcome.rows[-1].steps == 3


@pytest.mark.parametrize(
    ("start_s", "work_s", "duration_s"),
    [
        (0, 1, 1),
        (0, 2, 2),  # just when it changes
        (0, 4, 5.25),
        (1.5, 0.5, 0.5),
        (2, 0.5, 1),
        (4, 0.75, 1.125),
        (5, 3, 1.5),
        (6, 0.25, 0.125),
        (0, 0, 0),
        (3, 0, 0),
    ],
)
def test_by_hand_on_three_segments(start_s, work_s, duration_s):
    def path():
        return SpeedInTime(iter([(2, 1.0), (5, 0.5), (inf, 2.0)]))

    assert path().duration_s(0, start_s, work_s) == duration_s
    assert path().work_s(0, start_s, duration_s) == work_s


def test_work_done_just_before_a_pause_does_not_wait_for_its_end():
    # In binary 0.9 - 0.7 is more than 0.1 * 2.
    path = [(1, 0.7), (3, 0.1), (1000, 0.0), (inf, 1.0)]
    assert SpeedInTime(iter(path)).duration_s(0, 0, 0.9) == 3


def test_a_speed_of_zero():
    def path(*after):
        return SpeedInTime(iter([(2, 1.0), (5, 0.0), *after]))

    assert path((inf, 2.0)).duration_s(0, 1, 1) == 1  # not 4: it was done just before the pause
    assert path((inf, 2.0)).duration_s(0, 1, 1.5) == 4.25
    assert path((inf, 2.0)).work_s(0, 3, 1) == 0
    assert path((inf, 0.0)).duration_s(0, 1, 1) == 1
    assert path((inf, 0.0)).duration_s(0, 1, 1.001) == inf
    assert path((inf, 0.0)).work_s(0, 1, 1e9) == 1


# Any segments.

lengths_s = st.floats(1e-3, 10)
some_speeds = st.one_of(st.just(0.0), st.floats(1e-2, 10))


@st.composite
def paths(draw) -> list[tuple[float, float]]:
    """Segments that end at inf with a worker that works."""
    pieces = draw(st.lists(st.tuples(lengths_s, some_speeds), max_size=12))
    ends_s = accumulate(length_s for length_s, _ in pieces)
    inner = zip(ends_s, (speed for _, speed in pieces), strict=True)
    return [*inner, (inf, draw(st.floats(1e-2, 10)))]


def speed_before(path, time_s):
    """The speed just before a time."""
    return path[max(0, sum(end_s < time_s for end_s, _ in path))][1]


@given(path=paths(), start_s=st.floats(0, 50), duration_s=st.floats(1e-3, 50))
def test_work_and_duration_are_inverse_on_any_path(path, start_s, duration_s):
    speed = SpeedInTime(iter(path))
    work_s = speed.work_s(0, start_s, duration_s)
    assume(work_s > 0)
    shortest_s = speed.duration_s(0, start_s, work_s)
    assert shortest_s <= duration_s * (1 + 1e-9)
    assert speed.work_s(0, start_s, shortest_s) == pytest.approx(work_s, rel=1e-9, abs=1e-12)
    # Times are sums of up to 60 s with doubles' spacing, 1e-14 s; at speed 0.01 an error of 1e-13
    # in work is one of 1e-11 s. Where it last stood still, the work was done before that.
    if speed_before(path, start_s + duration_s - 1e-9) > 0:
        assert shortest_s == pytest.approx(duration_s, rel=1e-9, abs=2e-9)


@given(path=paths(), start_s=st.floats(0, 50), work_s=st.floats(1e-3, 50))
def test_duration_and_work_are_inverse_on_any_path(path, start_s, work_s):
    speed = SpeedInTime(iter(path))
    duration_s = speed.duration_s(0, start_s, work_s)
    assert speed.work_s(0, start_s, duration_s) == pytest.approx(work_s, rel=1e-9, abs=1e-11)


@given(path=paths(), start_s=st.floats(0, 50), duration_s=st.floats(1e-3, 50))
def test_work_is_the_numerical_integral_of_the_path(path, start_s, duration_s):
    # The midpoint rule on 2,000 intervals is wrong only in those where the speed changes: by at
    # most half an interval times the step, of up to 10.
    ends_s = [end_s for end_s, _ in path]
    step_s = duration_s / 2000
    places = [bisect_right(ends_s, start_s + (k + 0.5) * step_s) for k in range(2000)]
    integral = step_s * sum(path[place][1] for place in places)
    error = 5 * step_s * (len(path) - 1) + 1e-9
    work_s = SpeedInTime(iter(path)).work_s(0, start_s, duration_s)
    assert work_s == pytest.approx(integral, abs=error)


@given(path=paths(), pieces_s=st.lists(st.floats(1e-3, 10), min_size=1, max_size=10))
def test_pieces_of_a_time_add_up(path, pieces_s):
    whole, parts = SpeedInTime(iter(path)), SpeedInTime(iter(path))
    starts_s = [0.0, *accumulate(pieces_s)]
    done_s = sum(parts.work_s(0, *piece) for piece in zip(starts_s, pieces_s, strict=False))
    assert done_s == pytest.approx(whole.work_s(0, 0.0, sum(pieces_s)), rel=1e-9, abs=1e-12)


# Long times.


def test_long_gradients_over_thousands_of_switches():
    model = Markov(slow_fraction=0.33333333333333337, mean_slow_s=0.01, factor=5.0)
    taken_s = np.array([model.speed(Streams(2), i).duration_s(0, 0.0, 100.0) for i in range(20)])
    # In that time it changes some 9,000 times. The work done varies by sqrt(Var W), the time by
    # that over the mean speed.
    mean_s = 100 / model.mean_speed()
    deviation_s = telegraph(model, mean_s)[1] ** 0.5 / model.mean_speed()
    assert taken_s.mean() == pytest.approx(mean_s, abs=5 * deviation_s / 20**0.5)
    assert deviation_s / 2 < taken_s.std() < deviation_s * 2


def test_segments_behind_are_forgotten():
    asked = 0

    def segments() -> Iterator[tuple[float, float]]:
        nonlocal asked
        for end_s, speed in zip(count(1.0), chain.from_iterable(repeat((1.0, 0.5))), strict=False):
            asked += 1
            yield end_s, speed

    speed, now_s = SpeedInTime(segments()), 0.0
    for step in range(5000):
        now_s += speed.duration_s(step, now_s, 2.25)  # 3 s
        assert len(speed._known) <= 5
    assert now_s == pytest.approx(5000 * 3)
    # One beyond what was needed at most; and a long gradient's are forgotten after it.
    assert asked <= now_s + 1
    now_s += speed.duration_s(0, now_s, 7500.0)
    assert len(speed._known) > 9000
    speed.work_s(0, now_s, 1.0)
    assert len(speed._known) <= 3
