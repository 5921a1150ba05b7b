"""The gradient of every kind of module is autograd's, one worker at a time."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from differentiating import autograd, batched, models, task
from torch import nn
from torch.nn.utils import parametrizations, prune

#: torch says what it is slow at; here it is about what is right.
pytestmark = [
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]

RANDOM = np.random.default_rng(0)
FLAT = RANDOM.standard_normal((24, 6)).astype(np.float32)
SEQUENCE = RANDOM.standard_normal((24, 5, 6)).astype(np.float32)
LINE = RANDOM.standard_normal((24, 4, 8)).astype(np.float32)
IMAGE = RANDOM.standard_normal((24, 4, 6, 6)).astype(np.float32)
VOLUME = RANDOM.standard_normal((24, 2, 4, 4, 4)).astype(np.float32)
TOKENS = RANDOM.integers(0, 11, (24, 5))


class Last(nn.Module):
    """The last output of a recurrent layer, and a linear layer."""

    def __init__(self, layer, features=4, **options):
        super().__init__()
        self.layer = layer(6, 4, batch_first=True, **options)
        self.out = nn.Linear(features, 3)

    def forward(self, x):
        return self.out(self.layer(x)[0][:, -1])


class Attention(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True, **options)
        self.out = nn.Linear(6, 3)

    def forward(self, x):
        return self.out(self.attention(x, x, x)[0].mean(1))


class Pooled(nn.Module):
    """The mean over positions of what a layer gives, and a linear layer."""

    def __init__(self, layer, features=6):
        super().__init__()
        self.layer, self.out = layer, nn.Linear(features, 3)

    def forward(self, x):
        return self.out(self.layer(x).mean(1))


class Tied(nn.Module):
    """One matrix to embed the tokens and, the other way round, to look at the result."""

    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Embedding(11, 6), nn.Linear(6, 11, bias=False)
        self.out.weight = self.into.weight

    def forward(self, x):
        return self.out(self.into(x).mean(1))


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.bilinear = nn.Linear(6, 4), nn.Bilinear(6, 4, 3)

    def forward(self, x):
        return self.bilinear(x, self.a(x))


class Lists(nn.Module):
    """Parameters in a list and in a dict, one of them a single number."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([torch.randn(6, 6) / 3 for _ in range(2)])
        self.named = nn.ParameterDict({"out": torch.randn(6, 3), "scale": torch.tensor(1.5)})

    def forward(self, x):
        for weight in self.weights:
            x = x + torch.tanh(x @ weight)
        return self.named["scale"] * x @ self.named["out"]


class Buffered(nn.Module):
    """Subtracts constants and puts features in another order."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 3)
        self.register_buffer("centre", torch.full((6,), 0.25, dtype=torch.float64))
        self.register_buffer("order", torch.tensor([1, 0, 2, 3, 5, 4]))

    def forward(self, x):
        return self.out((x - self.centre)[:, self.order])


class Functional(nn.Module):
    """Dropout as most people write it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.b(F.dropout(F.relu(self.a(x)), 0.4, self.training))


class StochasticDepth(nn.Module):
    """Leaves a branch out for each sample by chance (Huang et al. 2016, arXiv 1603.09382)."""

    def __init__(self):
        super().__init__()
        self.branch, self.out = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        if self.training:
            kept = torch.empty_like(x[:, :1]).bernoulli_(0.6)
            return self.out(x + kept * self.branch(x))
        return self.out(x + 0.6 * self.branch(x))


class Norm(nn.Module):
    """RMSNorm by hand, with a residual connection."""

    def __init__(self):
        super().__init__()
        self.scale, self.a, self.out = nn.Parameter(torch.ones(6)), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        normed = x * x.square().mean(-1, keepdim=True).add(1e-6).rsqrt() * self.scale
        return self.out(x + F.silu(self.a(normed)))


