"""A mixture: each gradient, or each worker, follows one of several models, drawn by weight."""

from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from desim.clock.stragglers.base import Speed, StragglerModel
from desim.streams import Streams

_BLOCK = 64


class Mixture(StragglerModel):
    """One of several straggler models, drawn for each gradient or once per worker.

    Attributes:
        models: the models, two or more; none of them a mixture.
        weights: a positive number for each; their sum doesn't matter.
        persistent: one draw per worker instead of one per gradient.
    """

    kind: ClassVar[str] = "mixture"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"models": ["none", {"kind": "shifted-exponential", "shift": 5.0}], "weights": [3.0, 1.0]},
        {"models": ["none", "markov"], "weights": [0.5, 0.5], "persistent": True},
    )

    models: Annotated[tuple[StragglerModel, ...], Field(min_length=2, strict=False)]
    weights: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(strict=False)]
    persistent: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.weights) != len(self.models):
            raise ValueError(
                f"weights = {list(self.weights)}: must be one for each of {len(self.models)} models"
            )
        for place, model in enumerate(self.models):
            if isinstance(model, Mixture):
                raise ValueError(
                    f"models.{place}.kind = {model.kind!r}: must be none itself; list all models "
                    "in one"
                )
        return self

    def speed(self, streams: Streams, worker: int) -> "MixedSpeed":
        """The models' speeds, and the one that counts."""
        return MixedSpeed(self, streams, worker)

    def check(self, workers: int) -> None:
        """Each model must fit."""
        for place, model in enumerate(self.models):
            try:
                model.check(workers)
            except ValueError as error:
                raise ValueError(f"models.{place}.{error}") from None

    def shares(self) -> list[float]:
        """The models' probabilities."""
        return [weight / sum(self.weights) for weight in self.weights]

    def mean_speed(self) -> float:
        """The mean over the models."""
        return sum(p * m.mean_speed() for p, m in zip(self.shares(), self.models, strict=True))

    def mean_speed_of(self, worker: int) -> float:
        """The mean over the models."""
        models = zip(self.shares(), self.models, strict=True)
        return sum(p * m.mean_speed_of(worker) for p, m in models)

    def mean_slowdown(self) -> float:
        """The mean over the models."""
        return sum(p * m.mean_slowdown() for p, m in zip(self.shares(), self.models, strict=True))


class MixedSpeed:
    """One worker's speed under a mixture."""

    __slots__ = ("_chosen", "_ends", "_persistent", "_speeds", "_start", "_streams", "_worker")

    def __init__(self, mixture: Mixture, streams: Streams, worker: int) -> None:
        self._speeds: list[Speed] = [model.speed(streams, worker) for model in mixture.models]
        self._ends = np.cumsum(mixture.shares())[:-1]
        self._persistent = mixture.persistent
        self._streams, self._worker = streams, worker
        self._start, self._chosen = -_BLOCK, np.zeros(_BLOCK, int)

    def _at(self, step: int) -> Speed:
        step = 0 if self._persistent else step
        if not 0 <= step - self._start < _BLOCK:
            self._start = step - step % _BLOCK
            names = np.arange(self._start, self._start + _BLOCK)
            # Not the models' own draws (0): what is chosen must not depend on what it gives.
            u = self._streams.uniforms("speed", self._worker, names, 2)
            self._chosen = np.searchsorted(self._ends, u, side="right")
        return self._speeds[int(self._chosen[step - self._start])]

    def duration_s(self, step: int, start_s: float, work_s: float) -> float:
        """As the model of this step has it."""
        return self._at(step).duration_s(step, start_s, work_s)

    def work_s(self, step: int, start_s: float, duration_s: float) -> float:
        """As the model of this step has it."""
        return self._at(step).work_s(step, start_s, duration_s)
