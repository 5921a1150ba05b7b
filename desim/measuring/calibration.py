"""How fast this machine trains a scenario's model: what `desim calibrate` measures.

Steps of plain SGD are timed for several batch sizes n, and

    seconds = (overhead_s + n / speed_sps) F,   E[F] = 1

is fitted in two parts. The line goes through the medians, which a few steps interrupted by other
programs don't move, and by least squares of the errors *relative* to them: a step of one sample
counts as much as one of hundreds that takes a hundred times as long. Neither of its two numbers can
be negative, so it is the non-negative least squares of Lawson and Hanson 1974. Real times bend (a
convolution of one image goes another way through the libraries than one of two), so batch sizes
that the scenario's algorithms use count more than those around them. Then the line is raised by the
mean of seconds / median over all steps, so that it gives mean times: interruptions do take time.
The spread of F is that of ln(seconds) about its mean for each batch size, pooled.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log2, sqrt

import numpy as np
import numpy.typing as npt
import torch

from desim.errors import ScenarioError
from desim.measuring.plain_sgd import PlainSGD
from desim.streams import Streams
from desim.tensors.problem import Problem

#: Batch sizes that are timed where the algorithms name none.
LADDER = (1, 8, 32, 64, 128, 256)

#: The errors of batch sizes in use count so many times in the line.
_IN_USE = 3.0

#: Untimed steps of each batch size to begin with.
_WARM_UP = 5

#: Timed steps of a batch size in a row. One more before them isn't timed: the first step after
#: another batch size takes some percent longer than one in a loop.
_IN_A_ROW = 4

#: So many steps of each batch size at least, and at most if no number is given.
_FEWEST, _MOST = 8, 10_000

#: A time that grows by less than this share of itself says nothing about seconds per sample.
_GROWTH = 0.01

#: A spread of ln(seconds) below this is none that a simulation would notice.
NEGLIGIBLE = 0.01


@dataclass(frozen=True)
class Timed:
    """The steps of one batch size.

    Attributes:
        batch: samples a step.
        seconds: each step's time, shape (repeats,).
    """

    batch: int
    seconds: npt.NDArray[np.float64]

    @property
    def median_s(self) -> float:
        """The median, in seconds."""
        return float(np.median(self.seconds))


@dataclass(frozen=True)
class Calibration:
    """What was measured on this machine.

    Attributes:
        timed: the steps, by ascending batch size.
        overhead_s, speed_sps: mean seconds of a step beside its samples, and samples/s.
        sigma: standard deviation of ln(seconds) at one batch size.
        mean_factor: mean of seconds / median; the two numbers above contain it.
        parameters: the model's size.
        samples: training samples in the data.
        threads: of torch.
    """

    timed: tuple[Timed, ...]
    overhead_s: float
    speed_sps: float
    sigma: float
    mean_factor: float
    parameters: int
    samples: int
    threads: int

    def mean_s(self, batch: int) -> float:
        """The fitted mean time of a step over so many samples, in seconds."""
        return self.overhead_s + batch / self.speed_sps

    def median_s(self, batch: int) -> float:
        """The fitted median time, in seconds."""
        return self.mean_s(batch) / self.mean_factor

    def errors(self) -> list[float]:
        """For each batch size how far the fitted median is from the measured one, a share of it."""
        return [self.median_s(row.batch) / row.median_s - 1 for row in self.timed]


def default_batches(used: Sequence[float], samples: int) -> list[int]:
    """Batch sizes to time: those in use, and every factor 2 from a quarter of them to four times.

    Args:
        used: by the algorithms; means of random ones are rounded. LADDER where there are none.
        samples: training samples; no batch is larger.

    Returns:
        Ascending.
    """
    wanted = [float(batch) for batch in used]
    if used:
        octaves = ceil(log2(16 * max(used) / min(used)))
        wanted += [min(used) / 4 * 2**k for k in range(octaves + 1)]
    return sorted({min(max(1, round(batch)), samples) for batch in wanted or LADDER})


def calibrate(
    problem: Problem,
    batches: Sequence[int] | None = None,
    *,
    used: Sequence[float] = (),
    repeats: int | None = None,
    seconds: float = 10.0,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Calibration:
    """Times plain SGD on this machine, with as many threads as torch has now.

    Batch sizes take turns, in an order drawn each time, so that whatever else the machine does in
    the meantime hits all alike.

    Args:
        problem: whose model, loss and data.
        batches: the batch sizes; left out, `default_batches`.
        used: batch sizes of the algorithms: for the default, and where the line must fit best.
        repeats: timed steps of each; left out, as many as the time allows.
        seconds: how long to go on where no number is given.
        seed: of the initial model, the samples and the order.
        clock: the time in seconds.

    Raises:
        ScenarioError: a bad argument, or a time that doesn't grow with the batch.
    """
    if repeats is not None and repeats < _FEWEST:
        raise ScenarioError(f"--repeats = {repeats}: must be at least {_FEWEST}")
    if not 0 < seconds < float("inf"):
        raise ScenarioError(f"--seconds = {seconds:g}: must be positive and finite")
    streams = Streams(seed)
    loop = PlainSGD(problem, streams)
    sizes = sorted(set(batches or default_batches(used, loop.samples)))
    if len(sizes) < 2 or sizes[0] < 1:
        raise ScenarioError(
            f"--batches = {','.join(map(str, batches or sizes))}: must be two batch sizes or more, "
            "positive whole numbers, to tell the overhead from the samples"
        )
    for _ in range(_WARM_UP):
        for size in sizes:
            loop.step(size)
    times = _times(loop, sizes, repeats, seconds, streams, clock)
    timed = tuple(Timed(size, np.array(times[size])) for size in sizes)
    overhead_s, sample_s = fitted_line(timed, {round(batch) for batch in used})
    grown_s = sample_s * (sizes[-1] - sizes[0])
    if grown_s < _GROWTH * timed[-1].median_s:
        raise ScenarioError(
            f"--batches = {','.join(map(str, sizes))}: a step's time doesn't grow with the batch "
            f"({timed[0].median_s:.3g} to {timed[-1].median_s:.3g} s); time larger ones, or with "
            "more --repeats"
        )
    factor = float(np.mean([float(row.seconds.mean()) / row.median_s for row in timed]))
    return Calibration(
        timed,
        overhead_s * factor,
        1 / (sample_s * factor),
        _spread(timed),
        factor,
        loop.parameters,
        loop.samples,
        torch.get_num_threads(),
    )


def _times(
    loop: PlainSGD,
    sizes: Sequence[int],
    repeats: int | None,
    seconds: float,
    streams: Streams,
    clock: Callable[[], float],
) -> dict[int, list[float]]:
    """The times of each batch size's steps."""
    times: dict[int, list[float]] = {size: [] for size in sizes}
    order = streams.generator("samples")
    end_s = clock() + seconds
    while True:
        least = len(times[sizes[0]])
        if repeats is None:
            enough = least >= _MOST or (least >= _FEWEST and clock() >= end_s)
        else:
            enough = least >= repeats
        if enough:
            return times
        row = _IN_A_ROW if repeats is None else min(_IN_A_ROW, repeats - least)
        for place in order.permutation(len(sizes)):
            times[sizes[place]] += _turn(loop, sizes[place], row, clock)


