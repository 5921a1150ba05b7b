"""Floating-point operations of torch's operators on a CPU: the formulas, one for each operator.

Two operations for each multiply-add of a matrix product, a convolution or attention; padding and
masked scores count like others. Everything else is elementwise work or sums, bounded by memory, and
counts 0: activations, norms, pooling, look-ups, the product of a column with a row.

    matrix product (m, k) (k, n)            2 m k n
    convolution                             2 x outputs x filter size x inputs of a group
    transposed convolution                  2 x inputs x filter size x outputs of a group
    their backward passes                   once for each of input and weights that have a gradient
    attention over s queries and t keys     2 s t (d + d_v), backward 2 s t (3 d + 2 d_v), for each
                                            sample and head: the scores are computed again (Dao et
                                            al. 2022, arXiv:2205.14135, algorithm 4)
    LSTM layer in one operator              2 x 4 h (i + h) for each step, backward twice that
    Fourier transform of N numbers          5 N log2 N complex, 2.5 N log2 N real (Frigo, Johnson
                                            2005, doi:10.1109/JPROC.2004.840301)

torch's own counter (torch.utils.flop_counter) takes the backward pass of a convolution with groups
for one without, and has no entry for matrices times vectors and what only a CPU runs.
"""

import re
from collections.abc import Callable
from math import log2, prod
from typing import Any

from torch import Tensor

#: From an operator's arguments, in the order of its schema, and `out`: a tensor, or several.
_Formula = Callable[..., float]

#: Words in the names of operators that multiply matrices, or do as much work in another way.
_WORD = re.compile(
    r".*mm|.*mv|v?dot|addr|matmul|conv(?!ert).*|(tri)?linear|attention|rnn|lstm|gru|transformer"
    r"|linalg|cholesky|.*solve|geqrf|ormqr|[cp]dist|euclidean|fft"
)

#: Those of them that do no such work.
_ELEMENTWISE = {"linalg_vector_norm", "linalg_cross", "fft_fftfreq", "fft_rfftfreq"}


def flops(name: str, args: tuple[Any, ...], outputs: Any) -> float | None:
    """The operations of one call.

    Args:
        name: of the operator, such as "aten::mm".
        args: its positional arguments.
        outputs: what it gave.

    Returns:
        None where they aren't known: it isn't torch's own, or multiplies matrices and has no
        formula here.
    """
    library, _, own = name.partition("::")
    if library != "aten":
        return None
    own = own.removesuffix("_")  # in place
    if own in _FORMULAS:
        return _FORMULAS[own](*args, out=outputs)
    words = own.split("_")
    return 0.0 if own in _ELEMENTWISE or not any(map(_WORD.fullmatch, words)) else None


def _product(a: Tensor, b: Tensor, *_: Any, out: Tensor) -> float:
    """Matrices (..., m, k) and (k, n) or (..., k, n), or a vector (k,)."""
    numbers = a._nnz() if a.is_sparse else a.numel()
    return 2.0 * numbers * (b.shape[-1] if b.dim() > 1 else 1)


def _added(_: Tensor, a: Tensor, b: Tensor, *more: Any, out: Tensor) -> float:
    return _product(a, b, out=out)


def _column_row(_: Tensor, a: Tensor, b: Tensor, *more: Any, out: Tensor) -> float:
    return 2.0 * a.numel() * b.numel()


def _convolution(
    inputs: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    *_: Any,
    out: Tensor,
) -> float:
    """Each number of the inputs or outputs meets one filter, (a group's channels, *size)."""
    return 2.0 * (inputs if transposed else out).numel() * prod(weight.shape[1:])


def _convolution_backward(
    gradient: Tensor, inputs: Tensor, weight: Tensor, bias: Any, *options: Any, out: Any
) -> float:
    of_inputs, of_weight, _ = options[-1]
    return (bool(of_inputs) + bool(of_weight)) * _convolution(
        inputs, weight, bias, *options, out=gradient
    )


def _conv_tbc(inputs: Tensor, weight: Tensor, *_: Any, out: Tensor) -> float:
    return 2.0 * out.numel() * prod(weight.shape[:2])


