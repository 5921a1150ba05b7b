"""What a class of one's own returns is checked where it enters, and named."""

import re
from math import inf, nan
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from builders import setting, simulate
from torch import nn

import desim
from desim.clock.stragglers.base import SpeedInTime
from desim.errors import DesimError, ScenarioError, SimulationError
from desim.streams import Streams

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
PLACES = np.arange(40)


def refused(words: str, error: type[DesimError] = ScenarioError) -> Any:
    return pytest.raises(error, match=re.escape(words))


def problem(partition: desim.Partition) -> desim.Problem:
    return desim.Problem(dataset=(X, PLACES % 2), model=nn.Linear(3, 2), partition=partition)


class Given(desim.Partition):
    shards: Any

    def assign(self, targets, workers, samples_per_worker, random):
        return self.shards


@pytest.mark.parametrize(
    ("shards", "words"),
    [
        ([PLACES[:5]] * 3, "gives 3 shards; must be one for each of 4 workers"),
        (None, "gives None; must be one for each of 4 workers"),
        (iter([PLACES] * 4), "gives <list_iterator"),
        ([PLACES[:20], PLACES[:0], PLACES[20:], PLACES[:1]], "worker 1 holds no samples"),
        ([[1], [2], [40], [4]], "worker 2 is given sample 40; must be from 0 to 39"),
        ([[1], [2], [3], [-1]], "worker 3 is given sample -1; must be from 0 to 39"),
        ([[1, 5, 5], [2], [3], [4]], "worker 0 is given sample 5 twice"),
        ([[1.0], [2], [3], [4]], "worker 0 is given float64 of shape (1,)"),
        ([PLACES < 9] * 4, "worker 0 is given bool of shape (40,)"),
        ([PLACES.reshape(4, 10)] * 4, "worker 0 is given int64 of shape (4, 10)"),
        ([[1], [[2], [3, 4]], [3], [4]], "worker 1 is given"),
        ([[1], None, [3], [4]], "worker 1 is given object of shape ()"),
    ],
)
def test_a_partition_gives_everybody_places_in_the_data(shards, words):
    with refused(f"Given': {words}"):
        problem(Given(shards=shards)).task(4, Streams(0), torch.device("cpu"))


def test_workers_may_hold_different_numbers_and_share_samples():
    shards = [PLACES[:20], PLACES[:1], [7, 3], np.array([39], np.uint8)]
    task = problem(Given(shards=shards)).task(4, Streams(0), torch.device("cpu"))
    found = [task.train_x[places].numpy() for places in task.shards]
    for rows, places in zip(found, shards, strict=True):
        np.testing.assert_array_equal(rows, X[np.asarray(places)])


class Drawn(desim.Topology):
    graph: Any

    def draw(self, workers, random):
        return self.graph


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (None, "draws None; must be a networkx Graph or DiGraph"),
        ([(0, 1)], "draws [(0, 1)]; must be a networkx Graph"),
        (nx.path_graph(3), "draws 3 nodes; must be those from 0 to 3"),
        (nx.path_graph(5), "draws 5 nodes, 4 among them"),
        (nx.path_graph("abcd"), "draws 4 nodes, 'a' among them"),
        (nx.Graph([(0, 1), (1, 2), (2, 3), (2, 2)]), "links worker 2 with itself"),
        (nx.Graph([(0, 1), (2, 3)]), "not connected on 4 workers"),
    ],
    ids=str,
)
def test_a_topology_draws_a_connected_graph_of_the_workers(graph, words):
    with refused(words):
        Drawn(graph=graph).build(4, np.random.default_rng(0))


class Mixed(desim.Mixing):
    rows: Any

    def off_diagonal(self, graph):
        return self.rows


