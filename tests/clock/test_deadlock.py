"""Workers that wait for messages that nobody sends."""

import pytest
from builders import setting, simulate

from desim.algorithms.base import Algorithm
from desim.worker.protocol import Waiting, Worker


class Deaf(Algorithm):
    """Gathers a tag under which nobody sends, after one good round."""

    def worker(self, me: Worker) -> Waiting:
        yield from me.compute(me.model, 2)
        me.commit(me.model)
        yield from me.gather(tag=99)


class Deserter(Algorithm):
    """Worker 0 never comes to the barrier."""

    def worker(self, me: Worker) -> Waiting:
        yield from me.compute(me.model, 2)
        if me.id:
            yield from me.barrier()


STEP = {"kind": "constant", "alpha": 1.0}


@pytest.mark.parametrize("method", [Deaf(step_size=STEP), Deserter(step_size=STEP)], ids=["d", "b"])
@pytest.mark.parametrize(
    ("stop", "evaluate"),
    [
        ({"rounds": 5}, {"every_rounds": 1}),
        ({"rounds": 5}, {"every_s": 1.0}),
        ({"time_s": 10.0}, {"every_rounds": 1}),
        ({"time_s": 10.0}, {"every_s": 1.0}),
    ],
    ids=str,
)
def test_waiting_forever_ends_the_trial_and_says_who_waits_for_whom(method, stop, evaluate):
    outcome = simulate(setting(method, stop=stop, evaluate=evaluate)).outcome
    assert outcome.stopped_by == "stalled"
    # It is noticed when nothing but the end or an evaluation is left to come.
    assert outcome.time_s == outcome.rows[-1].time_s <= stop.get("time_s", 3.0)
    if isinstance(method, Deaf):
        assert outcome.stalled == (
            f"at {outcome.time_s:g} s nothing can happen any more: worker 0 waits for 1, 2; "
            "worker 1 waits for 0, 2; worker 2 waits for 0, 1"
        )
    else:
        assert outcome.stalled.endswith("worker 1 waits for 0; worker 2 waits for 0")


def test_an_error_in_an_algorithm_is_not_taken_for_a_deadlock():
    class Broken(Algorithm):
        def worker(self, me: Worker) -> Waiting:
            yield from me.compute(me.model, 1)
            raise RuntimeError("my own mistake")

    with pytest.raises(RuntimeError, match="my own mistake"):
        simulate(setting(Broken(step_size=STEP)))
