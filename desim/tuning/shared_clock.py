"""One clock for many candidates: a timeline doesn't depend on the step size.

The candidates of a search share the clock and everything that an algorithm does on it. Each has a
tape and a store of its own, so that its numbers are, bit for bit, those of a trial alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from desim.engine.outcome import Outcome
from desim.engine.record import Record
from desim.engine.simulation import Simulation
from desim.errors import NonFiniteError
from desim.scenario.setting import Setting
from desim.step_sizes.base import StepSize
from desim.tensors.compressors.base import Compressor
from desim.tensors.plane import Plane, Sized, Tensors
from desim.tensors.problem import Task
from desim.tensors.refs import Ref
from desim.tensors.tape import Tape
from desim.tuning.candidate_refs import CandidateRefs
from desim.tuning.candidates import CandidateStepSizes, NotOneNumberError

if TYPE_CHECKING:
    from torch import Tensor


class CandidateTensors:
    """The tensor side of a worker for all candidates.

    Args:
        planes: each candidate's own.
        layers: the sizes of the model's parameter tensors.

    Attributes:
        parameters: the model's size.
        alive: the candidates that are still computed.
    """

    def __init__(self, planes: Sequence[Tensors], layers: tuple[int, ...]) -> None:
        self._planes, self._sized = planes, Sized(layers)
        self.parameters = planes[0].parameters
        self.alive = set(range(len(planes)))
        self._initial = self._each(lambda plane, _: plane.initial())

    def _each(self, operation: Callable[[Tensors, int], Ref], *inputs: Ref) -> CandidateRefs:
        refs = cast(tuple[CandidateRefs, ...], inputs)
        parts: list[Ref | None] = [None] * len(self._planes)
        for k in self.alive:
            if all(ref.parts[k] is not None for ref in refs):
                parts[k] = operation(self._planes[k], k)
        return CandidateRefs(parts)

    def initial(self) -> Ref:
        """The initial model."""
        return self._initial

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """Each candidate's gradient, over the same samples."""
        return self._each(
            lambda plane, k: plane.gradient(part(model, k), worker, step, position, batch), model
        )

    def zero(self) -> Ref:
        """A zero each."""
        return self._each(lambda plane, _: plane.zero())

    def compress(
        self, vector: Ref, compressor: Compressor, worker: int, step: int
    ) -> tuple[Ref, int]:
        """Each candidate's compression, with the same random numbers.

        Raises:
            NotOneNumberError: the size depends on the numbers, so that each needs its own clock.
        """
        fitted, bits = self._sized(compressor)
        if fitted.sized_by_content:
            raise NotOneNumberError("each candidate has message sizes of its own")
        contents = self._each(
            lambda plane, k: plane.compress(part(vector, k), compressor, worker, step)[0], vector
        )
        return contents, bits

    def sum(self, weights: Sequence[float], refs: Sequence[Ref]) -> Ref:
        """Each candidate's combination."""
        return self._each(
            lambda plane, k: plane.sum(weights, [part(ref, k) for ref in refs]), *refs
        )

    def record(self, ref: Ref, worker: int) -> None:
        """Makes one operation per candidate, and lets go of those no longer computed."""
        parts = cast(CandidateRefs, ref).parts
        for k, plane in enumerate(self._planes):
            kept = parts[k]
            if k not in self.alive:
                parts[k] = None
            elif kept is not None:
                plane.record(kept, worker)

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """Each candidate's row-wise function."""
        return self._each(
            lambda plane, k: plane.map(function, [part(ref, k) for ref in refs], worker), *refs
        )


def part(ref: Ref, candidate: int) -> Ref:
    """The ref of a candidate that is still computed."""
    found = cast(CandidateRefs, ref).parts[candidate]
    assert found is not None
    return found


class SharedClock(Simulation):
    """Trials that differ in their step sizes only, on one clock.

    A candidate that diverges, or that a stop rule ends at an evaluation, is done; the clock goes on
    for the others.

    Args:
        setting: what to simulate; its algorithm's own step size doesn't matter.
        step_sizes: one per candidate.
        device, progress: as for `Simulation`.
    """

    def __init__(
        self,
        setting: Setting,
        step_sizes: Sequence[StepSize],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> None:
        candidates = CandidateStepSizes(members=tuple(step_sizes))
        algorithm = setting.algorithm.model_copy(update={"step_size": candidates})
        super().__init__(replace(setting, algorithm=algorithm), device=device, progress=progress)

    def _tensors(self, task: Task, tape: Callable[[], Tape]) -> Plane:
        candidates = cast(CandidateStepSizes, self._setting.algorithm.step_size).members
        # The clock's own record looks at no tensors, and no rule that looks at them ends it.
        self._record = Record([metric for metric in self._metrics if metric.clock], ())
        tapes = [tape() for _ in candidates]
        self._records = [Record(self._metrics, self._rules, task, own) for own in tapes]
        row, layers = task.objective.pack(), task.objective.layers
        planes = [Tensors(own, own.constant(row), layers) for own in tapes]
        self._candidates = CandidateTensors(planes, layers)
        return self._candidates

    def run_all(self) -> list[Outcome]:
        """Runs all candidates to their ends, and gives the outcome of each as if it were alone.

        Raises:
            SimulationError: as for `Simulation.run`.
            NonFiniteError: a message of some candidate isn't finite; they must be run one by one.
            Exception: the algorithm needs one number for a step size, NotOneNumberError where it
                says so; its candidates must be run one by one.
        """
        clock = self.run()
        outcomes = [record.end() for record in self._records]
        for k in self._candidates.alive:
            outcomes[k].stopped_by, outcomes[k].stalled = clock.stopped_by, clock.stalled
        for outcome in outcomes:
            outcome.time_s = outcome.rows[-1].time_s
        return outcomes

    def _diverge(self, error: NonFiniteError) -> None:
        """One candidate's end is not the others': they must be run one by one."""
        raise error

    def _evaluate(self) -> None:
        self.network.settle()
        counts, stopped = self._counts(), self._stopped.triggered
        self._record.evaluate(counts, ())
        for k in sorted(self._candidates.alive):
            models = [(part(w.evaluated, k), w.id) for w in self.evaluated_workers()]
            reason = self._records[k].evaluate(counts, models)
            # As in a trial alone: what has ended it before comes first, unless it diverges.
            if reason is None or (stopped and reason != "diverged"):
                continue
            self._records[k].outcome.stopped_by = reason
            self._candidates.alive.discard(k)
        if not self._candidates.alive and not self._stopped.triggered:
            self._stopped.succeed()