RING = desim.Topology.parse("ring").build(4, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "gives None of weights; must be one for each of 4 workers"),
        ([[0.3, 0.3]] * 3, "gives 3 rows of weights"),
        ([[0.3, 0.3, 0.3]] * 4, "worker 0 weights of shape (3,), float64; must be one number for"),
        ([0.3] * 4, "worker 0 weights of shape ()"),
        ([["a", "b"]] * 4, "worker 0 weights of shape (2,), <U1"),
        ([[0.3, 0.3], [0.3, nan], [0.3, 0.3], [0.3, 0.3]], "worker 1's weights must be finite"),
        ([[0.3, inf]] * 4, "worker 0's weights must be finite"),
        ([[0.3, 0.0]] * 4, "every neighbour's weight must be positive"),
        ([[0.1, 0.1], [0.2, 0.2], [0.1, 0.1], [0.1, 0.1]], "W must be symmetric"),
    ],
)
def test_a_mixing_gives_every_neighbour_a_weight(rows, words):
    with refused(words):
        Mixed(rows=rows).build(RING)


def test_lists_of_weights_are_taken():
    matrix = Mixed(rows=[[0.25, 0.25]] * 4).build(RING).matrix().toarray()
    np.testing.assert_allclose(matrix.sum(0), 1)


class Sends(desim.Compressor):
    error = "bounded"
    unbiased = random = False
    result: Any = lambda rows: rows.clone()
    bits: Any = 32.0

    def size_bits(self, parameters):
        return self.bits

    def error_bound(self, parameters):
        return 0.0

    def __call__(self, rows, *, uniform):
        return self.result(rows)

    def write(self, x, uniform, message):
        raise AssertionError("a simulation writes no messages")

    def read(self, message, parameters, dtype, uniform):
        raise AssertionError("a simulation reads no messages")


def compressed(**fields: Any) -> dict[str, Any]:
    return {"kind": "quantimed-dsgd", "expected_batch": 2, "compressor": Sends(**fields)}


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda rows: rows[:, :2], "2), torch.float32 for rows of shape ("),
        (lambda rows: rows[0], "gives shape (4,), torch.float32 for rows"),
        (lambda rows: rows.double(), "torch.float64 for rows"),
        (lambda rows: None, "gives NoneType for rows"),
        (lambda rows: rows / 0, "makes finite numbers into ones that aren't"),
    ],
)
def test_a_compressor_keeps_shape_and_type_and_stays_finite(result, words, one_by_one):
    with refused(words):
        simulate(setting(compressed(result=result)), train=True, one_by_one=one_by_one)


@pytest.mark.parametrize("bits", [-1, 2.5, nan, inf, None, "32", True])
@pytest.mark.parametrize("train", [False, True])
def test_a_message_has_a_whole_number_of_bits(bits, train):
    with refused(f"gives {bits!r} as the size of a message in bits; must be a whole number"):
        simulate(setting(compressed(bits=bits)), train=train)


@pytest.mark.parametrize("bits", [64, 64.0, np.int64(64), np.ceil(63.5)])
def test_a_whole_number_of_bits_may_be_of_any_type(bits):
    row = simulate(setting(compressed(bits=bits))).outcome.rows[-1]
    assert row.bits_sent == 3 * 6 * 64


class Steps(desim.PerStep):
    given: Any = None
    mean: Any = 1.0

    def speeds(self, streams, worker, steps):
        return self.given(steps)

    def mean_speed(self):
        return self.mean

    def mean_slowdown(self):
        return 1.0


DSGD = {"kind": "dsgd", "batch": 2}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda steps: 0.0 * steps, "gives a speed of 0.0; must be positive and finite"),
        (lambda steps: np.where(steps == 40, -1.0, 1.0), "gives a speed of -1.0"),
        (lambda steps: np.where(steps == 40, nan, 1.0), "gives a speed of nan"),
        (lambda steps: steps + inf, "gives a speed of inf"),
        (lambda steps: 1.0, "gives 1.0 as speeds; must be an array of shape (64,)"),
        (lambda steps: np.ones(3), "as speeds; must be an array of shape (64,)"),
        (lambda steps: None, "gives None as speeds"),
    ],
)
def test_speeds_are_positive_finite_and_one_for_each_step(given, words):
    with refused(words):
        simulate(setting(DSGD, stragglers=Steps(given=given)))


