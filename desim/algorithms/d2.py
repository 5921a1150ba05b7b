"""D2 (Tang, Lian, Yan, Zhang, Liu 2018, arXiv 1803.07068): workers may have different data.

    first step:   x_i <- sum_j w_ij (x_j - alpha g_j)
    then:         x_i <- sum_j w_ij (2 x_j - x_j' - alpha g_j + alpha' g_j')

with g_i the mean gradient over a fixed batch at x_i, and x_i', g_i' those of the step before. The
first step is the second with x' = x and g' = 0. Where the gradients are exact all workers end at
the optimum of the mean loss, however different their data.

It needs a symmetric W whose smallest eigenvalue is above -1/3, else it is unstable. `lazy` takes
(W + I)/2 instead of W, whose eigenvalues are above 0 where those of W are above -1: then it is
exact diffusion (Yuan, Ying, Zhao, Sayed 2019, arXiv 1702.05122). Compressed, as the paper doesn't
have it, z_j = 2 x_j - ... is averaged as z_i + sum_j w_ij (Q(z_j) - Q(z_i)): an error of their mean
would go on growing. A crash that resets a worker (faults.model = "reset") would cost its part of
the correction, which the others don't make good, and is refused: after many of them D2 runs away.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.rounds import Rounds
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.protocol import Waiting, Worker

_LEAST = -1 / 3
#: Of eigenvalues, and of the symmetry of W.
_TOLERANCE = 1e-12


class D2(Rounds):
    """Decentralized SGD without the variance between the workers' data.

    Attributes:
        batch: samples per gradient.
        compressor: Q, what is done to the vectors that are sent.
        lazy: average with (W + I)/2 instead of W.
    """

    kind: ClassVar[str] = "d2"
    survives_reset: ClassVar[bool] = False
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "lazy": True},
        {"batch": 5, "mixing": {"kind": "laplacian", "margin": 2.0}},
    )

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor = NoCompressor()
    lazy: bool = False

    def prepare(self, weights: Weights, streams: Streams) -> None:
        """Checks W.

        Where its eigenvalues aren't computed, for more than 2,000 workers, every w_ii must be above
        1/3, which is enough.

        Raises:
            ScenarioError: W is not symmetric, or may have an eigenvalue that is too small.
        """
        if (skew := weights.asymmetry()) > _TOLERANCE:
            raise ScenarioError(
                f"algorithms.{self.name}: needs a symmetric W, and |W - W'| is {skew:.2g} "
                "somewhere; take an undirected topology"
            )
        own = float(weights.own.min())
        # Rows sum to 1: w_ii - (1 - w_ii) bounds the eigenvalues from below (Gershgorin).
        if self.lazy or 2 * own - 1 > _LEAST + _TOLERANCE:
            return
        found = weights.eigenvalues()
        if found is None:
            raise ScenarioError(
                f"algorithms.{self.name}: the eigenvalues of W must be above -1/3, which isn't "
                f"known for {weights.graph.workers:,} workers unless every w_ii is above 1/3 (the "
                f"smallest is {own:.4g}); give lazy = true"
            )
        if found[1] <= _LEAST + _TOLERANCE:
            raise ScenarioError(
                f"algorithms.{self.name}: the smallest eigenvalue of W is {found[1]:.4g}; must be "
                "above -1/3: give lazy = true, or another mixing"
            )

    def worker(self, me: Worker) -> Waiting:
        """Compute, send, wait for the neighbours, mix."""
        x = me.initial_model()
        x_before, gradient_before, alpha_before = me.state(x, me.zero(), 0.0)
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            alpha = me.step_size()
            z = me.record(2 * x - x_before - (alpha * gradient - alpha_before * gradient_before))
            message = yield from me.compress(z, self.compressor)
            received = yield from self.exchange(me, t, message)
            averaged = yield from self.keeping_mean(me, z, message.content, received)
            x_before, gradient_before, alpha_before = x, gradient, alpha
            x = (averaged + z) / 2 if self.lazy else averaged
            me.commit(x, x_before, gradient_before, alpha_before)
