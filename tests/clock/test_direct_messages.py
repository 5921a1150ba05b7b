"""Messages to single neighbours, by hand: when they arrive, who hears them, what they interrupt."""

from collections.abc import Callable
from typing import Any

import pytest
from builders import setting, simulate, speeds

from desim.algorithms.base import Algorithm
from desim.errors import SimulationError
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

#: 4 parameters of 32 bits: 128 bits take 1 s.
WIRE = {"kind": "dedicated", "bandwidth_bps": 128.0, "latency_s": 0.25}


class Scripted(Algorithm):
    """Each worker does what its script says, and then one step forever."""

    scripts: dict[int, Callable[[Worker], Waiting]]

    def worker(self, me: Worker) -> Waiting:
        if me.id in self.scripts:
            yield from self.scripts[me.id](me)
        while True:
            yield from me.compute(me.initial_model(), 1000)
            me.commit(me.initial_model())


def play(scripts, **changes: Any):
    algorithm = Scripted(scripts=scripts, step_size={"kind": "constant", "alpha": 0.1})
    fields = {"link": WIRE, "topology": "complete", "stop": {"time_s": 50.0}}
    return simulate(setting(algorithm, **(fields | changes)))


def model(me):
    return me.compress(me.initial_model())


def listening(heard, tag="news", times=1):
    def script(me):
        for _ in range(times):
            [message] = yield from me.hear(tag)
            heard.append((me.now_s, message.sender, message.content))

    return script


def telling(*targets, tag="news", content=None):
    def script(me):
        for target in targets:
            message = yield from model(me)
            me.tell(target, Message(content, message.size_bits), tag)

    return script


def test_a_message_takes_latency_and_size_over_bandwidth():
    heard = []
    trial = play({0: telling(2, content="hello"), 2: listening(heard)})
    assert heard == [(1.25, 0, "hello")]
    assert trial.spans("send", 0) == [(0.0, 1.0)]
    assert trial.spans("receive", 2) == [(0.0, 1.25)]
    assert trial.spans("wait", 2) == [(0.0, 1.25)]
    assert trial.simulation.network.bits_sent == 128
    assert not trial.spans("receive", 1)


def test_messages_on_one_wire_go_one_after_another_and_others_beside_them():
    heard = []
    scripts = {0: telling(1, 1, 2), 1: listening(heard, times=2), 2: listening(heard)}
    play(scripts)
    assert [(time_s, sender) for time_s, sender, _ in sorted(heard)] == [
        (1.25, 0),
        (1.25, 0),
        (2.25, 0),
    ]


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ({"kind": "fifo", "up_bps": 128.0, "latency_s": 0.25}, [1.25, 2.25]),
        ({"kind": "fair", "up_bps": 128.0, "latency_s": 0.25}, [2.25, 2.25]),
        ({"kind": "shared-medium", "bandwidth_bps": 128.0, "latency_s": 0.25}, [1.25, 2.25]),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_messages_share_what_their_links_share(link, expected):
    heard = []
    scripts = {0: telling(1, 2), 1: listening(heard), 2: listening(heard)}
    trial = play(scripts, link=link)
    assert sorted(time_s for time_s, _, _ in heard) == pytest.approx(expected)
    assert trial.simulation.network.bits_sent == 256


def test_who_waits_for_the_wire_is_idle_until_its_message_goes_out():
    medium = {"kind": "shared-medium", "bandwidth_bps": 128.0, "latency_s": 0.25}

    def asking(me):
        yield from telling(0)(me)  # the medium is busy with worker 0's until 1 s
        yield from me.hear("news", count=1)

    trial = play({0: telling(1), 1: asking, 2: telling(1)}, link=medium)
    assert trial.spans("send", 1)[0] == (1.0, 2.0)
    assert trial.spans("wait", 1)[0] == (0.0, 1.0)
    # Its message comes at 1.25 s, while its own goes out: that is no waiting.
    assert len(trial.spans("wait", 1)) == 1


def test_a_message_waits_for_a_broadcast_on_the_same_wire():
    heard = []

    def script(me):
        me.broadcast((yield from model(me)), tag=0)
        yield from telling(2)(me)

    play({0: script, 2: listening(heard)})
    assert heard[0][0] == 2.25


def test_only_messages_under_the_tag_are_heard_and_others_wait():
    heard = []

    def script(me):
        yield from listening(heard, tag="b")(me)
        yield from listening(heard, tag="a")(me)

    def both(me):
        yield from telling(1, tag="a")(me)
        yield from telling(1, tag="b")(me)

    play({0: both, 1: script})
    assert [time_s for time_s, _, _ in heard] == [2.25, 2.25]


