"""Sizes and values of single compressors, computed by hand."""

import pytest
import torch
from builders import examples, label

from desim.errors import ScenarioError
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.bf16 import BFloat16
from desim.tensors.compressors.low_precision import LowPrecision
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.compressors.random_rounding import RandomRounding

PAPER = 39_760  # parameters of the 784-50-10 network


@pytest.mark.parametrize(
    ("table", "parameters", "bits"),
    [
        ({"kind": "none"}, 10, 320),
        ({"kind": "none", "bits": 16}, PAPER, 636_160),
        ({"kind": "none", "bits": 64}, 3, 192),
        # 32 for the norm; a sign and ceil(log2(s + 1)) bits each.
        ({"kind": "low-precision", "levels": 1}, 100, 32 + 100 * 2),
        ({"kind": "low-precision", "levels": 3}, PAPER, 32 + 3 * PAPER),
        ({"kind": "low-precision", "levels": 4}, 100, 32 + 100 * 4),
        ({"kind": "low-precision", "levels": 7}, 100, 32 + 100 * 4),
        ({"kind": "low-precision", "levels": 8}, 100, 32 + 100 * 5),
        ({"kind": "low-precision", "levels": 255}, 100, 32 + 100 * 9),
        ({"kind": "low-precision", "levels": 65536}, 1, 32 + 18),
        # ceil(d / B) norms.
        ({"kind": "low-precision", "levels": 15, "bucket": 512}, 1024, 2 * 32 + 1024 * 5),
        ({"kind": "low-precision", "levels": 15, "bucket": 512}, 1025, 3 * 32 + 1025 * 5),
        ({"kind": "low-precision", "levels": 15, "bucket": 512}, 10, 32 + 10 * 5),
        # ceil(log2(2 R / D + 1)): 8,001 levels need 13 bits, 1,001 need 10.
        ({"kind": "random-rounding", "grid": 0.001, "range": 4.0}, 100, 1300),
        ({"kind": "random-rounding", "grid": 0.001, "range": 0.5}, PAPER, 10 * PAPER),
        ({"kind": "random-rounding", "grid": 1.0, "range": 1.0}, 100, 200),
        ({"kind": "random-rounding", "grid": 1.0, "range": 3.0}, 100, 300),
        ({"kind": "random-rounding", "grid": 1.0, "range": 4.0}, 100, 400),
        ({"kind": "bf16"}, PAPER, 16 * PAPER),
        ({"kind": "sign"}, PAPER, 32 + PAPER),
        ({"kind": "stochastic-sign"}, PAPER, 32 + PAPER),
        ({"kind": "terngrad"}, 101, 32 + 202),
        # 3^5 = 243 < 256: 21 bytes for 101 trits.
        ({"kind": "terngrad", "packed": True}, 101, 32 + 8 * 21),
        ({"kind": "natural"}, PAPER, 9 * PAPER),
        ({"kind": "natural-dithering", "levels": 7}, 100, 32 + 100 * 4),
        ({"kind": "natural-dithering", "levels": 8}, 100, 32 + 100 * 5),
        # A least and a largest number for each bucket.
        ({"kind": "min-max"}, PAPER, 64 + 8 * PAPER),
        ({"kind": "min-max", "bits": 4, "bucket": 512}, 1025, 3 * 64 + 4 * 1025),
        # 398 numbers of 32 bits, and places of 16 as 39,760 < 2^16.
        ({"kind": "top-k", "fraction": 0.01}, PAPER, 398 * 48),
        ({"kind": "top-k", "fraction": 0.01, "index_bits": 32}, PAPER, 398 * 64),
        ({"kind": "top-k", "k": 10}, 7, 7 * 35),
        ({"kind": "top-k", "k": 10}, 1, 32),
        ({"kind": "top-k", "fraction": 0.001}, 100, 32 + 7),
        ({"kind": "random-k", "fraction": 0.01}, PAPER, 64 + 398 * 32),
        ({"kind": "random-k", "fraction": 0.01, "shared_seed": False}, PAPER, 398 * 48),
        ({"kind": "error-feedback", "compressor": "sign"}, 100, 132),
        ({"kind": "per-layer", "compressor": "sign"}, 100, 132),
    ],
    ids=str,
)
def test_sizes_on_the_wire(table, parameters, bits):
    assert Compressor.parse(table).size_bits(parameters) == bits


