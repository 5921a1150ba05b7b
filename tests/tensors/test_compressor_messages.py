"""Every compressor's message: real bytes, of the size that is charged, that give what arrives.

A new compressor is picked up from the registry, with the parameters in its `examples`.
"""

from math import ceil

import numpy as np
import pytest
import torch
from builders import examples, label
from compressing import compress, decode, encode, uniforms
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

DTYPES = {torch.float32: np.float32, torch.float64: np.float64}


every = pytest.mark.parametrize("compressor", examples("compressors"), ids=label)


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


def finite(bits):
    """Any finite number: zeros, denormals and the largest are among them."""
    return st.floats(width=bits, allow_nan=False, allow_infinity=False)


def vectors(dtype, elements):
    made = arrays.arrays(DTYPES[dtype], st.integers(1, 60), elements=elements)
    return made.map(torch.from_numpy)


def check(compressor, x, seed):
    data, bits = encode(compressor, x, seed)
    assert len(data) == ceil(bits / 8)
    arrived = decode(compressor, data, len(x), x.dtype, seed)
    expected = compress(compressor, x[None], seed)[0]
    assert arrived.dtype == x.dtype
    assert torch.equal(arrived, expected)
    assert expected.isfinite().all()


@every
@given(
    x=vectors(torch.float32, finite(32)) | vectors(torch.float64, finite(64)),
    seed=st.integers(0, 9),
)
@settings(max_examples=30, deadline=None)
def test_a_message_has_the_size_that_is_charged_and_gives_what_arrives(compressor, x, seed):
    check(compressor, x, seed)


@every
@pytest.mark.parametrize("size", [1, 2, 47, 48, 49, 97, 2000])
def test_messages_of_any_length_arrive(compressor, dtype, size):
    x = torch.randn(size, generator=torch.Generator().manual_seed(size), dtype=dtype) / 5
    check(compressor, x, size)


@every
@pytest.mark.parametrize(
    "numbers",
    [
        [0.0] * 20,
        [0.0, -0.0, 0.5, -0.5, 0.0] * 4,
        [1e-45, -1e-40, 0.0, 1e-39],
        [3.4e38, -3.4e38, 1.0, 0.0],
        [3.4e38] * 50,
        [1e-45, 3.4e38],
        [1.0] + [1e-10] * 100,
        [0.25] * 100,
    ],
    ids=lambda numbers: f"{numbers[:3]} x {len(numbers)}",
)
def test_messages_of_odd_numbers_arrive(compressor, dtype, numbers):
    check(compressor, torch.tensor(numbers, dtype=torch.float64).to(dtype), 1)


@every
def test_numbers_beyond_single_precision_arrive_as_the_largest_at_most(compressor):
    check(compressor, torch.tensor([1e300, -1e200, 5e38, 1.0], dtype=torch.float64), 0)


# Random ones keep it in the mean of many draws: see test_compressor_conformance.
@pytest.mark.parametrize(
    "compressor", [made for made in examples("compressors") if not made.random], ids=label
)
@given(x=vectors(torch.float64, st.integers(-3000, 3000).map(lambda n: n / 3001)))
@settings(max_examples=30, deadline=None)
def test_errors_keep_their_bound_for_any_vector(compressor, x):
    error = float((compress(compressor, x[None])[0] - x).square().sum())
    bound, square = compressor.error_bound(len(x)), float(x.square().sum())
    if compressor.error == "relative":
        bound *= square
    assert error <= bound * (1 + 1e-6) + 1e-13 * square


@every
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused(compressor, dtype, bad):
    x = torch.ones(20, dtype=dtype)
    x[7] = x[9] = bad
    with pytest.raises(ValueError, match=rf"^x\[7\] = {bad}: must be finite to be sent$"):
        compressor.encode(x, uniforms(compressor, x.shape, 0, dtype))


@every
def test_a_sum_that_overflows_is_no_reason_to_refuse(compressor):
    x = torch.full((20,), 3e38)
    compressor.encode(x, uniforms(compressor, x.shape, 0, torch.float32))


@every
def test_a_message_of_another_length_is_refused(compressor):
    x = torch.linspace(-1, 1, 100)
    data, _ = encode(compressor, x)
    with pytest.raises(ValueError, match="bits"):
        decode(compressor, data[:-2], len(x), x.dtype)
    with pytest.raises(ValueError, match="bits are left: must be fewer than 8"):
        decode(compressor, data + b"\0", len(x), x.dtype)


@every
def test_a_message_is_made_of_the_vector_alone(compressor, dtype):
    x = torch.linspace(-1, 1, 64, dtype=dtype)
    before = x.clone()
    assert encode(compressor, x) == encode(compressor, x)
    assert torch.equal(x, before)
