"""What a data set is."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from desim.errors import ScenarioError
from desim.schema.registry import Member
from desim.tensors.datasets._given import array, parts, refuse_nonfinite


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

    Arrays, tensors of any device and lists are taken and kept as arrays, without a copy where that
    can be. Whole-number inputs (token ids, bytes) are given to the model as they are, or as floats
    where it doesn't take them so; nothing is scaled.

    Attributes:
        train_x, test_x: inputs, (samples, *inputs), finite; the test part may be empty.
        train_y, test_y: whole numbers or truth values, kept as int64: classes (samples,), labels
            (samples, classes), or numbers to predict; or float targets (samples, ...), finite.
        names: of the classes, for figures; none where they go by their numbers.

    Raises:
        ScenarioError: an array isn't one of real numbers.
    """

    train_x: npt.NDArray[Any]
    train_y: npt.NDArray[Any]
    test_x: npt.NDArray[Any]
    test_y: npt.NDArray[Any]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("train_x", "train_y", "test_x", "test_y"):
            values = array(name, getattr(self, name))
            if name.endswith("y") and values.dtype.kind in "biu":
                values = values.astype(np.int64, copy=False)
            object.__setattr__(self, name, values)

    def refuse_beyond(self, dtype: npt.DTypeLike) -> None:
        """Raises ScenarioError where a number is beyond the range of a type of floats."""
        most = np.finfo(dtype).max
        for name in ("train_x", "train_y", "test_x", "test_y"):
            values = getattr(self, name)
            wider = values.dtype.kind == "f" and np.finfo(values.dtype).max > most
            if wider and values.size and max(values.max(), -values.min()) > most:
                where = np.argwhere(abs(values) > most)[0].tolist()
                raise ScenarioError(
                    f"problem.dataset: {name}{where} = {values[tuple(where)]:g}: is beyond the "
                    f"largest {np.dtype(dtype)}, {most:.3g}; scale it, or set problem.dtype"
                )

    def check(self) -> None:
        """Holds the arrays against each other, and looks at each number: once for all trials.

        Raises:
            ScenarioError: inputs and targets, or the two parts, don't go together; or a number
                isn't finite.
        """
        for name in ("train_x", "train_y", "test_x", "test_y"):
            refuse_nonfinite(name, getattr(self, name))
        for part, x, y in (
            ("train", self.train_x, self.train_y),
            ("test", self.test_x, self.test_y),
        ):
            if len(x) != len(y):
                raise ScenarioError(
                    f"problem.dataset: {part}_x has {len(x):,} samples and {part}_y {len(y):,}; "
                    "must be as many"
                )
        if len(self.test_x):
            self._check_test()

    def _check_test(self) -> None:
        pairs = ("x", self.train_x, self.test_x), ("y", self.train_y, self.test_y)
        for name, train, test in pairs:
            if train.shape[1:] != test.shape[1:]:
                raise ScenarioError(
                    f"problem.dataset: train_{name} has samples of shape {train.shape[1:]} and "
                    f"test_{name} of {test.shape[1:]}; must be the same"
                )
            if (train.dtype.kind == "f") != (test.dtype.kind == "f"):
                raise ScenarioError(
                    f"problem.dataset: train_{name} is of {train.dtype} and test_{name} of "
                    f"{test.dtype}; must both be floats, or both whole numbers"
                )


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
        """A data set made of `Data`, of arrays, or of torch datasets; see `GivenDataset`."""
        if isinstance(value, Data):
            return GivenDataset(data=value)
        given = parts(value)
        return None if given is None else GivenDataset(data=Data(*given))


class GivenDataset(Dataset):
    """Data given in code.

    That is `desim.Data`; arrays or tensors `(x, y)`, or a torch Dataset of pairs, without a test
    part; `((x, y), (test_x, test_y))`, or two torch Datasets `(train, test)`. A torch Dataset is
    read into memory, each sample once: random transforms are drawn once.

    Attributes:
        data: the arrays.
    """

    data: Data

    @model_validator(mode="after")
    def _checked(self) -> Self:
        self.data.check()
        return self

    def shape(self) -> Shape:
        """Read off the arrays: whole numbers in one row are classes."""
        data, y = self.data, self.data.train_y
        if y.dtype.kind == "f" or y.ndim > 1:
            outputs = int(np.prod(y.shape[1:], dtype=int))
        else:
            labels = (int(part.max(initial=-1)) for part in (y, data.test_y))
            outputs = max(len(data.names), *(label + 1 for label in labels))
        return Shape(data.train_x.shape[1:], outputs)

    def load(self) -> Data:
        """The arrays."""
        return self.data

    def table(self) -> dict[str, Any]:
        """A description: arrays can't stand in a scenario file."""
        shapes = [list(self.data.train_x.shape), list(self.data.test_x.shape)]
        return {"kind": "object", "train_and_test_shapes": shapes}
