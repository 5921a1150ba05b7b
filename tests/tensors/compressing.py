"""What the tests of compressors share: random numbers as a simulation draws them, and calls."""

import numpy as np
import torch


def uniforms(compressor, shape, seed=0, dtype=torch.float64):
    """The middles of 2^16 or 2^32 cells of (0, 1), or None where the compressor draws none."""
    if not compressor.random:
        return None
    cells = 2 ** (16 if dtype == torch.float32 else 32)
    drawn = np.random.default_rng(seed).integers(0, cells, shape)
    return torch.from_numpy((drawn + 0.5) / cells).to(dtype)


def compress(compressor, rows, seed=0):
    return compressor(rows, uniform=uniforms(compressor, rows.shape, seed, rows.dtype))


def encode(compressor, x, seed=0):
    """The message of one vector, and its size by the compressor's own account."""

    def drawn():
        return uniforms(compressor, x.shape, seed, x.dtype)

    bits = compressor.size_bits(len(x))
    if compressor.sized_by_content:
        bits = compressor.content_bits(x, drawn())
    return compressor.encode(x, drawn()), bits


def decode(compressor, data, parameters, dtype, seed=0):
    """What arrives; the receiver's own random numbers only where it shares the seed."""
    shared = uniforms(compressor, (parameters,), seed, dtype) if compressor.shares_seed else None
    return compressor.decode(data, parameters, dtype, shared)
