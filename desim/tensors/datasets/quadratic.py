"""Random points, whose mean a strongly convex quadratic looks for: a problem with a known optimum.

With the model of the same name, f(x) = (1/N) sum_k (1/2) sum_c h_c (x_c - theta_kc)^2 with
curvatures h_c from 1 / condition to 1; its minimum is at the mean of all theta.
"""

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.tensors.datasets.base import Data, Dataset, Shape


class Quadratic(Dataset):
    """theta ~ N(centre, spread^2 I), with a centre of 1 in every coordinate.

    Attributes:
        samples: how many points.
        dimension: numbers in a point.
        spread: the standard deviation of each.
    """

    kind: ClassVar[str] = "quadratic"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"samples": 50, "dimension": 2},)

    samples: Annotated[int, Field(ge=1)]
    dimension: Annotated[int, Field(ge=1)]
    spread: Annotated[float, Field(ge=0)] = 1.0

    def shape(self) -> Shape:
        """One output per coordinate."""
        return Shape((self.dimension,), self.dimension)

    def sample(self, count: int) -> npt.NDArray[Any]:
        """Zeros: they are floats."""
        return self.zeros(count)

    def load(self) -> Data:
        """The points; they are the inputs, and the targets are zero."""
        random = np.random.default_rng([self.samples, self.dimension])
        points = 1.0 + self.spread * random.standard_normal((self.samples, self.dimension))
        return Data(points, np.zeros_like(points), points[:0], points[:0])
