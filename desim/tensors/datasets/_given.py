"""Arrays, tensors and torch datasets that are handed over in code, as NumPy arrays."""

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.schema.own_code import reason
from desim.schema.phrases import short

Array = npt.NDArray[Any]

#: Rows that are looked at together for a number that isn't finite.
_AT_A_TIME = 1024

_HOW = (
    "in code, desim.Data(train_x, train_y, test_x, test_y) or (x, y) of arrays or tensors, a torch "
    "Dataset of such pairs, or ((x, y), (test_x, test_y)), (train, test) of these"
)


def array(name: str, value: object) -> Array:
    """An array or a tensor as an array of a type that torch has, copied only where need be.

    Raises:
        ScenarioError: it holds anything but real numbers, or has no first dimension.
    """
    if _is_tensor(value):
        tensor: Any = value
        wide = tensor.detach().cpu()
        if str(wide.layout) != "torch.strided":
            raise ScenarioError(
                f"problem.dataset: {name} has the layout {wide.layout}; give it as x.to_dense()"
            )
        value = (wide.float() if str(wide.dtype) == "torch.bfloat16" else wide).numpy()
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ScenarioError(
            f"problem.dataset: {name} has masked numbers, which would be trained on; leave out "
            "their samples, or fill them in: x.filled(0)"
        )
    try:
        found = np.asarray(value)
    except ValueError:  # rows of different length
        found = np.empty(0, object)
    if found.dtype.kind not in "biuf" or not found.ndim:
        raise ScenarioError(
            f"problem.dataset: {name} is {_what(value)}; must be an array of real numbers, "
            "(samples, ...)"
        )
    if found.dtype.kind == "u" and found.dtype.itemsize > 1:  # torch computes with few of these
        found = found.astype(np.int64)
    kept = np.float64 if found.dtype.kind == "f" and found.dtype.itemsize > 8 else found.dtype
    return found.astype(np.dtype(kept).newbyteorder("="), copy=False)


def refuse_nonfinite(name: str, values: Array) -> None:
    """Raises ScenarioError where a number isn't finite, with its place."""
    if values.dtype.kind != "f":
        return
    with np.errstate(all="ignore"):
        if np.isfinite(values.sum()):  # far cheaper than to look at each number; may overflow
            return
    for start in range(0, len(values), _AT_A_TIME):
        some = values[start : start + _AT_A_TIME]
        for row, *place in np.argwhere(~np.isfinite(some))[:1].tolist():
            found = some[(row, *place)]
            raise ScenarioError(
                f"problem.dataset: {name}{[start + row, *place]} = {found}: must be finite; "
                "mend or leave out this sample"
            )


def parts(value: object) -> tuple[Any, Any, Any, Any] | None:
    """Inputs and targets for training and for testing, made of an object.

    Returns:
        None where the object is a table or the name of a kind.

    Raises:
        ValueError: it is nothing that a data set can be made of.
    """
    if isinstance(value, str | dict):
        return None
    pair = _pair(value)
    if pair is not None:
        return (*pair, pair[0][:0], pair[1][:0])
    if isinstance(value, tuple | list) and len(value) == 2:
        train, test = map(_pair, value)
        if train is not None and test is not None:
            return (*train, *test)
    if hasattr(value, "dataset") and hasattr(value, "batch_size"):
        raise ValueError(
            "a DataLoader gives batches, which the workers draw themselves; hand over its .dataset"
        )
    raise ValueError(f"must be a table such as {{kind = 'digits'}}; {_HOW}; is {_what(value)}")


def _pair(value: object) -> tuple[Array, Array] | None:
    """Inputs and targets of one part, or None."""
    if _is_dataset(value):
        return _gathered(value)
    if isinstance(value, tuple) and len(value) == 2 and all(map(_is_array, value)):
        return array("train_x", value[0]), array("train_y", value[1])
    return None


def _gathered(dataset: Any) -> tuple[Array, Array]:
    """All samples of a torch Dataset, each read once."""
    kind = type(dataset).__name__
    try:
        samples = len(dataset)
    except (TypeError, NotImplementedError):
        raise ValueError(f"{kind} has no length; {_HOW}") from None
    if kind == "TensorDataset" and len(dataset.tensors) == 2:
        return array("train_x", dataset.tensors[0]), array("train_y", dataset.tensors[1])
    columns: list[Array] = []
    for place in range(samples):
        try:
            sample = [np.asarray(part) for part in _sample(dataset[place])]
            if not columns:
                columns = [np.empty((samples, *part.shape), part.dtype) for part in sample]
            for column, part in zip(columns, sample, strict=True):
                if part.shape != column.shape[1:]:
                    raise ValueError(f"has the shape {part.shape}, the first {column.shape[1:]}")
                column[place] = part
        except Exception as error:  # whatever the user's class does
            raise ValueError(f"sample {place} of {kind} can't be taken ({reason(error)})") from None
    if not columns:
        raise ValueError(f"{kind} has no samples")
    x, y = columns
    return x, y


def _sample(sample: Any) -> list[Any]:
    """One input and its target."""
    if not isinstance(sample, tuple | list) or len(sample) != 2:
        raise TypeError(f"is {_what(sample)}; must be a pair (x, y)")
    parts = [part.detach().cpu().numpy() if _is_tensor(part) else part for part in sample]
    if any(np.asarray(part).dtype.kind not in "biuf" for part in parts):
        raise TypeError(f"holds {', '.join(map(_what, sample))}; must be arrays or tensors")
    return parts


def _is_tensor(value: object) -> bool:
    torch = sys.modules.get("torch")  # who has a tensor has imported it
    return torch is not None and isinstance(value, torch.Tensor)


def _is_dataset(value: object) -> bool:
    torch = sys.modules.get("torch.utils.data")
    return torch is not None and isinstance(value, torch.Dataset)


def _is_array(value: object) -> bool:
    return _is_tensor(value) or hasattr(value, "__array__") or isinstance(value, list)


def _what(value: object) -> str:
    """An object in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, shape {value.shape}"
    known = type(value) in (int, float, bool, str, tuple, list, type(None))
    return short(value) if known else f"a {type(value).__name__}"
