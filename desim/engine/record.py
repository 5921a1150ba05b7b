"""What a trial's evaluations have found, and whether one of them ends it.

A trial alone has one record; candidates that share a clock have one each, so that metrics, stops
and divergence mean the same in `desim run` and in `desim tune`.
"""

from collections.abc import Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

from desim.engine.outcome import Outcome
from desim.errors import SimulationError
from desim.metrics.base import Counts, EvaluatedModels, Evaluation, Metric, Row
from desim.schema.phrases import short
from desim.stops.base import StopRule
from desim.tensors.problem import Task
from desim.tensors.refs import Ref
from desim.tensors.tape import Tape


class Record:
    """The evaluations of one trial.

    Args:
        metrics: what is measured.
        rules: what may end it.
        task: the problem; None in a run of the clock alone.
        tape: its tensors; None in a run of the clock alone.

    Attributes:
        outcome: where evaluations are noted.
        tape: these tensors.
    """

    def __init__(
        self,
        metrics: Sequence[Metric],
        rules: Sequence[StopRule],
        task: Task | None = None,
        tape: Tape | None = None,
    ) -> None:
        self.outcome, self.tape = Outcome(), tape
        self._metrics, self._rules, self._task = metrics, rules, task
        if task is not None:
            self.outcome.label_counts, self.outcome.label_names = task.label_counts(), task.names

    def evaluate(self, counts: Counts, models: Sequence[tuple[Ref, int]]) -> str | None:
        """Measures, and says what ends the trial: the name of a rule, "diverged", or None.

        Args:
            counts: how far it is.
            models: what is evaluated, each with its worker's number.
        """
        row = self._measured(counts, models)
        self.outcome.rows.append(row)
        if self.tape is not None and not isfinite(row["train_loss"]):
            self.outcome.diverged_at_s, self.outcome.stopped_by = row.time_s, "diverged"
            return "diverged"
        return next((rule.name for rule in self._rules if self._ends(rule)), None)

    def _ends(self, rule: StopRule) -> bool:
        reached: Any = rule.reached(self.outcome.rows)
        if not isinstance(reached, bool | np.bool_):
            raise SimulationError(
                f"stop.rules {rule.table()}: `reached` gives {reached!r}; must be True or False"
            )
        return bool(reached)

    def _measured(self, counts: Counts, models: Sequence[tuple[Ref, int]]) -> Row:
        evaluated = None
        if self.tape is not None and self._task is not None:
            nodes = [self.tape.record(model, worker) for model, worker in models]
            self.tape.flush()
            rows = [node.row for node in nodes]
            evaluated = EvaluatedModels(self.tape.kernels.store, rows, self._task)
        return self._row(Evaluation(counts, evaluated), train=evaluated is not None)

    def diverge(self, counts: Counts, why: str) -> None:
        """Ends the trial where a message isn't finite any more, before an evaluation."""
        row = self._row(Evaluation(counts), train=False)
        self.outcome.rows.append(row)
        self.outcome.diverged_at_s, self.outcome.diverged = row.time_s, why
        self.outcome.stopped_by = "diverged"

    def _row(self, evaluation: Evaluation, *, train: bool) -> Row:
        """The metrics; without training those of the clock alone, the others nan."""
        values = {
            metric.name: _number(metric, evaluation) if train or metric.clock else nan
            for metric in self._metrics
        }
        return Row(evaluation.counts.time_s, values)

    def end(self) -> Outcome:
        """What came out, with what the tensors took."""
        if self.tape is not None:
            self.outcome.peak_rows = self.tape.kernels.store.peak
        return self.outcome


def _number(metric: Metric, evaluation: Evaluation) -> float:
    """A metric's value as a plain number: counts stay whole."""
    value: Any = metric.value(evaluation)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    shape: Any = getattr(value, "shape", ())
    try:
        if isinstance(value, str) or len(shape):
            raise TypeError
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise SimulationError(
            f"evaluate.metrics {metric.table()}: `value` gives {short(value)}; must be a number"
        ) from None
