"""Operations and operators of a gradient, for many kinds of layers, against counts by hand.

Two operations a multiply-add. A matrix product of (b, n) and (n, m) takes 2 b n m, and its backward
pass as much for each of its two factors that needs a gradient. What stands first in a model has
inputs without a gradient: "2 x" below, "3 x" elsewhere; `Later` puts a parameter before a layer so
that its inputs have one.
"""

from math import log2

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.profiler import profile

from desim.errors import ModelError
from desim.tensors import cost
from desim.tensors.cost import count, totals


class Of(nn.Module):
    """A function of (parts, inputs), with parts of its own."""

    def __init__(self, function, *parts):
        super().__init__()
        self.parts, self.function = nn.ModuleList(parts), function

    def forward(self, x):
        return self.function(*self.parts, x)


class Weights(nn.Module):
    """One parameter."""

    def __init__(self, *shape):
        super().__init__()
        self.w = nn.Parameter(torch.randn(*shape) / 8)

    def forward(self):
        return self.w


class Later(nn.Module):
    """A layer behind another whose parameter is trained: its inputs have a gradient."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.shift = layer, nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.layer(x + self.shift)


def first(layer):
    return Of(lambda layer, x: layer(x)[0], layer)


def attention(**options):
    layer = nn.MultiheadAttention(E, H, batch_first=True)
    return Of(lambda layer, x: layer(x, x, x, **options)[0], layer)


def heads(linear, x):
    return linear(x).unflatten(-1, (-1, E // H)).transpose(1, 2)


def grouped_query(q, k, x):
    key = heads(k, x)
    return functional.scaled_dot_product_attention(heads(q, x), key, key, enable_gqa=True)


# Sequences of T vectors of width E, H heads; h hidden numbers.
T, E, H, h = 10, 16, 4, 32

#: Four projections, three products for each; scores and values twice 2 T T E forward, and five
#: times that backward, since the CPU's kernel computes the scores again.
ATTENTION = 3 * 2 * T * 4 * E * E + (2 + 5) * 2 * T * T * E

#: The first layer's inputs have no gradient: that product with three of the projections is missing.
NO_INPUTS = 2 * T * 3 * E * E


#: One product with the inputs (2 x) and one with the state, T times forward; backward, the first
#: state, zeros, has no gradient, but its part of the weights' gradient is computed.
def recurrent(gates):
    inputs, state = gates * h * E, gates * h * h
    return 2 * (2 * T * inputs + (3 * T - 1) * state)


def fourier(n):
    return 2.5 * n * log2(n)


KINDS = {
    "linear": (nn.Linear(7, 5), (7,), 2 * 2 * 7 * 5),
    "later linear": (Later(nn.Linear(7, 5)), (7,), 3 * 2 * 7 * 5),
    "linear over a sequence": (nn.Linear(E, 3), (T, E), 2 * 2 * T * E * 3),
    "convolution": (nn.Conv2d(4, 6, 3), (4, 7, 8), 2 * 2 * (6 * 5 * 6) * (4 * 9)),
    "later convolution": (Later(nn.Conv2d(4, 6, 3)), (4, 7, 8), 3 * 2 * (6 * 5 * 6) * (4 * 9)),
    "grouped": (Later(nn.Conv2d(4, 6, 3, groups=2)), (4, 7, 8), 3 * 2 * (6 * 30) * (2 * 9)),
    "depthwise": (Later(nn.Conv2d(8, 8, 3, groups=8)), (8, 7, 8), 3 * 2 * (8 * 30) * 9),
    "depthwise, first": (nn.Conv2d(8, 16, 3, groups=8), (8, 7, 8), 2 * 2 * (16 * 30) * 9),
    "dilated": (Later(nn.Conv2d(4, 6, 3, dilation=2)), (4, 7, 8), 3 * 2 * (6 * 3 * 4) * 36),
    "strided, padded": (Later(nn.Conv1d(4, 6, 5, 2, 2)), (4, 9), 3 * 2 * (6 * 5) * (4 * 5)),
    "three-dimensional": (Later(nn.Conv3d(2, 3, 2)), (2, 4, 4, 4), 3 * 2 * (3 * 27) * (2 * 8)),
    "transposed": (
        Later(nn.ConvTranspose2d(6, 8, 3, stride=2)),
        (6, 5, 4),
        3 * 2 * (6 * 5 * 4) * (8 * 9),  # every input number meets the filter of each output
    ),
    "transposed, grouped": (
        Later(nn.ConvTranspose2d(6, 8, 3, stride=2, groups=2)),
        (6, 5, 4),
        3 * 2 * (6 * 5 * 4) * (4 * 9),
    ),
    "time-batch-channel": (
        Later(
            Of(
                lambda w, x: torch.conv_tbc(x.movedim(0, 1).contiguous(), w(), w()[0, 0]).exp(),
                Weights(3, 5, 5),
            )
        ),
        (10, 5),
        3 * 2 * (8 * 5) * (3 * 5),
    ),
    "matrix times vector": (Of(lambda w, x: x @ w(), Weights(784)), (784,), 2 * 2 * 784),
    "vector times vector": (
        Of(lambda w, x: torch.stack([row.dot(w()) for row in x]), Weights(9)),
        (9,),
        2 * 9,  # its backward pass scales a vector
    ),
    "addmv": (
        Of(lambda b, w, x: torch.addmv(b(), x, w()), Weights(1), Weights(9)),
        (9,),
        2 * 2 * 9,
    ),
    # In torch's order: x1 with w, 2 n1 n2 m, then with x2, 2 n2 m. The gradient by w is a product
    # of x1 with the gradient, without a sum over the rows (2 n1 m), and then with x2 (2 n1 n2 m).
    "bilinear": (
        Of(lambda layer, x: layer(x[:, :4], x[:, 4:]), nn.Bilinear(4, 5, 7)),
        (9,),
        2 * 4 * 5 * 7 + 2 * 5 * 7 + 2 * 4 * 7 + 2 * 4 * 5 * 7,
    ),
    # x (m, n) for each sample, and its product with a matrix: as for a linear layer over m rows.
    "einsum": (
        Of(lambda w, x: torch.einsum("bij,jk->bik", x, w()), Weights(6, 4)),
        (5, 6),
        2 * 2 * 5 * 6 * 4,
    ),
    "batched products": (
        Of(lambda w, x: torch.baddbmm(x, x, w().expand(len(x), -1, -1)), Weights(6, 6)),
        (6, 6),
        2 * 2 * 6**3,
    ),
    # oneDNN's layer: all four gates in one operator, and always its inputs' gradient.
    "LSTM": (first(nn.LSTM(E, h, batch_first=True)), (T, E), 3 * 2 * T * 4 * h * (E + h)),
    "LSTM, two layers, both ways": (
        first(nn.LSTM(E, h, 2, bidirectional=True, batch_first=True)),
        (T, E),
        3 * 2 * T * 4 * h * 2 * ((E + h) + (2 * h + h)),
    ),
    "GRU": (first(nn.GRU(E, h, batch_first=True)), (T, E), recurrent(3)),
    "plain recurrent": (first(nn.RNN(E, h, batch_first=True)), (T, E), recurrent(1)),
    "LSTM's cell": (first(nn.LSTMCell(E, h)), (E,), 2 * (2 * 4 * h * E + 2 * 4 * h * h)),
    "attention": (attention(need_weights=False), (T, E), ATTENTION - NO_INPUTS),
    # With weights the scores are kept, and not computed again.
    "attention with weights": (attention(), (T, E), ATTENTION - NO_INPUTS - 2 * T * T * E),
    # All heads have scores; two heads of keys, which are the values too.
    "grouped queries": (
        Of(grouped_query, nn.Linear(E, E), nn.Linear(E, E // 2)),
        (T, E),
        2 * 2 * T * E * (E + E // 2) + 7 * 2 * T * T * E,
    ),
    "transformer": (
        nn.TransformerEncoderLayer(E, H, 3 * E, dropout=0.0, batch_first=True),
        (T, E),
        ATTENTION - NO_INPUTS + 3 * 2 * T * 2 * (E * 3 * E),
    ),
    # Frozen in eval, torch takes one operator for all of it: forward only.
    "frozen transformer": (
        Of(
            lambda frozen, linear, x: linear(frozen(x)),
            nn.TransformerEncoderLayer(E, H, 3 * E, batch_first=True).eval().requires_grad_(False),
            nn.Linear(E, 3),
        ),
        (T, E),
        2 * T * (4 * E * E + 2 * E * 3 * E) + 2 * 2 * T * T * E + 2 * 2 * T * E * 3,
    ),
    "frozen attention": (
        Of(
            lambda frozen, linear, x: linear(frozen(x, x, x)[0]),
            nn.MultiheadAttention(E, H, batch_first=True).eval().requires_grad_(False),
            nn.Linear(E, 3),
        ),
        (T, E),
        2 * T * 4 * E * E + 2 * 2 * T * T * E + 2 * 2 * T * E * 3,
    ),
    "embedding": (Of(lambda e, x: e(x.long()), nn.Embedding(9, 4)), (T,), 0),
    "sparse embedding": (Of(lambda e, x: e(x.long()), nn.Embedding(9, 4, sparse=True)), (T,), 0),
    "bag of embeddings": (Of(lambda e, x: e(x.long()), nn.EmbeddingBag(9, 4)), (T,), 0),
    "layer norm": (nn.LayerNorm(E), (E,), 0),
    "group norm": (nn.GroupNorm(2, 4), (4, 5), 0),
    "batch norm": (nn.BatchNorm1d(E), (E,), 0),
    "weight norm": (nn.utils.parametrizations.weight_norm(nn.Linear(E, 3)), (E,), 2 * 2 * E * 3),
    "upsampling": (Later(nn.Upsample(scale_factor=2, mode="bilinear")), (2, 4, 4), 0),
    "columns": (nn.Sequential(nn.Unfold(3), nn.Linear(9, 2)), (2, 5, 5), 2 * 2 * 18 * 9 * 2),
    # |x - y| for 30 rows of w; backward for both sides.
    "distances": (
        Later(Of(lambda w, x: torch.cdist(x, w(), p=1.0), Weights(30, 5))),
        (5,),
        3 * 2 * 30 * 5,
    ),
    # Forward and back, and both again in the backward pass, but the inputs'.
    "Fourier filter": (
        Of(lambda w, x: torch.fft.irfft(torch.fft.rfft(x) * w()[:33]), Weights(64)),
        (64,),
        3 * fourier(64),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_operations_are_those_counted_by_hand(kind):
    module, shape, by_hand = KINDS[kind]
    found = count(module, shape)
    assert found.flops_per_sample == pytest.approx(by_hand, rel=1e-12)
    assert found.flops_fixed == 0


#: By hand; in each, the sum that stands for a loss, and its gradient's ones.
OPERATORS = {
    "linear": 2 + 1 + 2,  # addmm; the weights' gradient, and the bias's, a sum
    "convolution": 2 + 1 + 1,
    "depthwise": 2 + 2 + 2,  # with the shift that is added first, and its gradient's sum
    "matrix times vector": 2 + 1 + 1,
    "bilinear": 2 + 2 + 2,  # _trilinear and the bias; the weights' and the bias's gradient
    "LSTM": 2 + 3 + 2,  # two zero states, the layer, its backward pass; copies around it
    "GRU": 2 + T * (13 + 20),  # no fused one: each step's gates one by one, and backward
    "grouped queries": 2 + 3 + 1 + 5,  # two addmm, the kernel; its backward, keys + values, 4
    "embedding": 2 + 2 + 1,  # with the conversion
    "layer norm": 2 + 1 + 1,
    "frozen transformer": 2 + 1 + 3,
}


@pytest.mark.parametrize("kind", OPERATORS)
def test_operators_are_those_of_the_cpu(kind):
    module, shape, _ = KINDS[kind]
    assert 0.5 <= count(module, shape).operators / OPERATORS[kind] <= 2


def explicit(event):
    """Whether a profiler's event is an operator of its own, and no view or composition."""
    if not event.name.startswith("aten::"):
        return False
    packet = getattr(torch.ops.aten, event.name.removeprefix("aten::"), None)
    if packet is None or not packet.overloads():
        return False
    func = getattr(packet, packet.overloads()[0])
    composed = func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd)
    return not (composed or func.is_view or packet in cost._IDLE)


