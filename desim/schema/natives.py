"""Numbers of numpy, as they stand in scenarios made in Python, as numbers of Python."""

from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin


def native(value: Any, annotation: Any) -> Any:
    """A field's value with numpy's scalars as Python's, and arrays and ranges as lists.

    Args:
        value: whatever a field is given.
        annotation: the field's type. An array becomes a list where that is a list of something:
            elsewhere it may be data.
    """
    import numpy as np  # not while `desim list` starts

    if isinstance(value, np.generic):
        return value.item()
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return native(value, parts[0])
    if origin in (Union, UnionType):
        for part in parts:
            if part is not NoneType:
                value = native(value, part)
        return value
    if origin in (list, tuple):
        if isinstance(value, np.ndarray | range):
            return value.tolist() if isinstance(value, np.ndarray) else list(value)
        if type(value) in (list, tuple):
            return type(value)(native(item, parts[0]) for item in value)
    if origin is dict and type(value) is dict:
        return {native(key, parts[0]): native(item, parts[1]) for key, item in value.items()}
    return value
