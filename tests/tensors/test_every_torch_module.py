"""Every module of torch.nn: its gradient is right, or it is refused in one line that names it."""

import inspect

import numpy as np
import pytest
import torch
from differentiating import autograd, batched, models, task
from torch import nn

from desim.errors import ModelError

#: torch says what it is slow at; here it is about what is right.
pytestmark = [
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
]

RANDOM = np.random.default_rng(0)
FLAT = RANDOM.standard_normal((24, 6)).astype(np.float32)
LINE = RANDOM.standard_normal((24, 4, 8)).astype(np.float32)
IMAGE = RANDOM.standard_normal((24, 4, 6, 6)).astype(np.float32)
VOLUME = RANDOM.standard_normal((24, 4, 4, 4, 4)).astype(np.float32)
TOKENS = RANDOM.integers(0, 11, (24, 5))

CLASSES = sorted(
    name
    for name, value in vars(nn).items()
    if inspect.isclass(value) and issubclass(value, nn.Module)
)

#: What the constructors are given, by the start of the name; the longest start counts.
ARGUMENTS = {
    "AdaptiveAvgPool": (2,), "AdaptiveLogSoftmaxWithLoss": (6, 12, [4]), "AdaptiveMaxPool": (2,),
    "AvgPool": (2,), "BatchNorm": (4,), "Bilinear": (6, 6, 3), "ChannelShuffle": (2,),
    "CircularPad": (1,), "ConstantPad": (1, 0.5), "Conv": (4, 5, 3), "CrossMapLRN2d": (2,),
    "DataParallel": (nn.Linear(6, 6),), "Embedding": (11, 6), "EmbeddingBag": (11, 6),
    "Fold": ((3, 4), 2), "FractionalMaxPool": (2, 3), "FractionalMaxPool2d": (2, 4),
    "FractionalMaxPool3d": (1, 3), "GRU": (6, 4), "GRUCell": (6, 4),
    "GroupNorm": (2, 4), "InstanceNorm": (4,), "LPPool": (2, 2), "LSTM": (6, 4),
    "LSTMCell": (6, 4), "LayerNorm": (6,), "Linear": (6, 5), "LazyBatchNorm": (),
    "LazyConv": (5, 3), "LazyConvTranspose": (5, 3), "LazyInstanceNorm": (), "LazyLinear": (5,),
    "LocalResponseNorm": (2,), "LogSoftmax": (1,), "MaxPool": (2,), "MaxUnpool": (2,),
    "MultiheadAttention": (6, 2),
    "PixelShuffle": (2,), "PixelUnshuffle": (2,), "RMSNorm": (6,), "RNN": (6, 4),
    "RNNBase": ("LSTM", 6, 4),
    "RNNCell": (6, 4), "RNNCellBase": (6, 4, True, 4), "ReflectionPad": (1,),
    "ReplicationPad": (1,),
    "SyncBatchNorm": (4,), "Softmax": (1,), "Softmax2d": (), "Softmin": (1,),
    "Threshold": (0.1, 0.2), "Transformer": (6, 2, 1, 1, 8),
    "TransformerDecoderLayer": (6, 2, 8), "TransformerEncoderLayer": (6, 2, 8),
    "TransformerDecoder": (nn.TransformerDecoderLayer(6, 2, 8, batch_first=True), 1),
    "TransformerEncoder": (nn.TransformerEncoderLayer(6, 2, 8, batch_first=True), 1),
    "Unflatten": (1, (2, 2)), "Unfold": (2,), "Upsample": (None, 2),
    "UpsamplingBilinear2d": (None, 2),
    "UpsamplingNearest2d": (None, 2), "ZeroPad": (1,),
}  # fmt: skip

