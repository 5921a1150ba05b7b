"""A compressor of the user's own, tried once on made-up rows before it is relied on."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, get_args

import numpy as np

from desim.errors import ScenarioError
from desim.schema.own_code import is_own
from desim.schema.phrases import short
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def examine(compressor: Compressor, parameters: int) -> None:
    """Checks what the tape and the methods take for granted of a compressor.

    Args:
        compressor: any; those that come with desim are held to it by its tests.
        parameters: the model's size.

    Raises:
        ScenarioError: it changes its rows, mixes them, or draws numbers of its own; or says
            something of its error that is none of its base class's words.
    """
    inner = getattr(compressor, "compressor", None)  # of one that goes around another
    if isinstance(inner, Compressor):
        examine(inner, parameters)
    if not is_own(compressor):
        return
    key = f"compressor = {compressor.table()}:"
    if compressor.error not in get_args(Error):
        words = " or ".join(map(repr, get_args(Error)))
        raise ScenarioError(f"{key} error is {short(compressor.error)}; must be {words}")
    bound = compressor.error_bound(parameters)
    number = isinstance(bound, int | float | np.number) and not isinstance(bound, bool)
    if not number or isnan(bound) or bound < 0:
        raise ScenarioError(f"{key} error_bound gives {short(bound)}; must be a number from 0")
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, parameters, generator=generator)
    uniform = torch.rand(3, parameters, generator=generator).clamp_(1e-6, 1 - 1e-6)

    def arrived(part: slice) -> Tensor:
        given = rows[part].clone()
        draws = uniform[part].clone() if compressor.random else None
        result = compressor(given, uniform=draws)
        if not torch.equal(given, rows[part]):
            raise ScenarioError(f"{key} changes its rows; must leave them: rows.clone()")
        return result

    whole = arrived(slice(3))
    if not isinstance(whole, torch.Tensor) or whole.shape != rows.shape:
        return  # said with the first message
    if not torch.equal(whole.nan_to_num(), arrived(slice(3)).nan_to_num()):
        raise ScenarioError(
            f"{key} gives other numbers for the same rows the second time; must draw from "
            "`uniform` alone, with random = True"
        )
    alone = torch.cat([arrived(slice(k, k + 1)) for k in range(3)])
    if not torch.allclose(whole, alone, rtol=1e-4, atol=1e-6, equal_nan=True):
        raise ScenarioError(f"{key} makes of a row another one among others; must treat each alone")
