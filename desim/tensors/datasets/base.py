"""What a data set is."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.schema.registry import Member


@dataclass(frozen=True)
class Shape:
    """What a model needs to know of the data.

    Attributes:
        inputs: the shape of one input.
        outputs: the number of classes, or of numbers to predict.
    """

    inputs: tuple[int, ...]
    outputs: int


@dataclass(frozen=True)
class Data:
    """A training and a test part.

    Attributes:
        train_x, test_x: inputs, float, (samples, *inputs); the test part may be empty.
        train_y, test_y: int64 classes (samples,), or float targets (samples, ...).
        names: of the classes, for figures; none where they go by their numbers.
    """

    train_x: npt.NDArray[np.floating[Any]]
    train_y: npt.NDArray[Any]
    test_x: npt.NDArray[np.floating[Any]]
    test_y: npt.NDArray[Any]
    names: tuple[str, ...] = ()


class Dataset(Member):
    """Where the samples come from."""

    axis: ClassVar[str] = "datasets"

    @abstractmethod
    def shape(self) -> Shape:
        """The shape, without loading the data."""

    @abstractmethod
    def load(self) -> Data:
        """The data, in a fixed order."""

    def sample(self, count: int) -> npt.NDArray[Any]:
        """At most so many inputs, which the cost of a model is counted with: the first ones.

        A member that knows their type gives `zeros` instead, and loads nothing.
        """
        return self.load().train_x[:count]

    def zeros(self, count: int) -> npt.NDArray[np.float32]:
        """So many inputs of the right shape."""
        return np.zeros((count, *self.shape().inputs), np.float32)

    @classmethod
    def from_object(cls, value: object) -> "Dataset | None":
        """A data set made of arrays."""
        return GivenDataset(data=value) if isinstance(value, Data) else None


class GivenDataset(Dataset):
    """Arrays given in code.

    Attributes:
        data: the arrays.
    """

    data: Data

    def shape(self) -> Shape:
        """Read off the arrays."""
        y = self.data.train_y
        classes = np.issubdtype(y.dtype, np.integer)
        outputs = int(y.max()) + 1 if classes else int(np.prod(y.shape[1:], dtype=int))
        return Shape(self.data.train_x.shape[1:], outputs)

    def load(self) -> Data:
        """The arrays."""
        return self.data

    def table(self) -> dict[str, Any]:
        """A description: arrays can't stand in a scenario file."""
        shapes = [list(self.data.train_x.shape), list(self.data.test_x.shape)]
        return {"kind": "object", "train_and_test_shapes": shapes}
