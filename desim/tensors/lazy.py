"""torch, imported when it is first used.

To import torch takes longer than to read, list or check a scenario. Files that describe (members of
axes, tables, refs) take `torch` and `nn` from here; a class of your own may import torch as usual.
"""

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["nn", "torch"]

if TYPE_CHECKING:
    import torch
    from torch import nn
else:

    class _Module:
        """A module that is imported when an attribute of it is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            value = getattr(importlib.import_module(self._name), name)
            setattr(self, name, value)  # from now on as fast as the module's own attribute
            return value

    torch, nn = _Module("torch"), _Module("torch.nn")
