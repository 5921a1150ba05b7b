"""What comes out of a trial."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from desim.metrics.base import Row


@dataclass
class Outcome:
    """What came out of a trial.

    Attributes:
        rows: the evaluations, the first at time 0.
        time_s: simulated time at the end.
        stopped_by: the name of the rule that ended it, or "diverged" or "stalled".
        diverged_at_s: simulated time of the evaluation whose loss wasn't finite, or None.
        diverged: whose message wasn't finite, where that was found before an evaluation; or None.
        stalled: who waits for whom, where nothing could happen any more; else None.
        peak_rows: the largest number of rows that the store held; 0 without training.
        optimal_loss: the smallest training loss that there is, where it was asked for.
        label_counts: (workers, classes): the samples of each class that each worker holds; None
            without training, or where the targets aren't classes.
        label_names: of the classes; none where they go by their numbers.
    """

    rows: list[Row] = field(default_factory=list)
    time_s: float = 0.0
    stopped_by: str = "time_s"
    diverged_at_s: float | None = None
    diverged: str | None = None
    stalled: str | None = None
    peak_rows: int = 0
    optimal_loss: float | None = None
    label_counts: npt.NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