@pytest.mark.parametrize(
    ("table", "parameters", "bound"),
    [
        # min(d / s^2, sqrt(d) / s): 4 / 1 against 2 / 1, 10,000 / 255^2 against 100 / 255.
        ({"kind": "low-precision", "levels": 1}, 4, 2.0),
        ({"kind": "low-precision", "levels": 255}, 10_000, 10_000 / 255**2),
        ({"kind": "low-precision", "levels": 15, "bucket": 100}, 10_000, 100 / 225),
        ({"kind": "random-rounding", "grid": 0.001, "range": 4.0}, 40_000, 0.01),
        # With the max-norm d / (4 s^2); divided by tau = 1 + that, 1 - 1 / tau.
        ({"kind": "low-precision", "levels": 5, "norm": "max"}, 100, 1.0),
        ({"kind": "low-precision", "levels": 5, "norm": "max", "contractive": True}, 100, 0.5),
        ({"kind": "none", "bits": 16}, 5, 2.0**-22),
        ({"kind": "bf16"}, 5, 2.0**-16),
        ({"kind": "sign"}, 50, 0.98),
        ({"kind": "stochastic-sign"}, 50, 49.0),
        # M ||x||_1 / ||x||^2 is largest, (1 + sqrt d) / 2, for one M and the rest (sqrt(d) - 1) M /
        # (d - 1).
        ({"kind": "terngrad"}, 49, 3.0),
        ({"kind": "natural"}, 50, 0.125),
        # 1/8 + q min(1, q), q = sqrt(d) / 2^(s-1): 10 / 2^4 and 10 / 2^3.
        ({"kind": "natural-dithering", "levels": 5}, 100, 0.125 + 0.625**2),
        ({"kind": "natural-dithering", "levels": 4}, 100, 0.125 + 1.25),
        ({"kind": "min-max"}, 255**2, 0.5),
        ({"kind": "top-k", "fraction": 0.01}, PAPER, 1 - 398 / PAPER),
        ({"kind": "random-k", "k": 5}, 50, 9.0),
        ({"kind": "random-k", "k": 5, "contractive": True}, 50, 0.9),
    ],
    ids=str,
)
def test_error_bounds(table, parameters, bound):
    assert Compressor.parse(table).error_bound(parameters) == pytest.approx(bound, rel=1e-12)


def row(*numbers):
    return torch.tensor([numbers], dtype=torch.float64)


def test_low_precision_rounds_shares_of_the_norm_up_or_down():
    # ||(3, -4, 0)|| = 5; with s = 2 the levels are 0, 2.5 and 5. 3 is at level 1.2 and goes up
    # where u >= .8; -4 is at level -1.6 and goes up, to -1, where u >= .6.
    quantizer = LowPrecision(levels=2)
    for noise, expected in [
        ((0.79, 0.61, 0.99), (2.5, -2.5, 0)),
        ((0.81, 0.59, 0.01), (5, -5, 0)),
    ]:
        found = quantizer(row(3.0, -4, 0), uniform=row(*noise))
        # The norm travels as the next larger float32.
        torch.testing.assert_close(found, row(*map(float, expected)), rtol=3e-7, atol=0)


def test_the_largest_number_under_the_max_norm_is_always_kept():
    found = LowPrecision(levels=1, norm="max")(row(0.5, -2.0, 0.1), uniform=row(0.4, 0.001, 0.8))
    torch.testing.assert_close(found, row(0, -2, 0), rtol=3e-7, atol=0)


def test_a_contractive_quantizer_divides_by_tau():
    # d / s^2 = 2 / 4 against sqrt(2) / 2: tau = 1.5.
    vector, noise = row(3.0, -4.0), row(0.79, 0.61)
    plain = LowPrecision(levels=2)(vector, uniform=noise.clone())
    scaled = LowPrecision(levels=2, contractive=True)(vector, uniform=noise.clone())
    torch.testing.assert_close(scaled, plain / 1.5, rtol=1e-12, atol=0)


def test_buckets_have_norms_of_their_own_and_the_last_may_be_short():
    # Max-norms 1, 10 and 100 of (1, .5), (10, 5) and (100): with u = .5 halves go up.
    found = LowPrecision(levels=1, norm="max", bucket=2)(
        row(1.0, 0.49, 10, 5.1, 100), uniform=torch.full((1, 5), 0.5).double()
    )
    torch.testing.assert_close(found, row(1, 0, 10, 10, 100), rtol=3e-7, atol=0)


def test_one_huge_number_leaves_the_rest_at_zero_or_one_level():
    vector = torch.full((1, 1000), 1e-3).double()
    vector[0, 0] = 1e6
    noise = torch.rand(1, 1000, generator=torch.Generator().manual_seed(0)).double()
    found = LowPrecision(levels=255)(vector, uniform=noise)
    assert found[0, 0] == pytest.approx(1e6, rel=3e-7)
    assert set((found[0, 1:] > 0).tolist()) <= {False, True}
    assert ((found[0, 1:] == 0) | (found[0, 1:] > 1e3)).all()


