"""One clock for many step sizes: a timeline doesn't depend on them.

The candidates of a search share the clock and everything that an algorithm does on it. Each has a
tape and a store of its own, so that its numbers are, bit for bit, those of a trial alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isfinite
from typing import cast

import torch
from torch import Tensor

from desim.engine.outcome import Outcome
from desim.engine.simulation import Simulation
from desim.errors import NonFiniteError
from desim.scenario.setting import Setting
from desim.step_sizes.base import StepSize
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.evaluation import Evaluator, Measures
from desim.tensors.plane import Plane, Sized, Tensors
from desim.tensors.refs import Ref
from desim.tuning.candidate_refs import Bundle
from desim.tuning.candidates import CandidateStepSizes, NotOneNumberError


class BundledTensors:
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

    def _each(self, operation: Callable[[Tensors, int], Ref], *inputs: Ref) -> Bundle:
        bundles = cast(tuple[Bundle, ...], inputs)
        parts: list[Ref | None] = [None] * len(self._planes)
        for k in self.alive:
            if all(bundle.parts[k] is not None for bundle in bundles):
                parts[k] = operation(self._planes[k], k)
        return Bundle(parts)

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
        parts = cast(Bundle, ref).parts
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
    found = cast(Bundle, ref).parts[candidate]
    assert found is not None
    return found


class BundledSimulation(Simulation):
    """Trials that differ in their step sizes only, on one clock.

    A candidate that diverges or reaches [stop] target_train_loss is done; the clock goes on for the
    others.

    Args:
        setting: what to simulate; its algorithm's own step size doesn't matter.
        step_sizes: one per candidate.
        device, progress: as for `Simulation`.

    Attributes:
        outcomes: one per candidate, as a trial alone would give it.
    """

    def __init__(
        self,
        setting: Setting,
        step_sizes: Sequence[StepSize],
        *,
        device: str = "cpu",
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.outcomes = [Outcome() for _ in step_sizes]
        candidates = CandidateStepSizes(members=tuple(step_sizes))
        algorithm = setting.algorithm.model_copy(update={"step_size": candidates})
        super().__init__(replace(setting, algorithm=algorithm), device=device, progress=progress)

    def _tensors(self, streams: Streams, device: str, one_by_one: bool) -> Plane:
        where = torch.device(device)
        task = self._setting.problem.task(self._setting.cluster.size, streams, where)
        for outcome in self.outcomes:
            outcome.label_counts, outcome.label_names = task.label_counts(), task.names
        self.tape = None
        self._tapes = [self._tape(task, streams, where, one_by_one) for _ in self.outcomes]
        self._evaluators = [Evaluator(tape.kernels.store, task) for tape in self._tapes]
        row, layers = task.objective.pack(), task.objective.layers
        self._bundle = BundledTensors(
            [Tensors(tape, tape.constant(row), layers) for tape in self._tapes], layers
        )
        return self._bundle

    def run_all(self) -> list[Outcome]:
        """Runs all candidates to their ends.

        Raises:
            SimulationError: as for `Simulation.run`.
            NonFiniteError: a message of some candidate isn't finite; they must be run one by one.
            Exception: the algorithm needs one number for a step size, NotOneNumberError where it
                says so; its candidates must be run one by one.
        """
        clock = self.run()
        for k in self._bundle.alive:
            self.outcomes[k].stopped_by = clock.stopped_by
            self.outcomes[k].stalled = clock.stalled
        for outcome, tape in zip(self.outcomes, self._tapes, strict=True):
            outcome.time_s = outcome.rows[-1].time_s
            outcome.peak_rows = tape.kernels.store.peak
        return self.outcomes

    def _diverge(self, error: NonFiniteError) -> None:
        """One candidate's end is not the others': they must be run one by one."""
        raise error

    def _evaluate(self) -> None:
        self.network.settle()
        self.outcome.rows.append(self._row(Measures()))
        for k in sorted(self._bundle.alive):
            self._evaluate_candidate(k)
        if not self._bundle.alive and not self._stopped.triggered:
            self._stopped.succeed()

    def _evaluate_candidate(self, candidate: int) -> None:
        tape, outcome = self._tapes[candidate], self.outcomes[candidate]
        models = [tape.record(part(w.evaluated, candidate), w.id) for w in self.evaluated_workers()]
        tape.flush()
        measures = self._evaluators[candidate]([model.row for model in models])
        row = self._row(measures)
        outcome.rows.append(row)
        target = self._setting.stop.target_train_loss
        if not isfinite(measures.train_loss):
            outcome.diverged_at_s, outcome.stopped_by = row.time_s, "diverged"
        elif self._stopped.triggered or target is None or measures.train_loss > target:
            return
        else:
            outcome.stopped_by = "target_train_loss"
        self._bundle.alive.discard(candidate)
