"""Linear combinations of rows against dense numpy."""

import numpy as np
import pytest
import torch

from desim.tensors.combinations import Combinations
from desim.tensors.refs import Combination, Node
from desim.tensors.store import Store

CPU = torch.device("cpu")


def sources(store, count, random, scattered):
    """Nodes with random rows; scattered ones lie in random order with holes between."""
    spare = [Node(0, store, ()) for _ in range(2 * count if scattered else count)]
    rows = list(store.take(len(spare)))
    if scattered:
        random.shuffle(rows)
    for order, (node, row) in enumerate(zip(spare, rows, strict=True)):
        node.order, node.row = order, row
        store.data[row] = torch.from_numpy(random.standard_normal(store.parameters)).to(store.data)
    return spare[:count]  # the others are given back: holes


def evaluate(terms, inputs, store):
    """terms: for each output a list of (coefficient, number of the input)."""
    before = np.stack([store.data[node.row].double().numpy() for node in inputs])
    nodes = [
        Combination(i << 40, store, [inputs[k] for _, k in row], [c for c, _ in row])
        for i, row in enumerate(terms)
    ]
    dense = np.zeros((len(terms), len(inputs)))
    for i, row in enumerate(terms):
        for c, k in row:
            dense[i, k] += c
    Combinations(store)(nodes)
    found = np.stack([store.data[node.row].double().numpy() for node in nodes])
    after = np.stack([store.data[node.row].double().numpy() for node in inputs])
    np.testing.assert_array_equal(after, before)  # inputs are left alone
    assert len({node.row for node in (*nodes, *inputs)}) == len(nodes) + len(inputs)
    return found, dense @ before


def pattern(name, random, outputs=30, inputs=40):
    c = random.standard_normal((outputs, inputs)).round(3)
    match name:
        case "dense":
            return [[(c[i, k], k) for k in range(inputs)] for i in range(outputs)]
        case "sparse":
            return [[(c[i, k], k) for k in random.choice(inputs, 2, False)] for i in range(outputs)]
        case "private":  # every input belongs to one output
            return [[(c[i, i], i)] for i in range(outputs)]
        case "mix and step":  # shared messages, a model and a gradient of one's own
            return [
                [(c[i, k], k) for k in random.choice(9, 4, False)] + [(0.5, 9 + i)]
                for i in range(outputs)
            ]
        case "duplicates":
            return [[(0.25, i), (c[i, 0], 3), (0.5, i), (0.25, 3)] for i in range(outputs)]
        case "cancelling":
            return [[(1.0, i), (c[i, 1], 2), (-1.0, i)] for i in range(outputs)]
        case "all cancel":
            return [[(1.0, i), (-1.0, i)] for i in range(outputs)]
        case "some empty":
            return [[(c[i, 0], i)] if i % 2 else [] for i in range(outputs)]
        case "many private":  # more per output than are added one by one
            return [[(c[i, k], 5 * i + k) for k in range(5)] for i in range(8)]
        case "one":
            return [[(2.0, 0), (-1.0, 1)]]
        case "copies":
            return [[(1.0, 7)] for _ in range(outputs)]
    raise AssertionError(name)


PATTERNS = [
    "dense",
    "sparse",
    "private",
    "mix and step",
    "duplicates",
    "cancelling",
    "all cancel",
    "some empty",
    "many private",
    "one",
    "copies",
]


@pytest.mark.parametrize("scattered", [False, True], ids=["in order", "scattered"])
@pytest.mark.parametrize("name", PATTERNS)
def test_combinations_equal_a_dense_product(name, scattered):
    random = np.random.default_rng(0)
    store = Store(1000, 200, torch.float64, CPU)
    found, expected = evaluate(pattern(name, random), sources(store, 40, random, scattered), store)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("parameters", [1, 15, 16, 17, 513, 30_000])
def test_any_number_of_parameters_will_do(parameters):
    # 30,000 numbers a row take several blocks of columns.
    random = np.random.default_rng(1)
    store = Store(parameters, 100, torch.float64, CPU)
    found, expected = evaluate(
        pattern("mix and step", random), sources(store, 40, random, True), store
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_large_sparse_graph_takes_the_sparse_product():
    random = np.random.default_rng(2)
    store = Store(50, 1300, torch.float64, CPU)
    ring = [[(1 / 3, (i + k) % 600) for k in (-1, 0, 1)] for i in range(600)]
    found, expected = evaluate(ring, sources(store, 600, random, False), store)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_float32_rows_are_as_exact_as_float32():
    # 40 terms of order 1: rounding of about sqrt(40) * 6e-8.
    random = np.random.default_rng(3)
    store = Store(700, 100, torch.float32, CPU)
    found, expected = evaluate(pattern("dense", random), sources(store, 40, random, True), store)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_store_that_grows_for_the_outputs_gives_the_same():
    random = np.random.default_rng(4)
    store = Store(100, 40, torch.float64, CPU)
    found, expected = evaluate(pattern("dense", random), sources(store, 40, random, False), store)
    assert len(store.data) > 40
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_results_do_not_depend_on_where_rows_lie():
    # The same sums in the same order: equal to the last bit.
    found = []
    for scattered in (False, True):
        random = np.random.default_rng(5)
        terms = pattern("mix and step", random)
        store = Store(1000, 200, torch.float64, CPU)
        inputs = sources(store, 40, np.random.default_rng(6), scattered)
        for k, node in enumerate(inputs):
            row = np.random.default_rng([7, k]).standard_normal(1000)
            store.data[node.row] = torch.from_numpy(row)
        found.append(evaluate(terms, inputs, store)[0])
    np.testing.assert_array_equal(*found)
