"""QuanTimed-DSGD (Reisizadeh et al. 2019, arXiv 1907.10595): compute until a deadline.

    x_i <- (1 - epsilon + epsilon w_ii) x_i + epsilon sum_j w_ij Q(x_j) - alpha epsilon g_i

with g_i the mean gradient over the floor(V_i T_d) samples that worker i gets through before the
deadline T_d; zero if there are none.
"""

from itertools import count
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from desim.algorithms.base import Algorithm
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker import Waiting, Worker


class QuanTimedDSGD(Algorithm):
    """Deadline-based decentralized SGD with quantized models.

    Attributes:
        deadline_s: T_d in seconds.
        expected_batch: b, which gives T_d = b / E[V]; give this or deadline_s.
        compressor: Q.
        barrier: "global" or "neighbors".
    """

    kind: ClassVar[str] = "quantimed-dsgd"
    horizon_only_in_step_size: ClassVar[bool] = True
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"expected_batch": 20.0},)

    deadline_s: Annotated[float, Field(gt=0)] | None = None
    expected_batch: Annotated[float, Field(gt=0)] | None = None
    compressor: Compressor = NoCompressor()
    barrier: Literal["global", "neighbors"] = "global"

    @model_validator(mode="after")
    def _one_deadline(self) -> Self:
        if (self.deadline_s is None) == (self.expected_batch is None):
            raise ValueError(
                f"deadline_s = {self.deadline_s}, expected_batch = {self.expected_batch}: give "
                "exactly one of them; T_d = b / E[V]"
            )
        return self

    def deadline(self, mean_speed_sps: float) -> float:
        """T_d in seconds."""
        if self.deadline_s is not None:
            return self.deadline_s
        assert self.expected_batch is not None
        return self.expected_batch / mean_speed_sps

    def worker(self, me: Worker) -> Waiting:
        """Compute until the deadline, send, wait for the messages, mix."""
        alpha, epsilon = self.step_size.at(me.horizon)
        deadline_s = self.deadline(me.mean_speed_sps)
        x = me.initial_model()
        for t in count():
            gradient, _batch = yield from me.compute_until(x, deadline_s)
            me.broadcast(me.compress(x, self.compressor), tag=t)
            received = yield from me.gather(tag=t)
            if self.barrier == "global":
                yield from me.barrier()
            x = x + epsilon * ((yield from me.mix(x, received)) - x) - alpha * epsilon * gradient
            me.commit(x)

    def plan(self, mean_speed_sps: float) -> dict[str, Any]:
        """T_d."""
        return {"T_d": f"{self.deadline(mean_speed_sps):.4g} s"}