def outermost(event):
    """Whether no such operator runs it."""
    parent = event.cpu_parent
    while parent is not None:
        if explicit(parent):
            return False
        parent = parent.cpu_parent
    return True


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_operators_are_those_that_the_profiler_sees(kind):
    module, shape, _ = KINDS[kind]
    module.zero_grad()
    with profile() as seen:
        module(torch.zeros(4, *shape)).sum().backward()
    run = sum(explicit(event) and outermost(event) for event in seen.events())
    assert 0.5 <= totals(module, shape, 4)[2] / run <= 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_model_is_counted_by_shapes_and_costs_the_same(kind, monkeypatch):
    module, shape, _ = KINDS[kind]
    run = totals(module, shape, 4)
    monkeypatch.setattr(cost, "_MOST_FLOPS", -1.0)
    followed = totals(module, shape, 4)
    assert followed[0] == run[0]
    assert abs(followed[2] - run[2]) <= 4  # copies of gradients, whose layout is another
    # Unknown are the workspace of oneDNN, and which rows a sparse gradient has.
    if kind not in ("LSTM", "LSTM, two layers, both ways", "sparse embedding"):
        assert followed[1] == pytest.approx(run[1], rel=0.15)


def test_both_batches_are_counted_in_the_same_way(monkeypatch):
    """One pass small enough to be run, the other not: the line through them would be crooked."""
    module, shape, by_hand = KINDS["LSTM"]
    monkeypatch.setattr(cost, "_MOST_FLOPS", 6.0 * by_hand)  # between 4 samples and 8
    between = count(module, shape)
    monkeypatch.setattr(cost, "_MOST_FLOPS", -1.0)
    assert between == count(module, shape)


