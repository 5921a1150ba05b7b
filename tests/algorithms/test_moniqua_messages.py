"""Moniqua's messages: so many bits a number, and what they mean."""

import pytest
import torch

from desim.algorithms.moniqua import Moniqua
from desim.errors import ScenarioError
from desim.step_sizes.constant import Constant


def moniqua(**fields):
    return Moniqua(step_size=Constant(alpha=0.1), batch=1, **({"theta": 1.0, "bits": 4} | fields))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bits", [1, 3, 8, 16])
def test_a_message_has_so_many_bits_a_number_and_no_scale(bits, dtype):
    quantizer = moniqua(bits=bits).quantizer
    x = torch.randn(101, dtype=dtype, generator=torch.manual_seed(0)) * 5
    message = quantizer.encode(x, None)
    assert quantizer.size_bits(101) == 101 * bits
    assert len(message) == -(-101 * bits // 8)
    arrived = quantizer.decode(message, 101, dtype)
    assert torch.equal(arrived, quantizer(x[None], uniform=None)[0])
    assert moniqua(bits=bits).message_bits(lambda q: q.size_bits(101), 3) == (101 * bits,)


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_levels_go_round(bits):
    quantizer = moniqua(bits=bits, theta=1.0).quantizer
    levels = 2**bits
    # B = 2 theta / (1 - 2 delta) with delta = 1 / (2 L).
    assert quantizer.period == pytest.approx(2 / (1 - 1 / levels))
    x = torch.linspace(-9, 9, 10_001, dtype=torch.float64)
    q = quantizer(x[None], uniform=None)[0]
    assert set((q * levels).tolist()) == set(range(-levels // 2, levels // 2))
    off = q - x / quantizer.period
    assert float((off - off.round()).abs().max()) <= 1 / (2 * levels) + 1e-12


@pytest.mark.parametrize(("field", "value"), [("theta", 0.0), ("bits", 0), ("bits", 17)])
def test_impossible_quantizers_are_refused(field, value):
    with pytest.raises(ScenarioError, match=field):
        moniqua(**{field: value})
