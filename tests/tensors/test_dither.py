"""The uniform numbers behind random compressors."""

import numpy as np
import pytest
import torch
from scipy import stats

from desim.streams import Streams
from desim.tensors.maps import Uniforms
from desim.tensors.refs import Draw

NUMBERS = 30_000


def draw(dtype, *draws, parameters=NUMBERS, seed=0):
    uniforms = Uniforms(Streams(seed), dtype)
    out = torch.empty(len(draws), parameters, dtype=dtype)
    uniforms.fill(out, uniforms.keys([Draw("dither", *name) for name in draws]))
    return out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_uniform_within_and_never_at_0_and_1(dtype):
    rows = draw(dtype, *((worker, 0) for worker in range(10))).double().numpy()
    assert 0 < rows.min() < 1e-3
    assert 1 - 1e-3 < rows.max() < 1
    # Kolmogorov-Smirnov with a fixed seed; 16 bits are fine enough for 300,000 numbers.
    assert stats.kstest(rows.ravel(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_first_numbers_of_many_rows_are_uniform_and_independent(dtype):
    rows = draw(dtype, *((w, k) for w in range(60) for k in range(60)), parameters=8)
    rows = rows.double().numpy()
    for column in rows.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    off_diagonal = np.corrcoef(rows.T)[~np.eye(8, dtype=bool)]
    assert np.abs(off_diagonal).max() < 4.5 / 60
    # Along the rows' names as well.
    first = rows[:, 0].reshape(60, 60)
    assert abs(np.corrcoef(first[:-1].ravel(), first[1:].ravel())[0, 1]) < 4.5 / 60
    assert abs(np.corrcoef(first[:, :-1].ravel(), first[:, 1:].ravel())[0, 1]) < 4.5 / 60


def test_the_middle_of_each_of_65536_cells_is_used_in_float32():
    rows = draw(torch.float32, (0, 0)).double().numpy() * 2**16 - 0.5
    assert (rows == rows.round()).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_has_its_numbers_whatever_is_drawn_with_it(dtype):
    together = draw(dtype, (3, 5), (1, 2), (0, 0), parameters=1001)
    assert torch.equal(draw(dtype, (1, 2), parameters=1001)[0], together[1])
    assert torch.equal(draw(dtype, (0, 0), (3, 5), parameters=1001)[1], together[0])
    # A longer row begins with the same numbers.
    assert torch.equal(draw(dtype, (1, 2), parameters=1500)[0, :1001], together[1])
    assert not torch.equal(draw(dtype, (1, 2), parameters=1001, seed=1)[0], together[1])