def test_a_float32_row_whose_squares_overflow_still_arrives():
    vector = torch.tensor([[1e30, 1.0, -1.0]])
    found = LowPrecision(levels=3)(vector, uniform=torch.full((1, 3), 0.5))
    assert found.isfinite().all()
    assert found[0, 0] == pytest.approx(1e30, rel=1e-6)


def test_a_norm_that_is_no_single_float_is_sent_as_the_largest():
    # ||x|| = 7.6e38 > 3.4e38; one level is worth 1.13e38.
    vector = torch.full((1, 5), 3.4e38)
    found = LowPrecision(levels=3)(vector, uniform=torch.tensor([[0.1, 0.3, 0.5, 0.7, 0.9]]))
    torch.testing.assert_close(found, vector, rtol=1e-2, atol=0)


def test_random_rounding_goes_to_the_neighbouring_levels():
    rounding = RandomRounding(grid=0.5, range=4.0)
    numbers = row(0.6, -0.6, 1.0, -0.1)
    # 1.2 and -1.2 and 2 and -.2 steps: up where u reaches what is missing to the next whole number.
    low = rounding(numbers, uniform=row(0.79, 0.19, 0.5, 0.19))
    high = rounding(numbers, uniform=row(0.81, 0.21, 0.5, 0.21))
    assert low.tolist() == [[0.5, -1.0, 1.0, -0.5]]
    assert high.tolist() == [[1.0, -0.5, 1.0, 0.0]]


def test_random_rounding_cuts_off_beyond_the_range():
    rounding = RandomRounding(grid=0.5, range=4.0)
    found = rounding(row(100.0, -100.0, 4.0, -4.0), uniform=torch.full((1, 4), 0.5).double())
    assert found.tolist() == [[4, -4, 4, -4]]


def test_random_rounding_levels_do_not_depend_on_the_last_bit_of_a_division():
    # 0.3 / 0.1 = 2.9999999999999996 in binary.
    rounding = RandomRounding(grid=0.1, range=0.3)
    assert rounding(row(0.3), uniform=row(0.5)).item() == pytest.approx(0.3)
    assert rounding.size_bits(1) == 3  # 7 levels


@pytest.mark.parametrize("outside", [0.4, 0.7])
def test_a_range_that_is_no_level_is_refused(outside):
    with pytest.raises(ScenarioError, match=r"must be a multiple of grid = 0\.5"):
        RandomRounding(grid=0.5, range=outside)


def test_sixteen_bits_round_to_half_precision():
    third = torch.tensor([[1 / 3, 1.0, 1e-3, 2049.0]])
    found = NoCompressor(bits=16)(third, uniform=None)
    # 11 significant bits: 1/3 = 1365 / 4096, 2049 = 2048 (ties to even).
    assert found[0, :2].tolist() == [1365 / 4096, 1]
    assert found[0, 3] == 2048
    assert found[0, 2] != third[0, 2]
    assert abs(found[0, 2] / third[0, 2] - 1) <= 2**-11


def test_half_precision_never_overflows():
    found = NoCompressor(bits=16)(torch.tensor([[1e5, -1e30, 65503.0, 1e-9]]), uniform=None)
    assert found.tolist() == [[65504, -65504, 65504, 0]]


def test_bfloat16_has_eight_significant_bits_and_the_range_of_single_precision():
    found = BFloat16()(row(1 / 3, 257.0, 3.4e38, 1e300, 1e-40), uniform=None)
    # 1/3 = 171 / 512; 257 = 256 (ties to even); the largest is (2 - 2^-7) 2^127.
    most = (2 - 2**-7) * 2.0**127
    assert found[0, :4].tolist() == [171 / 512, 256, most, most]
    assert found[0, 4] == pytest.approx(1e-40, rel=1e-2)


@pytest.mark.parametrize(
    ("bits", "dtype", "exact"),
    [
        (16, torch.float32, False),
        (32, torch.float32, True),
        (32, torch.float64, False),
        (64, torch.float64, True),
    ],
)
def test_floats_as_wide_as_the_models_are_exact(bits, dtype, exact):
    compressor = NoCompressor(bits=bits)
    assert compressor.exact_for(dtype) == exact
    rows = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=dtype)
    assert torch.equal(compressor(rows, uniform=None), rows) == exact


@pytest.mark.parametrize("compressor", examples("compressors"), ids=label)
def test_bits_are_billed_instead_of_the_exact_size_only_where_asked(compressor):
    assert compressor.sent_bits(1000) == compressor.size_bits(1000)
    billed = Compressor.parse({**compressor.table(), "billed_bits": 3})
    assert billed.sent_bits(1000) == 3000
    assert billed.size_bits(1000) == compressor.size_bits(1000)
