"""Error feedback, and compressors for each layer."""

import pickle

import pytest
import torch
from compressing import compress, decode, encode, uniforms

from desim.errors import ScenarioError
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.error_feedback import ErrorFeedback
from desim.tensors.compressors.per_layer import PerLayer

LAYERS = (60, 1, 30, 9)


def per_layer(inner, **fields):
    return PerLayer(compressor=inner, **fields).fitted(LAYERS)


INNER = [
    "sign",
    "terngrad",
    "natural",
    {"kind": "min-max", "bucket": 7},
    {"kind": "top-k", "fraction": 0.2},
    {"kind": "random-k", "k": 3},
    {"kind": "low-precision", "levels": 5, "bucket": 16},
    {"kind": "elias-qsgd", "levels": 5},
    {"kind": "error-feedback", "compressor": "stochastic-sign"},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("inner", INNER, ids=str)
def test_each_layer_arrives_as_if_it_were_alone(inner, dtype):
    inner = Compressor.parse(inner)
    compressor = per_layer(inner)
    rows = torch.randn(3, 100, generator=torch.Generator().manual_seed(0), dtype=dtype)
    noise = uniforms(compressor, rows.shape, 0, dtype)
    start = 0
    alone = []
    for size in LAYERS:
        part = slice(start, start := start + size)
        alone.append(
            inner(rows[:, part], uniform=None if noise is None else noise[:, part].clone())
        )
    assert torch.equal(compress(compressor, rows), torch.cat(alone, 1))


@pytest.mark.parametrize("inner", INNER, ids=str)
def test_the_messages_of_layers_follow_each_other_without_gaps(inner):
    compressor = per_layer(Compressor.parse(inner))
    x = torch.randn(100, generator=torch.Generator().manual_seed(1))
    data, bits = encode(compressor, x)
    assert len(data) == -(-bits // 8)
    assert torch.equal(decode(compressor, data, 100, x.dtype), compress(compressor, x[None])[0])


def test_sizes_add_up_and_bounds_are_those_of_the_worst_layer():
    assert per_layer("sign").size_bits(100) == 4 * 32 + 100
    assert per_layer("sign").error_bound(100) == 1 - 1 / 60
    # k = 12, 1, 6, 2 of 60, 1, 30, 9 with places of 6, 0, 5, 4 bits.
    assert per_layer({"kind": "top-k", "fraction": 0.2}).size_bits(100) == (
        12 * 38 + 32 + 6 * 37 + 2 * 36
    )
    rounding = per_layer({"kind": "random-rounding", "grid": 1.0, "range": 3.0})
    assert rounding.error_bound(100) == 25


def test_what_is_billed_inside_counts_and_what_is_billed_outside_counts_more():
    billed = {"kind": "elias-qsgd", "levels": 3, "billed_bits": 5}
    assert per_layer(billed).sent_bits(100) == 500
    assert not per_layer(billed).sized_by_content
    assert per_layer(billed, billed_bits=2).sent_bits(100) == 200
    assert ErrorFeedback(compressor=billed).sent_bits(100) == 500
    assert ErrorFeedback(compressor=billed, billed_bits=2).sent_bits(100) == 200


def test_a_model_of_another_size_is_refused():
    with pytest.raises(ValueError, match="parameters = 99: must be 100, the sum of the layers'"):
        per_layer("sign").size_bits(99)


def test_compressors_for_other_layers_share_no_call():
    assert per_layer("sign") == per_layer("sign")
    assert hash(per_layer("sign")) == hash(per_layer("sign"))
    assert per_layer("sign") != PerLayer(compressor="sign").fitted((50, 50))
    assert per_layer("sign") != PerLayer(compressor="sign")


def test_a_fitted_compressor_travels_to_another_process():
    made = per_layer({"kind": "error-feedback", "compressor": "sign"})
    assert pickle.loads(pickle.dumps(made)) == made


def test_only_error_feedback_has_memory():
    feedback = ErrorFeedback(compressor="sign")
    assert feedback.memory
    assert per_layer(feedback).memory
    assert not per_layer("sign").memory
    assert feedback.fitted(LAYERS).memory


def test_error_feedback_of_layers_is_fitted_inside():
    outside = ErrorFeedback(compressor={"kind": "per-layer", "compressor": "sign"}).fitted(LAYERS)
    assert outside.size_bits(100) == 4 * 32 + 100


def test_error_feedback_twice_is_refused():
    with pytest.raises(ScenarioError, match="has error feedback already"):
        ErrorFeedback(compressor={"kind": "error-feedback", "compressor": "sign"})
