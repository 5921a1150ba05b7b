"""What would never end, or hardly: time that stands still, links that lose nearly all."""

import pytest
from builders import setting, simulate
from faulty import run

from desim.algorithms.base import Algorithm
from desim.clock.environment import Bounded
from desim.clock.faults import Outages
from desim.clock.stragglers.base import MOST_CHANGES, SpeedInTime
from desim.engine.simulation import Simulation
from desim.errors import SimulationError
from desim.worker.protocol import Waiting, Worker

STEP = {"kind": "constant", "alpha": 1.0}


class Quick(Algorithm):
    """Steps that are too short beside the time at which they begin."""

    def worker(self, me: Worker) -> Waiting:
        yield from me.compute(me.model, 10**9)
        while True:
            yield from me.compute(me.model, 1)
            me.commit(me.model)


def test_time_that_no_longer_advances_ends_a_trial():
    """After 10^9 s at 1 sample/s, a machine of 10^-9 s a sample would add nothing."""

    class Shrinking(Quick):
        def worker(self, me: Worker) -> Waiting:
            yield from me.compute(me.model, 10**9)
            me._timing = type(me._timing)(0.0, 1e-9)
            while True:
                yield from me.compute(me.model, 1)
                me.commit(me.model)

    outcome = simulate(setting(Shrinking(step_size=STEP), stop={"rounds": 10**6})).outcome
    assert outcome.stopped_by == "stalled"
    assert "time no longer advances: 300 steps have ended at this instant" in outcome.stalled
    assert outcome.rows[-1].steps == 600  # the second look finds the time of the first


def test_a_bounded_clock_ends_a_trial():
    clock = Bounded(1_000)
    trial = Simulation(
        setting(Quick(step_size=STEP), stop={"rounds": 10**6}), train=False, env=clock
    )
    assert 500 < trial.run().rows[-1].steps <= 1_000


@pytest.mark.parametrize("loss", [0.9, 0.99, 0.999])
def test_links_that_lose_nearly_everything(loss):
    link = {"kind": "dedicated", "bandwidth_bps": 1e6, "loss": loss, "resend_after_s": 0.1}
    method = {"kind": "dsgd", "batch": 5, "step_size": STEP}
    trial = run(method, {}, link=link, workers=4, topology="ring", stop={"rounds": 5}, seed=0)
    assert trial.outcome.stopped_by == "rounds"


def test_a_speed_that_changes_without_end():
    times = iter(range(1, 10**9))
    speed = SpeedInTime((1e-9 * k, 1.0) for k in times)
    with pytest.raises(SimulationError, match=f"changes more than {MOST_CHANGES:,} times"):
        speed.duration_s(0, 0.0, 1.0)


def test_outages_without_end():
    outages = Outages((1e-9 * k, 1e-9 * (k + 0.5)) for k in range(10**9))
    with pytest.raises(SimulationError, match="more than 1,000,000 times"):
        outages.up_s(1.0)
