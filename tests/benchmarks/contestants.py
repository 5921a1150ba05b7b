"""What desim is measured against: the same training without a simulator, written in three ways.

All do what q-dsgd with random rounding does in desim: x_i <- (1 - eps + eps w_ii) x_i
+ eps sum_j w_ij Q(x_j) - alpha eps g_i, with the gradient of the mean cross-entropy over a batch
drawn with replacement. The network is input-hidden-10 with a sigmoid.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

CLASSES = 10
HIDDEN = 50


@dataclass(frozen=True)
class Work:
    """What all contestants compute.

    Attributes:
        inputs, targets: (workers, samples, features) and (workers, samples).
        own, others: diagonal and off-diagonal part of the mixing matrix.
    """

    inputs: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int64]
    own: npt.NDArray[np.float64]
    others: npt.NDArray[np.float64]
    batch: int = 20
    alpha: float = 0.1
    epsilon: float = 0.5
    grid: float = 0.001
    range: float = 4.0

    @property
    def workers(self) -> int:
        return len(self.targets)

    @property
    def samples(self) -> int:
        return self.targets.shape[1]

    @property
    def features(self) -> int:
        return self.inputs.shape[2]

    @property
    def levels(self) -> int:
        return round(self.range / self.grid)


class PlainLoop:
    """50 modules, autograd, and one addition per neighbour and parameter tensor."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._inputs, self._targets = torch.from_numpy(work.inputs), torch.from_numpy(work.targets)
        self._models = [
            nn.Sequential(
                nn.Linear(work.features, HIDDEN), nn.Sigmoid(), nn.Linear(HIDDEN, CLASSES)
            )
            for _ in range(work.workers)
        ]
        self._neighbours = [np.flatnonzero(row).tolist() for row in work.others]
        self._loss = nn.CrossEntropyLoss()

    def round(self) -> None:
        work = self._work
        for i, model in enumerate(self._models):
            chosen = torch.randint(0, work.samples, (work.batch,))
            model.zero_grad()
            self._loss(model(self._inputs[i][chosen]), self._targets[i][chosen]).backward()
        with torch.no_grad():
            sent = [[self._quantized(p) for p in model.parameters()] for model in self._models]
            mixed = [self._mixed(i, sent) for i in range(work.workers)]
            for model, row in zip(self._models, mixed, strict=True):
                for p, value in zip(model.parameters(), row, strict=True):
                    p.copy_(value)

    def _quantized(self, p: Tensor) -> Tensor:
        work = self._work
        levels = torch.floor(p / work.grid + torch.rand_like(p))
        return levels.clamp(-work.levels, work.levels) * work.grid

    def _mixed(self, i: int, sent: list[list[Tensor]]) -> list[Tensor]:
        work, row = self._work, []
        for k, p in enumerate(self._models[i].parameters()):
            assert p.grad is not None
            value = (1 - work.epsilon + work.epsilon * float(work.own[i])) * p
            for j in self._neighbours[i]:
                value = value + work.epsilon * float(work.others[i, j]) * sent[j][k]
            row.append(value - work.alpha * work.epsilon * p.grad)
        return row


