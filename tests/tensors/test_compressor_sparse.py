"""Top-k and random-k: which numbers are kept."""

import pytest
import torch
from compressing import compress, uniforms

from desim.errors import ScenarioError
from desim.tensors.compressors._sparse import _sorted_largest, largest
from desim.tensors.compressors.random_k import RandomK
from desim.tensors.compressors.top_k import TopK


def test_the_largest_magnitudes_are_kept():
    x = torch.tensor([[0.1, -5.0, 3.0, 0.0, -4.0], [1.0, 2.0, 3.0, 4.0, -5.0]])
    assert TopK(k=2)(x, uniform=None).tolist() == [[0, -5, 0, 0, -4], [0, 0, 0, 4, -5]]


@pytest.mark.parametrize("k", [1, 3, 50, 99, 100])
def test_as_many_are_kept_as_are_asked_for(k):
    x = torch.randn(4, 100, generator=torch.Generator().manual_seed(0)) + 10
    assert (TopK(k=k)(x, uniform=None) != 0).sum(1).tolist() == [k] * 4
    assert (compress(RandomK(k=k), x) != 0).sum(1).tolist() == [k] * 4


def test_of_equal_magnitudes_as_many_are_kept_as_there_is_room_for():
    x = torch.tensor([[1.0, -1, 1, -1, 1, 7], [2, 2, 2, 2, 2, 2]])
    assert (TopK(k=3)(x, uniform=None) != 0).sum(1).tolist() == [3, 3]
    assert TopK(k=3)(0 * x, uniform=None).tolist() == (0 * x).tolist()


@pytest.mark.parametrize("values", [2, 5, 100, 10**6])
@pytest.mark.parametrize("k", [1, 7, 60, 63])
def test_the_selection_is_that_of_a_sort(values, k):
    keys = torch.randint(values, (50, 63), generator=torch.Generator().manual_seed(k)).double()
    found = largest(keys, k)
    assert torch.equal(found, _sorted_largest(keys, k))
    for row, places in zip(keys.tolist(), found.tolist(), strict=True):
        order = sorted(range(63), key=lambda i: (-row[i], -row[(i + 1) % 63], i))
        assert places == sorted(order[:k])


def test_random_places_are_equally_likely_though_random_numbers_are_often_equal():
    # 64 numbers of 6 bits: in every other row the largest has equals. 5 standard deviations of a
    # binomial (40,000, 1/64); taking the first of them gives it 70 % more than its share.
    drawn = torch.randint(64, (40_000, 64), generator=torch.Generator().manual_seed(0))
    counts = torch.bincount(largest((drawn + 0.5) / 64, 1).flatten(), minlength=64).double()
    assert (counts - 625).abs().max() < 5 * (625 * 63 / 64) ** 0.5
    first = torch.bincount(drawn.argmax(1), minlength=64)
    assert first[0] > 1.3 * 625


def test_kept_numbers_are_scaled_so_that_the_mean_is_right_unless_contractive():
    x = torch.tensor([[1.0, 2, 3, 4]])
    noise = torch.tensor([[0.9, 0.1, 0.8, 0.2]])
    assert RandomK(k=2)(x, uniform=noise.clone()).tolist() == [[2, 0, 6, 0]]
    assert RandomK(k=2, contractive=True)(x, uniform=noise.clone()).tolist() == [[1, 0, 3, 0]]


def test_a_scaled_number_that_overflows_arrives_as_the_largest():
    found = RandomK(k=1)(torch.full((1, 100), 3e38), uniform=torch.arange(100.0)[None] / 100)
    assert found[0, -1] == torch.finfo(torch.float32).max


def test_kept_numbers_of_double_precision_travel_in_single():
    x = torch.tensor([[1 / 3, 1e300]], dtype=torch.float64)
    found = TopK(fraction=1.0)(x, uniform=None)
    assert found.tolist() == [[float(torch.tensor(1 / 3)), torch.finfo(torch.float32).max]]


def test_receivers_with_other_random_numbers_put_numbers_elsewhere():
    x, compressor = torch.linspace(1, 2, 100), RandomK(k=5)
    data = compressor.encode(x, uniforms(compressor, (100,), 0, x.dtype))
    other = compressor.decode(data, 100, x.dtype, uniforms(compressor, (100,), 1, x.dtype))
    assert not torch.equal(other, compress(compressor, x[None])[0])


@pytest.mark.parametrize(
    ("made", "table", "message"),
    [
        (TopK, {}, "fraction = None, k = None: give one, such as fraction = 0.01"),
        (TopK, {"fraction": 0.1, "k": 3}, "fraction = 0.1, k = 3: give one"),
        (RandomK, {"k": 3, "index_bits": 32}, "index_bits = 32: no place is sent; add shared_seed"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(made, table, message):
    with pytest.raises(ScenarioError, match=message):
        made(**table)


def test_places_that_need_more_bits_are_refused():
    with pytest.raises(ValueError, match="index_bits = 6: must be at least 7 for 100 parameters"):
        TopK(k=3, index_bits=6).size_bits(100)
