"""A shared medium: one message at a time in the whole network, heard by all neighbours at once."""

import pytest
from builders import setting, simulate

MEDIUM = {"kind": "shared-medium", "bandwidth_bps": 128.0, "latency_s": 0.5}  # 1 s a message


def test_all_workers_queue_for_it_and_a_broadcast_is_sent_and_counted_once():
    method = {"kind": "dsgd", "batch": 5}
    trial = simulate(
        setting(method, workers=4, topology="complete", link=MEDIUM, stop={"rounds": 1})
    )
    assert [trial.spans("send", worker) for worker in range(4)] == [
        [(5.0 + worker, 6.0 + worker)] for worker in range(4)
    ]
    assert trial.outcome.time_s == pytest.approx(9.5)
    assert trial.outcome.rows[-1].bits_sent == 4 * 128
    got = trial.rows("receive")
    assert len(got) == 12
    for source in range(4):  # everybody hears it at the same time
        assert got[got.peer == source].end_s.tolist() == pytest.approx([6.5 + source] * 3)


def test_who_misses_a_broadcast_gets_it_in_a_transmission_of_its_own():
    method = {"kind": "dsgd", "batch": 5}
    link = MEDIUM | {"loss": 0.3, "resend_after_s": 2.0}
    fields = {"workers": 4, "topology": "complete", "link": link, "stop": {"rounds": 50}}
    trial = simulate(setting(method, **fields))
    sent, got, lost = (trial.rows(kind) for kind in ("send", "receive", "drop"))
    assert len(got) == 50 * 4 * 3
    # Every loss costs a transmission beside the 50 x 4 broadcasts.
    assert len(sent) == 200 + len(lost)
    assert sent.bits.sum() == trial.outcome.rows[-1].bits_sent
    # 0.3 of all attempts: 600 / 0.7 of them, standard deviation of the share 0.0157.
    assert len(lost) / (len(got) + len(lost)) == pytest.approx(0.3, abs=5 * 0.0157)
    # Never two at a time.
    ordered = sent.sort_values("start_s")
    assert (ordered.start_s.to_numpy()[1:] >= ordered.end_s.to_numpy()[:-1] - 1e-9).all()
