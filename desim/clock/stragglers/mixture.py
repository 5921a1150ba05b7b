"""A mixture: each gradient, or each worker, follows one of several models, drawn by weight.

`desim fit` fits two lognormals, since no measurement shows two single speeds as `bimodal` has them.
"""

from math import log
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from desim.clock.stragglers._two_normals import two_normals
from desim.clock.stragglers.base import Fittable, Numbers, Speed, StragglerModel, speed_of
from desim.clock.stragglers.lognormal import LogNormal
from desim.streams import Streams

_BLOCK = 64


class Mixture(Fittable):
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
        {
            "models": [
                {"kind": "lognormal", "sigma": 0.1, "mu": -4.0},
                {"kind": "lognormal", "sigma": 0.2, "mu": -2.0},
            ],
            "weights": [0.85, 0.15],
        },
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
        """Every model's speed, and the draws of which one holds."""
        return MixedSpeed(self, streams, worker)

    def check(self, workers: int) -> None:
        """Each of the models must fit so many workers."""
        for place, model in enumerate(self.models):
            try:
                model.check(workers)
            except ValueError as error:
                raise ValueError(f"models.{place}.{error}") from None

    def shares(self) -> list[float]:
        """The models' probabilities."""
        return [weight / sum(self.weights) for weight in self.weights]

    def mean_speed(self) -> float:
        """The mean of the models' means by weight."""
        return sum(p * m.mean_speed() for p, m in zip(self.shares(), self.models, strict=True))

    def mean_speed_of(self, worker: int) -> float:
        """The mean of the models' means for this worker by weight."""
        models = zip(self.shares(), self.models, strict=True)
        return sum(p * m.mean_speed_of(worker) for p, m in models)

    def mean_slowdown(self) -> float:
        """The mean of the models' means by weight."""
        return sum(p * m.mean_slowdown() for p, m in zip(self.shares(), self.models, strict=True))

    @classmethod
    def fitted(cls, x: Numbers) -> Self:
        """Two lognormals, the faster one first."""
        weight, mu, sigma = two_normals(np.sort(np.log(x)))
        models = [LogNormal(mu=float(m), sigma=float(s)) for m, s in zip(mu, sigma, strict=True)]
        return cls(models=tuple(models), weights=tuple(weight.tolist()))

    def parameters(self) -> int:
        """Those of the models, and all weights but one, as their sum doesn't matter."""
        return sum(model.parameters() for _, model in self._fittable()) + len(self.weights) - 1

    def log_density(self, x: Numbers) -> Numbers:
        """ln of the sum of share times density; ValueError where a model has no density."""
        rows = [log(share) + model.log_density(x) for share, model in self._fittable()]
        density: Numbers = np.logaddexp.reduce(rows)
        return density

    def cdf(self, x: Numbers) -> Numbers:
        """The sum of share times distribution function; ValueError as for the density."""
        rows = np.stack([share * model.cdf(x) for share, model in self._fittable()])
        return np.asarray(rows.sum(0))

    def _fittable(self) -> list[tuple[float, Fittable]]:
        """The models with their shares."""
        found = []
        for place, (share, model) in enumerate(zip(self.shares(), self.models, strict=True)):
            if not isinstance(model, Fittable):
                raise ValueError(f"models.{place}.kind = {model.table()['kind']!r}: has no density")
            found.append((share, model))
        return found


class MixedSpeed:
    """One worker's speed under a mixture: at each step that of the model drawn for it."""

    __slots__ = ("_chosen", "_ends", "_persistent", "_speeds", "_start", "_streams", "_worker")

    def __init__(self, mixture: Mixture, streams: Streams, worker: int) -> None:
        self._speeds: list[Speed] = [speed_of(model, streams, worker) for model in mixture.models]
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
        """That of the step's model."""
        return self._at(step).duration_s(step, start_s, work_s)

    def work_s(self, step: int, start_s: float, duration_s: float) -> float:
        """That of the step's model."""
        return self._at(step).work_s(step, start_s, duration_s)
