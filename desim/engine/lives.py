"""Workers' lives: each runs its method, through crashes and absences."""

from collections.abc import Callable, Generator
from contextlib import suppress
from math import isinf

import simpy

from desim.algorithms.base import Algorithm
from desim.clock.faults import FaultSchedule
from desim.clock.timeline import Timeline
from desim.errors import ScenarioError
from desim.schema.phrases import short
from desim.worker.protocol import Waiting
from desim.worker.simulated import SimulatedWorker

#: A trial is given up when workers have come back so often, each in the mean, without a step.
_RETURNS_WITHOUT_A_STEP = 100


class Lives:
    """The workers' lives under a schedule of faults.

    Args:
        env: the clock.
        algorithm: what they run.
        faults: when each is away.
        timeline: where absences are noted.
        stall: called with a reason where nobody gets anywhere.

    Attributes:
        returns: how often workers have come back since somebody last set this to 0.
    """

    def __init__(
        self,
        env: simpy.Environment,
        algorithm: Algorithm,
        faults: FaultSchedule,
        timeline: Timeline,
        stall: Callable[[str], None],
    ) -> None:
        self._env, self._algorithm, self._faults = env, algorithm, faults
        self._timeline, self._stall = timeline, stall
        self._away_since: dict[int, float] = {}
        self.returns = 0

    def begin(self, worker: SimulatedWorker) -> None:
        """Starts a worker."""
        life = self._through_faults if self._faults.any else self._run
        self._env.process(life(worker))

    def _run(self, worker: SimulatedWorker) -> Waiting:
        """What the method's worker does.

        Raises:
            ScenarioError: it isn't a generator.
        """
        running = self._algorithm.worker(worker)
        if not isinstance(running, Generator):
            raise ScenarioError(
                f"algorithms.{self._algorithm.name}: its worker gives {short(running)}; must be a "
                "generator: `yield from me.compute(...)` and the like"
            )
        return running

    def end(self, worker: SimulatedWorker) -> None:
        """Notes the absence of a worker that is away at the end of the trial."""
        if not worker.present:
            since_s = self._away_since[worker.id]
            self._timeline.down(worker.id, since_s, self._env.now, worker.steps)

    def _through_faults(self, worker: SimulatedWorker) -> Waiting:
        """A life with its crashes: the method's generator, cut off and restarted."""
        env, gone_s, skips = self._env, 0.0, self._algorithm.skips
        for down_s, up_s in self._faults.worker(worker.id):
            if down_s > gone_s:
                run = env.process(_until_crash(self._run(worker)))
                yield env.timeout(down_s - env.now)
                # Before it is cut off: others may come to the barrier at the same instant.
                worker.leave(excused=skips)
                if run.is_alive:
                    run.interrupt()
                    yield run
            else:
                worker.leave(excused=skips)
            self._away_since[worker.id] = env.now
            if isinf(up_s):
                return
            yield env.timeout(up_s - env.now)
            self._timeline.down(worker.id, self._away_since.pop(worker.id), env.now, worker.steps)
            worker.come_back(reset=self._faults.reset)
            gone_s = up_s
            self.returns += 1
            if self.returns > _RETURNS_WITHOUT_A_STEP * worker.workers:
                self._stall(
                    f"no worker has ended a step while they came back {self.returns:,} times"
                )
                return
        yield from self._run(worker)


def _until_crash(life: Waiting) -> Waiting:
    with suppress(simpy.Interrupt):
        yield from life
