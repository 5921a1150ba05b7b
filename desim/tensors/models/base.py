"""What a model is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from desim.errors import DesimError, ModelError
from desim.schema.own_code import name_of, reason
from desim.schema.phrases import without_addresses
from desim.schema.registry import Member, plain
from desim.tensors.datasets.base import Shape
from desim.tensors.lazy import nn


class Model(Member):
    """Builds the torch module that every worker trains.

    Class attributes:
        default_loss: the kind of loss where the scenario names none.
    """

    axis: ClassVar[str] = "models"
    default_loss: ClassVar[str] = "cross-entropy"

    @abstractmethod
    def build(self, shape: Shape) -> nn.Module:
        """A module for data of this shape; its parameters are every worker's initial model.

        Called with torch's generator seeded by the trial.
        """

    def parameter_sizes(self, shape: Shape) -> tuple[int, ...] | None:
        """How many numbers each parameter tensor of `build` has, in their order.

        None where only a module that was built can tell. A class that overrides `build` without
        this is asked for a module.
        """
        return None

    @classmethod
    def from_object(cls, value: object) -> Model | None:
        """A model made of a module, or of a function that returns one."""
        return GivenModel(module=value) if callable(value) else None


class GivenModel(Model):
    """A module given in code.

    Attributes:
        module: an nn.Module, whose parameters are the initial model for every seed; or a function
            without arguments that returns one, called anew for every seed.
    """

    module: Callable[..., Any]

    def build(self, shape: Shape) -> nn.Module:
        """A copy of the module, or a new one.

        Raises:
            ModelError: the module can't be copied, or the function raises.
        """
        from desim.tensors.modules import copied

        if isinstance(self.module, nn.Module):
            return copied(self.module)
        try:
            made: nn.Module = self.module()
        except DesimError:
            raise
        except Exception as error:
            raise ModelError(
                f"problem.model: {name_of(self.module)} can't be called without arguments, or "
                f"fails: {reason(error)}"
            ) from error
        return made

    def table(self) -> dict[str, Any]:
        """A description: a module can't stand in a scenario file."""
        return {"kind": "object", "module": _described(self.module)}


def _described(module: Callable[..., Any]) -> str:
    """The layers of a module, or the name of what builds one."""
    if not isinstance(module, nn.Module):
        return str(plain(module))
    return without_addresses(" ".join(repr(module).split()))
