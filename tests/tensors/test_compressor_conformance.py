"""What every compressor promises: its bias, its error, its size, and that rows don't mix.

A new compressor is picked up from the registry, with the parameters in its `examples`. Numbers are
kept within [-1, 1], where every compressor must keep its promises.
"""

import numpy as np
import pytest
import torch
from builders import examples, label
from compressing import compress, uniforms

COMPRESSORS = examples("compressors")


@pytest.fixture(params=COMPRESSORS, ids=label)
def compressor(request):
    return request.param


VECTORS = {
    "normal": torch.randn(100, generator=torch.Generator().manual_seed(1)).double() / 5,
    "even": torch.linspace(-1, 1, 101, dtype=torch.float64),
    "one large number": torch.full((100,), 0.05, dtype=torch.float64).index_fill_(
        0, torch.tensor(7), 1.0
    ),
    "one number": torch.tensor([-0.3], dtype=torch.float64),
    "more than two buckets": torch.randn(131, generator=torch.Generator().manual_seed(2)).double()
    / 5,
}


@pytest.fixture(params=VECTORS)
def vector(request):
    return VECTORS[request.param]


DRAWS = 4000


def many(compressor, vector):
    return compress(compressor, vector.repeat(DRAWS, 1))


def test_the_mean_of_many_draws_is_the_vector_itself(compressor, vector):
    if not compressor.unbiased:
        pytest.skip("says it is biased")
    found = many(compressor, vector)
    # 5.5 standard errors: over some 4,000 coordinates of all cases chance exceeds them once in
    # 6,000 seeds, and the seed is fixed. What is never rounded may be off by the rounding of a
    # float32 norm.
    error = 5.5 * found.std(0) / DRAWS**0.5 + 1e-6 * vector.abs().max()
    assert ((found.mean(0) - vector).abs() <= error).all()


def test_the_mean_squared_error_keeps_its_bound(compressor, vector):
    squares = (many(compressor, vector) - vector).square().sum(1)
    bound = compressor.error_bound(len(vector))
    if compressor.error == "relative":
        bound *= float(vector.square().sum())
    standard_error = float(squares.std()) / DRAWS**0.5
    # What travels as a 32-bit float is rounded by up to 2^-23 of itself.
    rounding = 1e-6 * bound + 1e-13 * float(vector.square().sum())
    assert float(squares.mean()) <= bound + 5 * standard_error + rounding
    if compressor.error == "none":
        assert bound == 0


def test_an_error_is_labelled_and_its_bound_is_a_number(compressor):
    assert compressor.error in ("none", "bounded", "relative")
    assert 0 <= compressor.error_bound(1000) < float("inf")
    assert compressor.error_bound(1000) >= compressor.error_bound(100)


def test_a_row_does_not_depend_on_the_rows_beside_it(compressor, vector):
    rows = torch.stack([vector, 0 * vector, vector.flip(0), 0.1 * vector, vector])
    noise = uniforms(compressor, rows.shape)
    together = compressor(rows.clone(), uniform=None if noise is None else noise.clone())
    for i in range(len(rows)):
        alone = compressor(rows[i : i + 1], uniform=None if noise is None else noise[i : i + 1])
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zero_stays_zero(compressor, dtype):
    rows = torch.zeros(3, 100, dtype=dtype)
    assert compress(compressor, rows).tolist() == rows.tolist()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_zeros_beside_numbers_stay_zero_and_signs_are_kept(compressor, dtype):
    if not compressor.keeps_zeros:
        pytest.skip("says it doesn't")
    row = torch.tensor([0.5, 0.0, -0.5, 0.0, 1.0, -1.0] * 20, dtype=dtype)
    found = compress(compressor, row[None])[0]
    assert (found[row == 0] == 0).all()
    assert (found * row >= 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_are_finite_of_the_same_type_and_leave_the_input_alone(compressor, dtype, vector):
    rows = torch.stack([vector, vector.square()]).to(dtype)
    before = rows.clone()
    found = compress(compressor, rows)
    assert torch.equal(rows, before)
    assert found.dtype == dtype
    assert found.shape == rows.shape
    assert found.isfinite().all()


@pytest.mark.parametrize("size", [1, 17, 48, 1001])
def test_the_rows_of_a_block_are_those_of_single_calls(compressor, size):
    rows = torch.randn(5, size, generator=torch.Generator().manual_seed(4)) / 5
    noise = uniforms(compressor, rows.shape, dtype=torch.float32)
    together = compressor(rows, uniform=None if noise is None else noise.clone())
    for i, row in enumerate(rows):
        alone = compressor(row[None], uniform=None if noise is None else noise[i : i + 1])
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("scale", [1e-45, 1e-40, 1e-30, 1e-10, 1e4, 1e30, 3.4e38])
def test_tiny_and_large_numbers_give_finite_results(compressor, scale):
    rows = torch.linspace(-1, 1, 100)[None].double().mul_(scale).float()
    assert compress(compressor, rows).isfinite().all()


def test_rows_need_not_be_contiguous(compressor):
    block = torch.randn(4, 128, generator=torch.Generator().manual_seed(3)).double() / 4
    rows = block[:, :100]
    noise = uniforms(compressor, (4, 128))
    found = compressor(rows, uniform=None if noise is None else noise[:, :100])
    dense = compressor(
        rows.contiguous(),
        uniform=None if noise is None else uniforms(compressor, (4, 128))[:, :100].contiguous(),
    )
    assert torch.equal(found, dense)


@pytest.mark.parametrize("parameters", [1, 47, 48, 49, 1000])
def test_sizes_are_whole_positive_and_grow_with_the_model(compressor, parameters):
    size = compressor.size_bits(parameters)
    assert isinstance(size, int)
    assert 0 < size <= compressor.size_bits(parameters + 1)


def test_fitted_to_a_model_it_is_the_same_for_all_workers(compressor):
    assert compressor.fitted((30, 70)) == compressor.fitted((30, 70))
    assert hash(compressor.fitted((30, 70))) == hash(compressor.fitted((30, 70)))
    assert compressor.fitted((30, 70)).table() == compressor.table()
    assert compressor.fitted((100,)).size_bits(100) == compressor.size_bits(100)


def test_equal_compressors_share_a_call(compressor):
    twin = type(compressor).model_validate(
        {name: getattr(compressor, name) for name in type(compressor).model_fields}
    )
    assert twin == compressor
    assert hash(twin) == hash(compressor)


def test_the_table_gives_the_compressor_back(compressor):
    assert type(compressor).parse(compressor.table()) == compressor
    assert np.isfinite(compressor.size_bits(10))
