"""The clock's queue: events in SimPy's own order."""

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from desim.clock.environment import Environment

DELAYS = st.sampled_from([0, 0, 0.5, 1, 1, 2, 2.5])


@given(st.lists(st.tuples(DELAYS, st.lists(DELAYS, max_size=4)), min_size=1, max_size=12))
def test_events_happen_in_the_order_of_simpy(plans):
    def order(env):
        seen = []

        def worker(number, first, delays):
            yield env.timeout(first)
            for k, delay in enumerate(delays):
                event = env.event()
                event.callbacks.append(lambda _, k=k: seen.append((env.now, number, k, "event")))
                event.succeed()
                yield env.timeout(delay)
                seen.append((env.now, number, k, "time"))

        for number, (first, delays) in enumerate(plans):
            env.process(worker(number, first, delays))
        env.run()
        return seen

    assert order(Environment()) == order(simpy.Environment())


def test_urgent_events_come_before_the_others_of_their_instant():
    env = Environment()
    seen = []

    def sleeper():
        try:
            yield env.timeout(5)
        except simpy.Interrupt:
            seen.append("interrupted")

    def other():
        yield env.timeout(1)
        process.interrupt()
        yield env.timeout(0)
        seen.append("later")

    process = env.process(sleeper())
    env.process(other())
    env.run()
    assert seen == ["interrupted", "later"]


def test_it_counts_what_is_to_come_and_ends_when_nothing_is():
    env = Environment()
    for delay in (1, 1, 2):
        env.timeout(delay)
    assert (env.scheduled, env.peek()) == (3, 1)
    env.step()
    env.step()
    assert (env.scheduled, env.peek(), env.now) == (1, 2, 1)
    env.step()
    assert (env.scheduled, env.peek(), env.now) == (0, float("inf"), 2)
    with pytest.raises(simpy.core.EmptySchedule):
        env.step()


def test_an_error_that_nobody_waits_for_ends_the_simulation():
    env = Environment()

    def fails():
        yield env.timeout(1)
        raise KeyError("mine")

    env.process(fails())
    with pytest.raises(KeyError, match="mine"):
        env.run()