def test_a_model_of_a_billion_parameters_takes_no_memory():
    with torch.device("meta"):
        module = nn.Sequential(*[nn.Linear(2**14, 2**14, bias=False) for _ in range(4)])
    shapes = torch.zeros(1, 2**14, device="meta")
    assert sum(p.numel() for p in module.parameters()) == 2**30
    assert count(module, shapes).flops_per_sample == 6 * 2**30 - 2 * 2**28


class Doubled(torch.autograd.Function):
    """What users write in Python is made of torch's operators."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, gradient):
        x, w = ctx.saved_tensors
        return gradient @ w.T, 2 * x.T @ gradient


def test_functions_with_a_backward_pass_of_their_own_are_counted():
    module = Of(lambda w, x: Doubled.apply(x, w()), Weights(7, 5))
    assert count(module, (7,)).flops_per_sample == 2 * 2 * 7 * 5 + 2 * 5 * 7  # x's is computed


@torch.library.custom_op("desim_tests::squared", mutates_args=())
def squared(x: torch.Tensor) -> torch.Tensor:
    return x @ x


REFUSED = {
    "desim_tests::squared": Of(lambda w, x: squared(w()) * x.sum(), Weights(3, 3)),
    "aten::linalg_matrix_exp": nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)),
    "aten::linalg_inv_ex": Of(lambda w, x: x @ torch.linalg.inv(w()), Weights(3, 3)),
    "aten::linalg_qr": Of(lambda w, x: x @ torch.linalg.qr(w())[0], Weights(3, 3)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operator_that_multiplies_matrices_unknown_to_desim_is_refused(name):
    with pytest.raises(ModelError, match=rf"problem\.model: runs {name}, .* speed_sps$"):
        count(REFUSED[name], (3,))