def _turn(loop: PlainSGD, size: int, count: int, clock: Callable[[], float]) -> Iterator[float]:
    """The times of so many steps in a row, after one that isn't timed."""
    loop.step(size)
    for _ in range(count):
        start_s = clock()
        loop.step(size)
        yield clock() - start_s


def fitted_line(timed: Sequence[Timed], used: Collection[int] = ()) -> tuple[float, float]:
    """Seconds a step and seconds a sample, both 0 at least, of least squared relative error.

    Args:
        timed: at least two batch sizes; their medians count.
        used: those whose errors count more.
    """
    from scipy.optimize import nnls

    medians = np.array([row.median_s for row in timed])
    weights = np.array([_IN_USE if row.batch in used else 1.0 for row in timed])
    rows = np.array([[1.0, row.batch] for row in timed]) * (weights / medians)[:, None]
    # Columns of one size: seconds a step and seconds a sample may be decades apart.
    scale = np.linalg.norm(rows, axis=0)
    solution, _ = nnls(rows / scale, weights)
    step_s, sample_s = (solution / scale).tolist()
    return step_s, sample_s


def _spread(timed: Sequence[Timed]) -> float:
    """The pooled standard deviation of ln(seconds)."""
    logs = [np.log(row.seconds) for row in timed]
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in logs)
    return sqrt(squares / sum(len(row) - 1 for row in logs))