def evaluated(module):
    """Its own layers stay as in an evaluation: no dropout, statistics as they are stored."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._NormBase) and layer.running_mean is not None:
            layer.running_mean.copy_(torch.linspace(-0.5, 0.5, len(layer.running_mean)))
    return module.eval()


def ending(*layers, features):
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, 3))


def frozen(module, *names):
    for name in names:
        module.get_parameter(name).requires_grad_(False)
    return module


def shared():
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer, nn.Linear(6, 3))


def tied_linear():
    made = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Linear(6, 3))
    made[2].weight = made[0].weight
    return made


def pruned():
    made = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    prune.l1_unstructured(made[0], "weight", 0.5)
    return made


def transformer():
    return nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)


def mlp():
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


#: kind: what builds it, its inputs.
KINDS = {
    "LSTM": (lambda: Last(nn.LSTM), SEQUENCE),
    "LSTM in both directions, two layers": (
        lambda: Last(nn.LSTM, 8, num_layers=2, bidirectional=True),
        SEQUENCE,
    ),
    "LSTM with projections": (lambda: Last(nn.LSTM, 2, proj_size=2), SEQUENCE),
    "GRU": (lambda: Last(nn.GRU), SEQUENCE),
    "RNN": (lambda: Last(nn.RNN), SEQUENCE),
    "attention": (Attention, SEQUENCE),
    "attention, evaluated": (lambda: Attention(dropout=0.5).eval(), SEQUENCE),
    "transformer": (lambda: Pooled(transformer()), SEQUENCE),
    "transformer, evaluated": (lambda: Pooled(transformer()).eval(), SEQUENCE),
    "transformer, frozen and evaluated": (
        lambda: Pooled(transformer().requires_grad_(False)).eval(),
        SEQUENCE,
    ),
    "embedding": (lambda: Pooled(nn.Embedding(11, 6)), TOKENS),
    "embedding with padding": (lambda: Pooled(nn.Embedding(11, 6, padding_idx=0)), TOKENS),
    "sparse embedding": (lambda: Pooled(nn.Embedding(11, 6, sparse=True)), TOKENS),
    "embedding bag": (lambda: nn.Sequential(nn.EmbeddingBag(11, 6), nn.Linear(6, 3)), TOKENS),
    "tied weights": (Tied, TOKENS),
    "tied weights in a chain": (tied_linear, FLAT),
    "one layer used twice": (shared, FLAT),
    "weight norm": (lambda: parametrizations.weight_norm(nn.Linear(6, 3)), FLAT),
    "weight norm by a hook": (lambda: old_weight_norm(nn.Linear(6, 3)), FLAT),
    "spectral norm, evaluated": (
        lambda: parametrizations.spectral_norm(nn.Linear(6, 3)).eval(),
        FLAT,
    ),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(6, 3)), FLAT),
    "pruned": (pruned, FLAT),
    "dropout, evaluated": (lambda: nn.Sequential(mlp(), nn.Dropout(0.5)).eval(), FLAT),
    "dropout": (lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.5), nn.Linear(9, 3)), FLAT),
    "dropout of inputs": (lambda: nn.Sequential(nn.Dropout(0.2), nn.Linear(6, 3)), FLAT),
    "dropout in place": (
        lambda: nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.5, inplace=True), nn.Linear(9, 3)),
        FLAT,
    ),
    "functional dropout": (Functional, FLAT),
    "dropout of channels": (
        lambda: ending(nn.Conv2d(4, 5, 3), nn.Dropout2d(0.4), features=80),
        IMAGE,
    ),
    "alpha dropout": (lambda: ending(nn.Linear(6, 7), nn.AlphaDropout(0.3), features=7), FLAT),
    "dropout between recurrent layers": (
        lambda: Last(nn.LSTM, num_layers=2, dropout=0.5),
        SEQUENCE,
    ),
    "dropout of attention": (lambda: Attention(dropout=0.5), SEQUENCE),
    "stochastic depth": (StochasticDepth, FLAT),
    "frozen BatchNorm1d": (
        lambda: evaluated(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))),
        FLAT,
    ),
    "frozen BatchNorm2d": (
        lambda: evaluated(ending(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), features=96)),
        IMAGE,
    ),
    "frozen InstanceNorm": (
        lambda: evaluated(
            ending(nn.InstanceNorm1d(4, affine=True, track_running_stats=True), features=32)
        ),
        LINE,
    ),
    "buffers": (Buffered, FLAT),
    "activations in place": (
        lambda: nn.Sequential(
            nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Linear(5, 4), nn.ELU(inplace=True),
            nn.Linear(4, 3), nn.LeakyReLU(0.2, inplace=True),
        ),
        FLAT,
    ),
    "Conv1d": (lambda: ending(nn.Conv1d(4, 5, 3), nn.ReLU(), nn.MaxPool1d(2), features=15), LINE),
    "Conv2d": (lambda: ending(nn.Conv2d(4, 5, 3), nn.GELU(), nn.MaxPool2d(2), features=20), IMAGE),
    "Conv3d": (lambda: ending(nn.Conv3d(2, 3, 3), nn.AvgPool3d(2), features=3), VOLUME),
    "grouped and dilated": (
        lambda: ending(nn.Conv2d(4, 8, 2, groups=4, dilation=2), features=128),
        IMAGE,
    ),
    "transposed": (lambda: ending(nn.ConvTranspose2d(4, 2, 3, stride=2), features=338), IMAGE),
    "transposed and grouped": (
        lambda: ending(nn.ConvTranspose1d(4, 4, 3, groups=2), features=40),
        LINE,
    ),
    "bilinear": (Pair, FLAT),
    "PReLU": (lambda: nn.Sequential(nn.Linear(6, 4), nn.PReLU(), nn.Linear(4, 3)), FLAT),
    "GroupNorm": (lambda: ending(nn.Conv2d(4, 6, 3), nn.GroupNorm(3, 6), features=96), IMAGE),
    "LayerNorm": (lambda: nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 3)), FLAT),
    "RMSNorm": (lambda: nn.Sequential(nn.RMSNorm(6), nn.Linear(6, 3)), FLAT),
    "residual": (Norm, FLAT),
    "lists of parameters": (Lists, FLAT),
    "frozen first layer": (lambda: frozen(mlp(), "0.weight", "0.bias"), FLAT),
    "frozen middle layer": (lambda: frozen(mlp(), "2.weight", "2.bias"), FLAT),
    "frozen last layer": (lambda: frozen(mlp(), "4.weight", "4.bias"), FLAT),
    "all but biases frozen": (lambda: frozen(mlp(), "0.weight", "2.weight", "4.weight"), FLAT),
    "one bias trained": (
        lambda: frozen(mlp(), "0.weight", "0.bias", "2.weight", "4.weight", "4.bias"),
        FLAT,
    ),
    "frozen convolution": (
        lambda: frozen(ending(nn.Conv2d(4, 5, 3), nn.ReLU(), features=80), "0.weight"),
        IMAGE,
    ),
}  # fmt: skip


def old_weight_norm(layer):
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(layer)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_many_workers_is_that_of_each_alone(kind):
    make, inputs = KINDS[kind]
    given = task(make, inputs)
    rows = models(given)
    found, expected = batched(given, rows), autograd(given, rows)
    largest = float(expected.abs().max())
    assert largest > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * largest)
