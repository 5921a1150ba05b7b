"""The problem: data, who holds it, the model, the loss; and its form on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.errors import ScenarioError
from desim.schema.own_code import name_of
from desim.schema.phrases import short
from desim.schema.registry import Table
from desim.streams import Streams
from desim.tensors.datasets.base import Data, Dataset, GivenDataset, Shape
from desim.tensors.lazy import nn, torch
from desim.tensors.losses.base import Loss
from desim.tensors.models.base import Model
from desim.tensors.partitions.base import Partition, checked
from desim.tensors.partitions.iid import IID
from desim.tensors.samples import Sampling

if TYPE_CHECKING:
    from torch import Tensor

    from desim.tensors.cost import Cost
    from desim.tensors.objective import Objective


#: Whole numbers beyond this are no classes to be counted.
_MOST_CLASSES = 1 << 16


class Problem(Table):
    """What the workers learn together.

    Attributes:
        dataset: where the samples come from.
        model: what is trained.
        samples_per_worker: how many each worker holds; left out, as many as there are for all.
        partition: who holds which.
        loss: per-sample loss; left out, the one that goes with the model.
        l2: adds (l2 / 2) ||x||^2 over the trained parameters, biases included.
        regulariser: in code only: a function (trained parameters by name, batch) -> scalar that is
            added to the mean loss; batch is the number of samples averaged.
        sampling: "replacement" or "epochs" (reshuffled).
        dtype: "float32" or "float64"; a module of float64 needs the latter.
    """

    dataset: Dataset
    model: Model
    samples_per_worker: Annotated[int, Field(ge=1)] | None = None
    partition: Partition = IID()
    loss: Loss | None = None
    l2: Annotated[float, Field(ge=0)] = 0.0
    regulariser: Callable[..., Any] | None = None
    sampling: Sampling = "replacement"
    dtype: Literal["float32", "float64"] = "float32"

    def module(self, streams: Streams) -> nn.Module:
        """The model with its initial parameters, which the seed decides.

        Raises:
            ModelError: it can't be built, or not be trained; see `desim.tensors.modules.admitted`.
        """
        from desim.tensors.modules import admitted

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(streams.words("initial model", 0, 0, 0)[0] >> np.uint64(1)))
            built = self.model.build(self.dataset.shape())
        return admitted(built, getattr(torch, self.dtype))

    def load(self) -> Data:
        """The data.

        Raises:
            ScenarioError: it can't be had, or isn't what the data set says of itself.
        """
        data: Any = self.dataset.load()
        shape: Any = self.dataset.shape()
        name = name_of(self.dataset)
        if not isinstance(data, Data):
            raise ScenarioError(f"problem.dataset: {name}.load gives {short(data)}; must be Data")
        if not isinstance(shape, Shape):
            raise ScenarioError(
                f"problem.dataset: {name}.shape gives {short(shape)}; must be Shape"
            )
        if not isinstance(self.dataset, GivenDataset):  # whose arrays are checked when given
            data.check()
        data.refuse_beyond(self.dtype)
        found = data.train_x.shape[1:]
        if len(data.train_x) and found != tuple(shape.inputs):
            raise ScenarioError(
                f"problem.dataset: {name}.shape says inputs of {tuple(shape.inputs)}, and load "
                f"gives {found}; must be the same"
            )
        return data

    def parameters(self, streams: Streams) -> int:
        """How many numbers of the model are trained, without loading the data."""
        return sum(self.layers(streams))

    def layers(self, streams: Streams) -> tuple[int, ...]:
        """How many numbers each trained parameter tensor has; built only if need be."""
        known = self._known_sizes()
        if known is not None:
            return known
        from desim.tensors.modules import trained

        return tuple(p.numel() for p in trained(self.module(streams)).values())

    def _known_sizes(self) -> tuple[int, ...] | None:
        """What the model says of itself; nothing, if its class builds something else since."""
        builder = next(cls for cls in type(self.model).__mro__ if "build" in vars(cls))
        if "parameter_sizes" not in vars(builder):
            return None
        return self.model.parameter_sizes(self.dataset.shape())

    def cost(self, streams: Streams) -> Cost:
        """What a gradient of the model costs, with some of the data.

        Raises:
            ModelError: it can't be counted.
        """
        from desim.tensors.cost import SAMPLES, count

        sample = np.require(self.dataset.sample(SAMPLES), requirements=["C", "W"])
        inputs = torch.from_numpy(sample)
        if inputs.is_floating_point():
            inputs = inputs.to(getattr(torch, self.dtype))
        return count(self.module(streams), inputs)

    def assign(self, data: Data, workers: int, streams: Streams) -> list[npt.NDArray[np.int64]]:
        """The samples of each worker.

        Raises:
            ScenarioError: there are too few samples.
        """
        available = len(data.train_y)
        wanted = self.samples_per_worker or available // workers
        if wanted * workers > available or not wanted:
            raise ScenarioError(
                f"problem.samples_per_worker = {wanted or 1}: {workers} workers need "
                f"{(wanted or 1) * workers:,} training samples, the data set has {available:,}; at "
                f"most {available // workers} per worker, or {available // (wanted or 1)} workers"
            )
        random = streams.generator("partition")
        targets = data.train_y[...]  # a view, through which nothing can be changed
        targets.flags.writeable = False
        assigned = self.partition.assign(targets, workers, wanted, random)
        return checked(self.partition, assigned, available, workers)

    def shards(self, workers: int, streams: Streams) -> list[npt.NDArray[np.int64]]:
        """Which samples each worker holds, after a check that model, loss and data go together.

        Raises:
            ScenarioError, ModelError: as for `task`.
        """
        data = self.load()
        if self._goes_with(data):
            return self.assign(data, workers, streams)
        return self.task(workers, streams, torch.device("cpu")).shards

    def _goes_with(self, data: Data) -> bool:
        """Whether the task needn't be built to know: classes, for a model that comes with desim."""
        shape = self.dataset.shape()
        if self._known_sizes() is None or self.loss is not None or self.regulariser is not None:
            return False
        if self.model.default_loss != "cross-entropy" or data.names:
            return False
        x, y = data.train_x, data.train_y
        classes = y.dtype == np.int64 and y.ndim == 1 and len(y) > 0 and shape.outputs > 1
        labels = np.concatenate([y, data.test_y]) if classes else y
        return bool(
            x.dtype.kind == "f" and classes and labels.min() >= 0 and labels.max() < shape.outputs
        )

    def task(self, workers: int, streams: Streams, device: torch.device) -> Task:
        """The problem on a device.

        Raises:
            ScenarioError: too few samples, or names of classes; or data and loss don't go with
                each other or with the model's outputs.
            ModelError: the model doesn't take the data, or can't be trained by many workers at
                once.
        """
        from desim.tensors.agreement import check_regulariser, taken_inputs, taken_targets
        from desim.tensors.model_check import check
        from desim.tensors.objective import Objective

        data = self.load()
        shards = self.assign(data, workers, streams)
        if data.names and int(data.train_y.max()) >= len(data.names):
            raise ScenarioError(
                f"problem.dataset: has {len(data.names)} names of classes and a label "
                f"{int(data.train_y.max())}; must have a name for each, or none"
            )
        dtype = getattr(torch, self.dtype)
        loss = self.loss or Loss.parse(self.model.default_loss)
        objective = Objective(self.module(streams).to(device), loss, self.l2, self.regulariser)

        def tensor(array: npt.NDArray[Any]) -> Tensor:
            number = torch.from_numpy(np.require(array, requirements=["C", "W"])).to(device)
            return number.to(dtype) if number.is_floating_point() else number

        # Only what somebody holds, so that the training loss is over the workers' own data.
        held = np.concatenate(shards)
        places = np.split(np.arange(len(held)), np.cumsum([len(s) for s in shards])[:-1])
        if self.regulariser is not None:
            check_regulariser(objective, self.regulariser)
        train_x, test_x = taken_inputs(objective, [tensor(data.train_x[held]), tensor(data.test_x)])
        train_y, test_y = taken_targets(
            objective, train_x, tensor(held), tensor(data.train_y), tensor(data.test_y)
        )
        check(objective, train_x[:2], train_y[:2])
        return Task(objective, places, train_x, train_y, test_x, test_y, data.names)


@dataclass(frozen=True)
class Task:
    """A problem ready for gradients.

    Attributes:
        objective: what a worker minimises.
        shards: for each worker its samples, as places in train_x.
        train_x, train_y, test_x, test_y: the data on the device.
        names: of the classes, or none.
    """

    objective: Objective
    shards: list[npt.NDArray[np.int64]]
    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    names: tuple[str, ...] = ()

    def label_counts(self) -> npt.NDArray[np.int64] | None:
        """(workers, classes): the samples of each class that each worker holds.

        None where the targets aren't classes.
        """
        if self.train_y.is_floating_point() or self.train_y.ndim != 1:
            return None
        labels = self.train_y.cpu().numpy()
        classes = int(labels.max()) + 1
        if labels.min() < 0 or classes > _MOST_CLASSES:
            return None
        return np.array([np.bincount(labels[s], minlength=classes) for s in self.shards], np.int64)
