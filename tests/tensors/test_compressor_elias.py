"""The size of QSGD's Elias-coded messages."""

import numpy as np
import pytest
import torch
from compressing import compress, encode, uniforms

from desim.tensors.compressors.elias_qsgd import EliasQSGD
from desim.tensors.compressors.low_precision import LowPrecision

VECTORS = {
    "normal": torch.randn(2000, generator=torch.Generator().manual_seed(1)).double(),
    "constant": torch.ones(2000).double(),
    "one number": torch.ones(1).double(),
    "sparse": torch.zeros(2000).index_fill_(0, torch.arange(0, 2000, 97), -1.0).double(),
}


def test_a_message_computed_by_hand():
    # With the max-norm 3 and three levels: 0, 3, 0, 0, -1, 0. The code of 2 + 1 for two levels, of
    # the distances 2 and 3, two signs, and the codes of the levels 3 and 1.
    x = torch.tensor([0.0, 3, 0, 0, -1, 0])
    compressor, noise = EliasQSGD(levels=3, norm="max"), torch.full((6,), 0.5)
    assert compressor.content_bits(x, noise.clone()) == 32 + 3 + 6 + 2 + 4
    data = compressor.encode(x, noise.clone())
    assert f"{int.from_bytes(data[4:], 'big'):016b}" == "1101001100111000"
    torch.testing.assert_close(compressor.decode(data, 6), x, rtol=3e-7, atol=0)


def test_the_values_are_those_of_fixed_widths():
    x = VECTORS["normal"][None]
    for table in ({"levels": 4}, {"levels": 31, "bucket": 100}, {"levels": 4, "contractive": True}):
        assert torch.equal(compress(EliasQSGD(**table), x), compress(LowPrecision(**table), x))


def test_zeros_cost_a_norm_and_an_empty_list():
    _, bits = encode(EliasQSGD(levels=3), torch.zeros(1000))
    assert bits == 32 + 1


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize(
    "table",
    [
        {"levels": 1},
        {"levels": 10},
        {"levels": 45},
        {"levels": 65536},
        {"levels": 127, "bucket": 48},
        {"levels": 1, "norm": "max"},
        {"levels": 9, "norm": "max", "bucket": 64},
    ],
    ids=str,
)
def test_the_mean_size_is_below_the_bound(table, vector):
    compressor, x = EliasQSGD(**table), VECTORS[vector]
    sizes = [compressor.content_bits(x, uniforms(compressor, x.shape, seed)) for seed in range(50)]
    assert np.mean(sizes) <= compressor.size_bits(len(x))


def test_few_levels_of_many_parameters_cost_far_less_than_fixed_widths():
    # Theorem 3.2 for s = 1: some sqrt(d) levels above zero, of 3/2 log2(sqrt d) bits and more.
    x = torch.randn(39_760, generator=torch.Generator().manual_seed(0))
    _, bits = encode(EliasQSGD(levels=1), x)
    assert bits < EliasQSGD(levels=1).size_bits(39_760) < 4_500
    assert LowPrecision(levels=1).size_bits(39_760) > 79_000


def test_a_billed_size_does_not_depend_on_the_content():
    assert EliasQSGD(levels=1).sized_by_content
    billed = EliasQSGD(levels=1, billed_bits=2)
    assert not billed.sized_by_content
    assert billed.sent_bits(100) == 200