def _trilinear(
    a: Tensor,
    b: Tensor,
    c: Tensor,
    without_a: list[int],
    without_b: list[int],
    without_c: list[int],
    summed: list[int],
    *_: Any,
    out: Tensor,
) -> float:
    """Two products, one after another, as ATen's Linear.cpp computes them.

    The first is of a and b, over the summed dimensions that c lacks.
    """
    sizes: dict[int, int] = {}
    for factor, without in ((a, without_a), (b, without_b), (c, without_c)):
        here = [dim for dim in range(factor.dim() + len(without)) if dim not in without]
        for dim, size in zip(here, factor.shape, strict=True):
            sizes[dim] = max(sizes.get(dim, 1), size)
    first = set(sizes) - (set(without_a) & set(without_b))
    second = first - (set(summed) & set(without_c)) | (set(sizes) - set(without_c))
    return 2.0 * (prod(sizes[dim] for dim in first) + prod(sizes[dim] for dim in second))


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, out: Any) -> float:
    return 2.0 * _scores(query, key) * (query.shape[-1] + value.shape[-1])


def _attention_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, out: Any
) -> float:
    return 2.0 * _scores(query, key) * (3 * query.shape[-1] + 2 * value.shape[-1])


def _scores(query: Tensor, key: Tensor) -> int:
    return query.shape[:-1].numel() * key.shape[-2]


def _all_heads(query: Tensor, key: Tensor, value: Tensor, width: int, *_: Any, out: Any) -> float:
    """The fast path of nn.MultiheadAttention: four projections, and attention."""
    rows = query.shape[:-1].numel() + key.shape[:-1].numel()
    return 2.0 * width * (2 * rows * width + 2 * _scores(query, key))


def _encoder_layer(source: Tensor, width: int, *more: Any, out: Tensor) -> float:
    """The fast path of nn.TransformerEncoderLayer; its two last matrices are among `more`."""
    narrow, wide = more[12], more[14]
    rows = source.shape[:-1].numel()
    attention = _all_heads(source, source, source, width, out=out)
    return attention + 2.0 * rows * int(narrow.numel() + wide.numel())


def _lstm(inputs: Tensor, of_inputs: Tensor, of_state: Tensor, *_: Any, out: Any) -> float:
    return 2.0 * inputs.shape[:-1].numel() * (of_inputs.numel() + of_state.numel())


def _lstm_backward(*args: Any, out: Any) -> float:
    return 2 * _lstm(*args, out=out)


def _distances(x: Tensor, y: Tensor, *_: Any, out: Tensor) -> float:
    """One multiply-add for each coordinate of each pair."""
    return 2.0 * x.numel() * y.shape[-2]


def _distances_backward(gradient: Tensor, x: Tensor, y: Tensor, *_: Any, out: Tensor) -> float:
    return _distances(x, y, out=out)


def _euclidean_distances(x: Tensor, y: Tensor, *, out: Tensor) -> float:
    """As the product of (x, |x|^2, 1) with (-2 y, 1, |y|^2)."""
    return 2.0 * out.numel() * (x.shape[-1] + 2)


def _pairs(x: Tensor, *_: Any, out: Tensor) -> float:
    return 1.0 * x.numel() * (len(x) - 1)


def _pairs_backward(gradient: Tensor, x: Tensor, *_: Any, out: Tensor) -> float:
    return _pairs(x, out=out)


def _fourier(numbers: Tensor, dims: list[int], *_: Any, out: Tensor) -> float:
    """2.5 N log2 N where one side is real, for N numbers in the dimensions transformed."""
    real = [side for side in (numbers, out) if not side.is_complex()]
    whole = real[0] if real else numbers
    length = prod(whole.shape[dim] for dim in dims)
    return (2.5 if real else 5.0) * whole.numel() * log2(length or 1)


_FORMULAS: dict[str, _Formula] = {
    "mm": _product,
    "bmm": _product,
    "mv": _product,
    "dot": _product,
    "vdot": _product,
    "addmm": _added,
    "baddbmm": _added,
    "addbmm": _added,
    "addmv": _added,
    "_addmm_activation": _added,
    "_sparse_addmm": _added,
    "addr": _column_row,
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
    "conv_tbc": _conv_tbc,
    "_trilinear": _trilinear,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention_for_cpu_backward": _attention_backward,
    "_native_multi_head_attention": _all_heads,
    "_transformer_encoder_layer_fwd": _encoder_layer,
    "mkldnn_rnn_layer": _lstm,
    "mkldnn_rnn_layer_backward": _lstm_backward,
    "_cdist_forward": _distances,
    "_cdist_backward": _distances_backward,
    "_euclidean_dist": _euclidean_distances,
    "_pdist_forward": _pairs,
    "_pdist_backward": _pairs_backward,
    "_fft_c2c": _fourier,
    "_fft_r2c": _fourier,
    "_fft_c2r": _fourier,
}
