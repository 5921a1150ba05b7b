"""Small trials with faults, and what holds in all of them."""

from builders import setting, simulate

from desim.clock.eventful import EventfulNetwork

WAITING = [
    {"kind": "dsgd", "batch": 5},
    {"kind": "dsgd", "batch": 5, "barrier": "neighbors"},
    {"kind": "dsgd", "batch": 5, "barrier": "neighbors", "overlap": True},
    {"kind": "quantimed-dsgd", "deadline_s": 2.0},
    {"kind": "async-dsgd", "batch": 5},
    {"kind": "async-dsgd", "batch": 5, "sending": "overlapped"},
]
SKIPPING = [method | {"absent": "skip", "timeout_s": 2.0} for method in WAITING]
ALL = WAITING + SKIPPING

LINKS = [
    {"kind": "dedicated", "bandwidth_bps": 200.0, "latency_s": 0.1, "loss": 0.1},
    {"kind": "fifo", "up_bps": 400.0, "latency_s": 0.1, "jitter_s": 0.05},
    {"kind": "fair", "up_bps": 400.0, "down_bps": 400.0, "latency_s": 0.1, "loss": 0.1},
    {"kind": "shared-medium", "bandwidth_bps": 2000.0, "loss": 0.1},
]

RANDOM = {
    "workers": {"mean_up_s": 40.0, "mean_down_s": 4.0},
    "links": {"mean_up_s": 40.0, "mean_down_s": 4.0},
}


def run(method, faults, *, train=False, **changes):
    fields = {
        "workers": 6,
        "topology": {"kind": "random-regular", "degree": 3},
        "stragglers": {"kind": "uniform-speed", "low": 1.0, "high": 9.0},
        "link": {"kind": "dedicated", "bandwidth_bps": 200.0, "latency_s": 0.1},
        "stop": {"rounds": 15, "time_s": 2000.0},
        "seed": 1,
    }
    return simulate(setting(method, faults=faults, **(fields | changes)), train=train)


def assert_conserved(trial, *, medium):
    """Every transmission is received or lost, every message handed over has one fate."""
    network = trial.simulation.network
    sent, got, lost = (trial.rows(kind) for kind in ("send", "receive", "drop"))
    if not medium:  # its broadcasts are counted once
        assert sent.bits.sum() == got.bits.sum() + lost.bits.sum()
    if isinstance(network, EventfulNetwork):
        assert len(got) == network.delivered
        under_way = network.handed_over - network.delivered - network.given_up
        assert under_way >= 0
        if trial.outcome.stopped_by == "stalled":
            assert under_way == 0


#: Averages that take half a second, and speeds at which things happen at the same instant.
SLOW_MEMORY = {
    "charge_memory": True,
    "hardware": {"speed_sps": 1.0, "memory_bytes_per_s": 4 * 4 * 4 / 0.5},
}
