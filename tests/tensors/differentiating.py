"""Gradients of several workers by desim's kernel, and of each alone by nothing but torch."""

import copy

import numpy as np
import torch
from torch import nn

from desim.streams import Streams
from desim.tensors.datasets.base import Data
from desim.tensors.draws import Draws
from desim.tensors.gradients import Gradients
from desim.tensors.problem import Problem
from desim.tensors.refs import Gradient, Node
from desim.tensors.samples import Sampler
from desim.tensors.store import Store

WORKERS, STEP = 4, 3
BATCHES = [1, 5, 2, 5]


def task(make, inputs, *, seed=0, **fields):
    """The problem of 3 classes on these inputs, 6 for each worker."""
    y = np.arange(len(inputs), dtype=np.int64) % 3
    given = Data(inputs, y, inputs[:3], y[:3])
    problem = Problem(dataset=given, model=make, **({"loss": "cross-entropy"} | fields))
    return problem.task(WORKERS, Streams(seed), torch.device("cpu"))


def models(given):
    """A model for each worker: the initial one, a little changed."""
    row = given.objective.pack()
    random = torch.Generator().manual_seed(1)
    noise = torch.randn(WORKERS, len(row), generator=random, dtype=row.dtype)
    return row + 0.1 * noise


def batched(given, rows, *, only=None):
    """(workers, parameters), all in one call, or of one worker."""
    streams = Streams(0)
    store = Store(given.objective.parameters, 40, rows.dtype, torch.device("cpu"))
    sampler = Sampler(streams, given.shards, "replacement")
    kernel = Gradients(store, given.objective, sampler, given.train_x, given.train_y, streams)
    nodes = []
    for worker in range(WORKERS) if only is None else [only]:
        source = Node(worker << 40, store, ())
        (source.row,) = store.take(1)
        store.data[source.row] = rows[worker]
        nodes.append(Gradient(0, store, source, worker, STEP, 0, BATCHES[worker]))
    kernel(nodes)
    return torch.stack([store.data[node.row] for node in nodes])


def autograd(given, rows):
    """The same, worker by worker: a module of its own, a loss, and backward()."""
    streams = Streams(0)
    sampler = Sampler(streams, given.shards, "replacement")
    result = []
    for worker, row in enumerate(rows):
        try:
            module = copy.deepcopy(given.objective.module)
        except RuntimeError:  # hooks in the old manner keep tensors that can't be copied
            module = given.objective.module
        trained = [p for p in module.parameters() if p.requires_grad]
        nn.utils.vector_to_parameters(row, trained)
        node = Gradient(0, None, None, worker, STEP, 0, BATCHES[worker])
        chosen = torch.from_numpy(sampler.batch([node], BATCHES[worker])[0][0])
        with Draws(streams, worker, STEP):
            outputs = module(given.train_x[chosen])
        module.zero_grad()
        given.objective.loss(outputs, given.train_y[chosen]).mean().backward()
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad.to_dense() for p in trained]
        result.append(torch.cat([g.reshape(-1) for g in gradients]))
    return torch.stack(result)
