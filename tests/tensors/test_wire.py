"""Bits on the wire: what is written is read back, and takes the bits that are counted."""

from math import floor, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desim.tensors.wire import Reader, Writer, elias_bits

integers = st.integers(0, 62).flatmap(
    lambda width: st.tuples(st.just(width), st.lists(st.integers(0, 2**width - 1), max_size=20))
)
positive = st.lists(st.integers(1, 20) | st.integers(1, 2**39), max_size=30)


def elias(k):
    """Elias' omega code as its definition says."""
    code = "0"
    while k > 1:
        code = f"{k:b}" + code
        k = len(f"{k:b}") - 1
    return code


@given(st.lists(integers, max_size=5))
def test_integers_of_any_width_come_back(fields):
    message = Writer()
    for width, values in fields:
        message.integers(values, width)
    assert message.bits == sum(width * len(values) for width, values in fields)
    data = message.to_bytes()
    assert len(data) == -(-message.bits // 8)
    reader = Reader(data)
    for width, values in fields:
        assert reader.integers(len(values), width).tolist() == values
    reader.end()


@given(st.sampled_from([16, 32, 64]), st.data())
def test_floats_come_back_bit_for_bit(width, data):
    values = data.draw(st.lists(st.floats(width=width), max_size=20))
    message = Writer()
    message.integers([1], 3)  # not at the beginning of a byte
    message.floats(values, width)
    assert message.bits == 3 + width * len(values)
    reader = Reader(message.to_bytes())
    reader.integers(1, 3)
    np.testing.assert_array_equal(reader.floats(len(values), width), values)


@given(positive, positive)
def test_elias_codes_are_those_of_the_definition_and_come_back(first, second):
    message = Writer()
    message.elias(first)
    message.integers([5], 3)
    message.elias(second)
    codes = "".join(map(elias, first)) + "101" + "".join(map(elias, second))
    assert message.bits == len(codes)
    data = message.to_bytes()
    assert "".join(f"{byte:08b}" for byte in data)[: len(codes)] == codes
    reader = Reader(data)
    assert reader.elias(len(first)).tolist() == first
    assert reader.integers(1, 3).tolist() == [5]
    assert reader.elias(len(second)).tolist() == second
    reader.end()


@given(st.integers(2, 2**45))
def test_the_length_of_an_elias_code_follows_its_recursion(k):
    width = floor(log2(k))
    width -= 2**width > k  # log2 rounds up just below a large power of two
    assert elias_bits(k) == elias_bits(width) + width + 1


def test_known_elias_lengths():
    assert elias_bits([1, 2, 3, 4, 7, 8, 15, 16, 100, 1000]).tolist() == [
        1, 3, 3, 6, 6, 7, 7, 11, 13, 17,
    ]  # fmt: skip


@pytest.mark.parametrize("read", ["integers", "floats", "elias"])
def test_a_message_that_ends_too_early_is_refused(read):
    message = Writer()
    message.integers([3] * 4, 2)  # 11111111
    reader = Reader(message.to_bytes())
    arguments = (1,) if read == "elias" else (2, 32)
    with pytest.raises(ValueError, match="8 bits: must be at least"):
        getattr(reader, read)(*arguments)


def test_what_is_left_over_is_refused():
    reader = Reader(b"\0\0")
    reader.integers(1, 8)
    with pytest.raises(ValueError, match="8 bits are left: must be fewer than 8"):
        reader.end()
