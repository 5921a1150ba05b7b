"""What isn't finite is never compressed: the simulation says so instead."""

import pickle
from types import SimpleNamespace

import pytest
import torch
from builders import examples, label

from desim.errors import NonFiniteError
from desim.streams import Streams
from desim.tensors.compressors.elias_qsgd import EliasQSGD
from desim.tensors.compressors.random_rounding import RandomRounding
from desim.tensors.kernels import OneByOneKernels
from desim.tensors.maps import Maps, Uniforms
from desim.tensors.refs import Draw, Map, Node, Plain
from desim.tensors.store import Store

ROUNDING = RandomRounding(grid=0.25, range=4.0)
PARAMETERS = 60_000  # two rows a block


def stored(rows):
    """A store, and the rows in it as operations that have been evaluated."""
    store = Store(rows.shape[1], 4 * len(rows), rows.dtype, torch.device("cpu"))
    nodes = []
    for i, index in enumerate(store.take(len(rows))):
        store.data[index] = rows[i]
        node = Node(i, store, ())
        node.row = index
        nodes.append(node)
    return store, nodes


def maps(nodes, function):
    return [
        Map(i, node.store, (node,), function, Draw("dither", i, 10 + i))
        for i, node in enumerate(nodes)
    ]


def batched(store):
    return Maps(store, Uniforms(Streams(0), store.data.dtype))


def alone(store):
    return OneByOneKernels(store, SimpleNamespace(), None, Streams(0)).maps


@pytest.fixture(params=[batched, alone])
def kernel(request):
    return request.param


@pytest.mark.parametrize("compressor", examples("compressors"), ids=label)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_message_that_is_not_finite_names_its_worker(kernel, compressor, bad):
    rows = torch.ones(5, 100)
    rows[3, 7] = bad
    store, nodes = stored(rows)
    with pytest.raises(
        NonFiniteError, match=f"worker 3's message 13 has {bad} as number 7"
    ) as info:
        kernel(store)(maps(nodes, compressor))
    assert (info.value.worker, info.value.step) == (3, 13)
    assert f"{compressor.kind} can't send it; has training diverged?" in str(info.value)


def test_infinities_that_cancel_are_found_in_a_large_block(kernel):
    rows = torch.zeros(5, PARAMETERS)
    rows[4, 100], rows[4, 200] = float("inf"), -float("inf")
    store, nodes = stored(rows)
    with pytest.raises(NonFiniteError, match="worker 4's message 14 has inf as number 100"):
        kernel(store)(maps(nodes, ROUNDING))


def test_a_sum_that_overflows_is_no_false_alarm(kernel):
    store, nodes = stored(torch.full((3, PARAMETERS), 3e38))
    done = maps(nodes, ROUNDING)
    kernel(store)(done)
    assert store.data[done[0].row].tolist() == [4.0] * PARAMETERS


def test_other_functions_of_rows_may_be_given_anything(kernel):
    store, nodes = stored(torch.full((3, 10), float("nan")))
    done = maps(nodes, Plain(torch.nan_to_num))
    kernel(store)(done)
    assert store.data[done[2].row].tolist() == [0.0] * 10


def test_the_size_of_such_a_message_is_refused_too():
    store, nodes = stored(torch.full((1, 10), float("nan")))
    kernels = OneByOneKernels(store, SimpleNamespace(), None, Streams(0))
    with pytest.raises(NonFiniteError, match="worker 2's message 5 has nan as number 0"):
        kernels.content_bits(EliasQSGD(levels=3), nodes[0], Draw("dither", 2, 5))


def test_the_error_travels_from_another_process():
    error = pickle.loads(pickle.dumps(NonFiniteError("worker 3's message", 3, 17)))
    assert (str(error), error.worker, error.step) == ("worker 3's message", 3, 17)
