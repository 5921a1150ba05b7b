"""Values of the compressors that send signs, powers of two or a few levels, computed by hand."""

import pytest
import torch

from desim.tensors.compressors.min_max import MinMax
from desim.tensors.compressors.natural import Natural
from desim.tensors.compressors.natural_dithering import NaturalDithering
from desim.tensors.compressors.sign import Sign
from desim.tensors.compressors.stochastic_sign import StochasticSign
from desim.tensors.compressors.terngrad import TernGrad


def row(*numbers):
    return torch.tensor([numbers], dtype=torch.float64)


def test_signs_carry_the_mean_magnitude():
    assert Sign()(row(3.0, -1, 0, 4), uniform=None).tolist() == [[2, -2, 2, 2]]


def test_the_error_of_signs_is_what_the_formula_says():
    x = row(*range(1, 9))
    # (1 - 36^2 / (8 * 204)) 204
    assert (Sign()(x, uniform=None) - x).square().sum() == pytest.approx(204 - 36**2 / 8)


def test_signs_of_the_largest_numbers_do_not_overflow():
    assert Sign()(torch.full((1, 100), 3e38), uniform=None) == pytest.approx(3e38, rel=1e-6)


def test_stochastic_signs_lean_towards_the_number():
    # Plus with probability (1 + x / 4) / 2 = 1, 3/4, 1/2, 1/4: where u >= 0, 1/4, 1/2, 3/4.
    x = row(4.0, 2, 0, -2)
    low = StochasticSign()(x, uniform=row(0.01, 0.24, 0.49, 0.74))
    high = StochasticSign()(x, uniform=row(0.01, 0.26, 0.51, 0.76))
    torch.testing.assert_close(low, row(4.0, -4, -4, -4), rtol=3e-7, atol=0)
    torch.testing.assert_close(high, row(4.0, 4, 4, 4), rtol=3e-7, atol=0)


def test_terngrad_sends_zero_or_the_largest_magnitude():
    # Up where u >= 1 - x / 4: 2 at 1/2; -1 goes up, to zero, where u >= 1/4.
    x = row(2.0, -4, -1, 0)
    low = TernGrad()(x, uniform=row(0.49, 0.5, 0.24, 0.99))
    high = TernGrad()(x, uniform=row(0.51, 0.5, 0.26, 0.01))
    torch.testing.assert_close(low, row(0.0, -4, -4, 0), rtol=3e-7, atol=0)
    torch.testing.assert_close(high, row(4.0, -4, 0, 0), rtol=3e-7, atol=0)


def test_terngrad_clips_at_so_many_standard_deviations():
    # s^2 = (4 + 16 + 1) / 4 - (1 / 4)^2. Up where u >= 1 - 2 / s = 0.12 and 1 - 1 / s = 0.56.
    s = 5.1875**0.5
    x = row(2.0, -4, 1, 0)
    low = TernGrad(clip=1.0)(x, uniform=row(0.12, 0.5, 0.55, 0.99))
    high = TernGrad(clip=1.0)(x, uniform=row(0.13, 0.5, 0.57, 0.01))
    torch.testing.assert_close(low, row(0.0, -s, 0, 0), rtol=3e-7, atol=0)
    torch.testing.assert_close(high, row(s, -s, s, 0), rtol=3e-7, atol=0)


def test_terngrad_with_a_clip_sends_equal_numbers_as_zeros():
    assert TernGrad(clip=2.5)(row(3.0, 3, 3), uniform=row(0.5, 0.5, 0.5)).tolist() == [[0, 0, 0]]


def test_natural_compression_rounds_to_powers_of_two():
    # 2.5 = 2 (1 + 1/4) goes up to 4 where u >= 3/4; powers of two stay.
    x = row(2.5, -2.5, 8, -0.125, 0)
    low = Natural()(x, uniform=row(0.74, 0.74, 0.999, 0.999, 0.999))
    high = Natural()(x, uniform=row(0.76, 0.76, 0.001, 0.001, 0.001))
    assert low.tolist() == [[2, -2, 8, -0.125, 0]]
    assert high.tolist() == [[4, -4, 8, -0.125, 0]]


def test_natural_compression_at_the_ends_of_single_precision():
    x = torch.tensor([[3.4e38, -3.4e38, 1e-39, 1e-39]])
    found = Natural()(x, uniform=torch.tensor([[0.999, 0.001, 0.5, 0.999]]))
    # 1e-39 = .085 of 2^-126.
    assert found.tolist() == [[2.0**127, -(2.0**127), 0, 2.0**-126]]


def test_natural_dithering_has_levels_at_powers_of_two_of_the_norm():
    # Levels 0, 1/4, 1/2, 1 of 8: 3 = 1.5 steps of 2 goes up to 4 where u >= 1/2, 1 = half a step
    # of 2 goes up to 2 where u >= 1/2, and 6 = 1.5 steps of 4 goes up to 8.
    dithering = NaturalDithering(levels=3, norm="max")
    x = row(8.0, 3, 1, 6, 0)
    low = dithering(x, uniform=row(0.5, 0.49, 0.49, 0.49, 0.99))
    high = dithering(x, uniform=row(0.5, 0.51, 0.51, 0.51, 0.99))
    torch.testing.assert_close(low, row(8.0, 2, 0, 4, 0), rtol=3e-7, atol=0)
    torch.testing.assert_close(high, row(8.0, 4, 2, 8, 0), rtol=3e-7, atol=0)


def test_min_max_rounds_to_the_nearest_of_even_levels():
    # Levels -1, 0, 1, 2.
    found = MinMax(bits=2)(row(-1.0, 2, 0.4, 0.6, -0.4), uniform=None)
    assert found.tolist() == [[-1, 2, 0, 1, 0]]


def test_min_max_buckets_have_ranges_of_their_own():
    found = MinMax(bits=2, bucket=3)(row(0.0, 1.4, 3, 100, 100), uniform=None)
    assert found.tolist() == [[0, 1, 3, 100, 100]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_error_of_min_max_is_above_half_a_step(dtype):
    x = torch.randn(3, 500, generator=torch.Generator().manual_seed(0), dtype=dtype)
    step = (x.amax(1) - x.amin(1)) / 255
    error = (MinMax()(x, uniform=None) - x).abs().amax(1)
    assert (error <= step / 2 + 1e-6).all()