def test_several_messages_come_in_the_order_of_their_arrival():
    heard = []

    def script(me):
        messages = yield from me.hear("news", count=2)
        heard.extend((me.now_s, message.sender) for message in messages)

    def later(me):
        yield from me.compute(me.initial_model(), 1)
        yield from telling(2)(me)

    play({0: later, 1: telling(2), 2: script})
    assert heard == [(2.25, 1), (2.25, 0)]


def test_a_handler_acts_while_the_worker_computes_and_may_answer():
    handled, heard = [], []

    def answering(me):
        def handler(sender, content):
            handled.append((me.now_s, sender, content))
            me.tell(sender, Message("answer", 128), "reply")

        me.on("news", handler)
        yield from me.compute(me.initial_model(), 20)

    def asking(me):
        yield from telling(1, content="question")(me)
        yield from listening(heard, tag="reply")(me)

    trial = play({0: asking, 1: answering})
    assert handled == [(1.25, 0, "question")]
    assert heard == [(2.5, 1, "answer")]
    assert trial.spans("compute", 1)[0] == (0.0, 20.0)


def test_a_handler_that_comes_late_gets_what_lies_there():
    handled = []

    def script(me):
        yield from me.compute(me.initial_model(), 5)
        me.on("news", lambda sender, _: handled.append((me.now_s, sender)))

    play({0: telling(1), 1: script})
    assert handled == [(5.0, 0)]


def test_a_condition_is_looked_at_whenever_something_arrives():
    seen = []

    def script(me):
        count = []
        me.on("news", lambda *_: count.append(1))
        yield from me.until(lambda: len(count) >= 2)
        seen.append(me.now_s)

    play({0: telling(1, 1, 1), 1: script})
    assert seen == [2.25]


def test_a_message_stops_a_gradient():
    got = []

    def script(me):
        for batch in (1, 10, 10):
            gradient = yield from me.compute_unless(me.initial_model(), batch, "news")
            got.append((me.now_s, gradient is None))
        me.heard("news")
        yield from me.compute_unless(me.initial_model(), 2, "news")
        got.append((me.now_s, me.samples))

    trial = play({0: telling(1), 1: script})
    # Done before it, stopped by it, not begun since it lies there; and done again.
    assert got == [(1.0, False), (1.25, True), (1.25, True), (3.25, 3)]
    computed = trial.rows("compute", 1)
    assert computed.samples.tolist()[:3] == [1, 0, 2]
    assert computed.end_s.tolist()[:3] == [1.0, 1.25, 3.25]


def test_a_gradient_that_ends_as_the_message_arrives_counts():
    got = []

    def script(me):
        gradient = yield from me.compute_unless(me.initial_model(), 5, "news")
        got.append((me.now_s, gradient is None))

    play({0: telling(1), 1: script}, stragglers=speeds(1, 4, 1))
    assert got == [(1.25, False)]


def test_a_lost_message_is_sent_again():
    heard = []
    link = WIRE | {"loss": 0.5, "resend_after_s": 1.0}
    trial = play({0: telling(*[1] * 10), 1: listening(heard, times=10)}, link=link)
    assert len(heard) == 10
    assert len(trial.rows("drop")) > 0
    network = trial.simulation.network
    assert (network.handed_over, network.delivered, network.given_up) == (10, 10, 0)


def test_a_message_reaches_one_who_was_away():
    heard = []
    faults = {"workers": [{"worker": 1, "down_s": 0.5, "up_s": 3.0}]}
    play({0: telling(1), 1: listening(heard)}, faults=faults)
    [(time_s, sender, _)] = heard
    assert sender == 0
    assert time_s > 3.0


def test_who_hears_nothing_is_named_when_all_stand_still():
    never = {k: listening([], tag="never") for k in range(3)}
    trial = play(never)
    assert trial.outcome.stopped_by == "stalled"
    assert "worker 0 waits for 1, 2" in trial.outcome.stalled


def test_a_message_to_a_stranger_is_refused():
    with pytest.raises(SimulationError, match="worker 0 sends to 2, to which it has no link; it"):
        play({0: telling(2)}, topology="ring", workers=5)


def test_several_parts_make_one_message():
    message = Message.of(Message("x", 100), Message("y", 28), 2.5)
    assert message == (("x", "y", 2.5), 160)