#: What they are tried on, where it isn't an image.
INPUTS = {
    "Bilinear": FLAT, "CosineSimilarity": FLAT, "DataParallel": FLAT, "Embedding": TOKENS,
    "EmbeddingBag": TOKENS, "Fold": LINE[:, :, :6], "GLU": IMAGE, "Linear": FLAT,
    "LazyLinear": FLAT,
    "MultiheadAttention": LINE[:, :, :6], "PairwiseDistance": FLAT, "RNN": LINE[:, :, :6],
    "GRU": LINE[:, :, :6], "LSTM": LINE[:, :, :6], "GRUCell": FLAT, "LSTMCell": FLAT,
    "RNNCell": FLAT, "SyncBatchNorm": LINE, "Transformer": LINE[:, :, :6],
}  # fmt: skip

#: Batch statistics, other randomness than dropout's, no size, no forward, several inputs or
#: outputs.
REFUSED = {
    *(name for name in CLASSES if "BatchNorm" in name or name.startswith("Lazy")),
    *(name for name in CLASSES if name.endswith("Loss") and name != "AdaptiveLogSoftmaxWithLoss"),
    "AdaptiveLogSoftmaxWithLoss", "Container", "CrossMapLRN2d", "DataParallel",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d", "GRU", "LSTM", "LSTMCell", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d",
    "Module", "ModuleDict", "ModuleList", "NLLLoss2d", "ParameterDict", "ParameterList", "RNN",
    "RNNBase",
    "RNNCellBase", "RReLU",
}  # fmt: skip


class Around(nn.Module):
    """A scale, the layer, and a linear layer: so that there is something to train on both sides."""

    def __init__(self, name, layer, inputs):
        super().__init__()
        self.layer, self.scale = layer, nn.Parameter(torch.ones(()))
        self.out = None
        if name not in REFUSED:
            with torch.no_grad():
                self.out = nn.Linear(self.features(inputs).shape[1], 3)

    def features(self, x):
        if x.is_floating_point():
            x = x * self.scale
        pair = isinstance(self.layer, nn.Bilinear | nn.CosineSimilarity | nn.PairwiseDistance)
        pair = pair or type(self.layer) in (
            nn.Transformer, nn.TransformerDecoder, nn.TransformerDecoderLayer,
        )  # fmt: skip
        if isinstance(self.layer, nn.MultiheadAttention):
            return self.layer(x, x, x)[0].flatten(1)
        made = self.layer(x, x) if pair else self.layer(x)
        return made if not isinstance(made, torch.Tensor) else made.reshape(len(x), -1)

    def forward(self, x):
        found = self.features(x)
        return found if self.out is None else self.out(found)


def longest(table, name, default):
    starts = [start for start in table if name.startswith(start)]
    return table[max(starts, key=len)] if starts else default


def inputs_of(name):
    if name in ("RNNBase", "RNNCellBase"):
        return LINE[:, :, :6]
    if name.endswith("1d") or name in ("LayerNorm", "RMSNorm"):
        return LINE[:, :, :6] if name in ("LayerNorm", "RMSNorm") else LINE
    return VOLUME if name.endswith("3d") else longest(INPUTS, name, IMAGE)


def made(name):
    cls = getattr(nn, name)
    arguments = longest(ARGUMENTS, name, ())
    options = (
        {"batch_first": True} if "batch_first" in inspect.signature(cls.__init__).parameters else {}
    )
    if name in ("GRU", "LSTM", "LSTMCell", "RNN"):  # alone they return several tensors
        return cls(*arguments, **options)
    return Around(name, cls(*arguments, **options), torch.from_numpy(inputs_of(name))[:2])


@pytest.mark.filterwarnings("ignore:.* deprecated:FutureWarning")
@pytest.mark.parametrize("name", CLASSES)
def test_a_module_of_torch_is_right_or_refused_in_one_line(name):
    inputs = inputs_of(name)
    if name in REFUSED:
        with pytest.raises(ModelError) as error:
            task(lambda: made(name), inputs)
        text = str(error.value)
        assert text.startswith("problem.model: ")
        assert name in text
        assert "\n" not in text
        return
    given = task(lambda: made(name), inputs)
    rows = models(given)
    found, expected = batched(given, rows), autograd(given, rows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
