"""Graphs that don't exist are refused with the key, the value and the rule."""

import pytest

from desim.errors import ScenarioError
from desim.streams import Streams
from desim.topologies.base import Topology


def refusal(table, workers):
    with pytest.raises(ScenarioError) as error:
        Topology.parse(table).build(workers, Streams(0).generator("graph"))
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_graph_that_falls_apart_is_given_up_after_100_attempts():
    text = refusal({"kind": "erdos-renyi", "p": 0.001}, 50)
    assert "network.topology" in text
    assert "'p': 0.001" in text
    assert "100 graphs were drawn and none was connected on 50 workers" in text


@pytest.mark.parametrize("workers", [5, 13, 3])
def test_a_prime_number_of_workers_fills_no_torus(workers):
    text = refusal({"kind": "torus"}, workers)
    assert f"network.topology.rows = 1: {workers} workers don't fill a grid" in text
    assert "change cluster.workers or rows" in text


@pytest.mark.parametrize(("rows", "workers"), [(5, 12), (12, 12), (7, 3)])
def test_rows_must_divide_the_workers_and_leave_two_columns(rows, workers):
    text = refusal({"kind": "torus", "rows": rows}, workers)
    assert f"network.topology.rows = {rows}: {workers} workers" in text


@pytest.mark.parametrize(("degree", "workers"), [(3, 5), (5, 7), (4, 4), (9, 4)])
def test_a_regular_graph_needs_an_even_sum_of_degrees_below_the_workers(degree, workers):
    text = refusal({"kind": "random-regular", "degree": degree}, workers)
    assert f"network.topology.degree = {degree}: must be less than the {workers} workers" in text
    assert "even" in text


def test_a_regular_graph_of_pairs_is_not_connected():
    assert "connected" in refusal({"kind": "random-regular", "degree": 1}, 6)