@pytest.mark.parametrize("mean", [nan, -1.0, None, "1"])
def test_a_mean_speed_is_a_number_and_not_negative(mean):
    law = Steps(given=lambda steps: steps + 1.0, mean=mean)
    with refused(f"mean_speed gives {mean!r}; must be 0 or more"):
        simulate(setting({"kind": "quantimed-dsgd", "expected_batch": 2}, stragglers=law))


class Runs(desim.StragglerModel):
    made: Any

    def speed(self, streams, worker):
        return self.made()

    def mean_speed(self):
        return 1.0

    def mean_slowdown(self):
        return 1.0


class Fixed:
    def __init__(self, seconds: Any) -> None:
        self.seconds = seconds

    def duration_s(self, step, start_s, work_s):
        return self.seconds

    def work_s(self, step, start_s, duration_s):
        return self.seconds


def segments(*given: tuple[float, float]) -> Any:
    return lambda: SpeedInTime(iter(given))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: None, "`speed` gives None; must have duration_s and work_s"),
        (lambda: Fixed(-1), "duration_s gives -1; must be 0 or more"),
        (lambda: Fixed(nan), "duration_s gives nan; must be 0 or more"),
        (lambda: Fixed("1"), "duration_s gives '1'; must be 0 or more"),
        (segments((1.0, 1.0), (1.0, 2.0)), "gives the speed 2.0 until 1.0 s, after a segment"),
        (segments((1.0, -1.0), (inf, 2.0)), "gives the speed -1.0 until 1.0 s"),
        (segments((1.0, nan), (inf, 2.0)), "gives the speed nan until 1.0 s"),
        (segments((1.0, 1.0)), "gives no speed after 1.0 s; the last segment must end at inf"),
        (segments(), "a speed needs a segment"),
    ],
)
def test_a_speed_in_time_takes_no_less_than_no_time(made, words):
    with refused(words):
        simulate(setting(DSGD, stragglers=Runs(made=made)))


def test_an_amount_of_work_is_finite():
    method = {"kind": "quantimed-dsgd", "deadline_s": 1.0}
    with refused("work_s gives inf; must be 0 or more and finite"):
        simulate(setting(method, stragglers=Runs(made=lambda: Fixed(inf))))


class Measures(desim.Metric):
    given: Any

    def value(self, evaluation):
        return self.given


class Huge(desim.Metric):
    def value(self, evaluation):
        return 10**400


def test_a_metric_is_no_larger_than_a_float():
    evaluate = {"every_rounds": 1, "metrics": (Huge(),)}
    with refused("must be a number", SimulationError):
        simulate(setting(DSGD, evaluate=evaluate), train=True)


@pytest.mark.parametrize("given", [1j, np.ones(1), torch.ones(1, 1), [], "1"], ids=str)
def test_a_metric_is_one_number(given):
    evaluate = {"every_rounds": 1, "metrics": (Measures(given=given),)}
    with refused("must be a number", SimulationError):
        simulate(setting(DSGD, evaluate=evaluate), train=True)


class FailsLate(desim.Metric):
    """Works at the beginning, and not at the end."""

    def value(self, evaluation):
        return None if evaluation.counts.steps else 1.0


@pytest.mark.parametrize("stop", [{"rounds": 3}, {"steps": 4}, {"time_s": 5.0}], ids=str)
def test_what_goes_wrong_in_the_last_evaluation_is_told(stop):
    evaluate = {"every_rounds": 10**6, "metrics": (FailsLate(),)}
    with refused("must be a number", SimulationError):
        simulate(setting(DSGD, evaluate=evaluate, stop=stop), train=True)