class LockStep:
    """All workers at once, as one writes it by hand: kept buffers, blocks that fit in cache."""

    _COLUMNS = 1 << 18  # numbers in a block of mixed columns, over all workers

    def __init__(self, work: Work) -> None:
        self._work = work
        n = work.workers
        self._shapes = [(HIDDEN, work.features), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,)]
        self._parameters = sum(prod(shape) for shape in self._shapes)
        start = [nn.Linear(work.features, HIDDEN), nn.Linear(HIDDEN, CLASSES)]
        row = torch.cat([p.detach().flatten() for layer in start for p in layer.parameters()])
        self._x = row.repeat(n, 1)
        self._z, self._g, self._next = (torch.empty_like(self._x) for _ in range(3))
        self._inputs = torch.from_numpy(work.inputs).flatten(0, 1)
        self._targets = torch.from_numpy(work.targets).flatten()
        self._batch = torch.empty(n, work.batch, work.features)
        self._first = np.arange(n)[:, None] * work.samples
        self._random = np.random.Generator(np.random.SFC64(0))
        own = 1 - work.epsilon + work.epsilon * work.own
        self._own = torch.from_numpy(own).float()[:, None]
        self._others = torch.from_numpy(work.epsilon * work.others).float()
        self._half = torch.tensor(0.5 + 2.0**-17)

    def round(self) -> None:
        self._gradients()
        self._quantize()
        self._mix()

    def _views(self, rows: Tensor) -> list[Tensor]:
        parts = rows.split([prod(shape) for shape in self._shapes], 1)
        return [part.view(-1, *s) for part, s in zip(parts, self._shapes, strict=True)]

    def _draw(self) -> tuple[Tensor, Tensor]:
        """Inputs (workers, batch, features) and targets (workers, batch)."""
        work = self._work
        chosen = self._random.integers(0, work.samples, (work.workers, work.batch)) + self._first
        index = torch.from_numpy(chosen.reshape(-1))
        torch.index_select(self._inputs, 0, index, out=self._batch.flatten(0, 1))
        return self._batch, self._targets[index].view(work.workers, -1)

    def _gradients(self) -> None:
        x, y = self._draw()
        w1, b1, w2, b2 = self._views(self._x)
        dw1, db1, dw2, db2 = self._views(self._g)
        hidden = torch.baddbmm(b1[:, None], x, w1.mT).sigmoid_()
        q = torch.softmax(torch.baddbmm(b2[:, None], hidden, w2.mT), -1)
        q.scatter_add_(2, y[..., None], torch.full((*y.shape, 1), -1.0))
        q /= self._work.batch
        torch.bmm(q.mT, hidden, out=dw2)
        torch.sum(q, 1, out=db2)
        d = torch.bmm(q, w2).mul_(hidden).mul_(1 - hidden)
        torch.bmm(d.mT, x, out=dw1)
        torch.sum(d, 1, out=db1)

    def _dither(self, out: Tensor) -> None:
        """Uniform numbers in (0, 1), 16 bits each."""
        words = self._random.bit_generator.random_raw(-(-out.numel() // 4))
        out.view(-1).copy_(torch.from_numpy(words.view(np.int16)[: out.numel()]))
        torch.add(self._half, out, alpha=2.0**-16, out=out)

    def _quantize(self) -> None:
        work = self._work
        for x, z in zip(self._x, self._z, strict=True):
            self._dither(z)
            z.add_(x, alpha=1 / work.grid).floor_()
            z.clamp_(-work.levels, work.levels).mul_(work.grid)

    def _mix(self) -> None:
        work = self._work
        columns = self._COLUMNS // work.workers // 16 * 16
        for start in range(0, self._parameters, columns):
            block = slice(start, start + columns)
            out = self._next[:, block]
            torch.mm(self._others, self._z[:, block], out=out)
            out.addcmul_(self._x[:, block], self._own)
            out.add_(self._g[:, block], alpha=-work.alpha * work.epsilon)
        self._x, self._next = self._next, self._x


class TunedLockStep(LockStep):
    """The same with everything that was found to make it faster on the machine in the README.

    The forward product has the weights on the left; softmax is written out, since torch's own takes
    six times as long on ten classes; short products are copied into place, since bmm is slow to
    write into rows that don't follow one another; several rows are quantized at a time where they
    are short; and the models are mixed in place.
    """

    _ROWS = 1 << 15  # numbers in a block of quantized rows

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._places = torch.arange(work.workers * work.batch) * CLASSES

    def _gradients(self) -> None:
        x, y = self._draw()
        w1, b1, w2, b2 = self._views(self._x)
        dw1, db1, dw2, db2 = self._views(self._g)
        hidden = torch.bmm(w1, x.mT).add_(b1[:, :, None]).sigmoid_()  # (workers, hidden, batch)
        q = torch.bmm(hidden.mT, w2.mT).add_(b2[:, None])
        q = q.sub_(q.amax(2, keepdim=True)).exp_()
        q.div_(q.sum(2, keepdim=True))
        q.view(-1)[self._places + y.view(-1)] -= 1
        q /= self._work.batch
        dw2.copy_(torch.bmm(q.mT, hidden.mT))
        torch.sum(q, 1, out=db2)
        d = torch.ops.aten.sigmoid_backward(torch.bmm(w2.mT, q.mT), hidden)
        if dw1[0].numel() > 1 << 13:
            torch.bmm(d, x, out=dw1)
        else:
            dw1.copy_(torch.bmm(d, x))
        torch.sum(d, 2, out=db1)

    def _quantize(self) -> None:
        work = self._work
        rows = max(1, self._ROWS // self._parameters)
        for x, z in zip(self._x.split(rows), self._z.split(rows), strict=True):
            self._dither(z)
            z.add_(x, alpha=1 / work.grid).floor_()
            z.clamp_(-work.levels, work.levels).mul_(work.grid)

    def _mix(self) -> None:
        work = self._work
        columns = self._COLUMNS // work.workers // 16 * 16
        for start in range(0, self._parameters, columns):
            block = slice(start, start + columns)
            x = self._x[:, block].mul_(self._own)
            x.add_(self._g[:, block], alpha=-work.alpha * work.epsilon)
            x.addmm_(self._others, self._z[:, block])
