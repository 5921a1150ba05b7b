"""Clusters, networks and faults in words, and that no value of a scenario can stop them."""

import pytest

from desim.analysis.web.cluster import cluster
from desim.analysis.web.method import compressor, method
from desim.analysis.web.network import faults, network
from desim.analysis.web.words import methods, sentences

EVIL = "<img src=x onerror=alert(1)>"
NONE = {"kind": "none"}


def test_machines_are_told_with_their_counts_names_and_speeds():
    table = {
        "hardware": [
            {
                "name": "raspberry-pi-4",
                "count": 4,
                "peak_flops_per_s": 48e9,
                "efficiency": 0.33,
                "memory_bytes_per_s": 5.5e9,
                "up_bps": 1e6,
            },
            {"count": 6, "speed_sps": 50.0, "overhead_s": 0.1}
            | {"stragglers": {"kind": "exponential", "mean": 1.0}},
        ],
        "stragglers": NONE,
        "charge_memory": True,
    }
    assert cluster(table) == (
        "10 workers. Machines: 4 x raspberry-pi-4 (48 Gflop/s at an efficiency of 0.33, memory "
        "5.5 GB/s, up link 1 Mbit/s); 6 of 50 samples/s, 0.1 s more for each gradient, "
        "stragglers of its own: exponential with a mean of 1. The others' speed "
        "doesn't vary. Compressing and averaging take as long as what they read and write takes "
        "through the machine's memory."
    )
    one = {"workers": 5, "hardware": [{"name": "h100", "speed_sps": 2e3}], "stragglers": NONE}
    assert cluster(one) == "5 workers. Machines: h100 (2,000 samples/s). Their speed doesn't vary."


@pytest.mark.parametrize(
    ("server", "text"),
    [
        (
            {
                "name": "t4",
                "peak_flops_per_s": 8.1e12,
                "efficiency": 0.5,
                "operator_s": 1e-5,
                "memory_bytes_per_s": 3e11,
                "up_bps": 1e9,
                "down_bps": 2e9,
            },
            " The server, of a method that has one: t4 (memory 300 GB/s, up link 1 Gbit/s, down "
            "link 2 Gbit/s).",
        ),
        (
            {"speed_sps": 1.0, "down_bps": 2e9},
            " The server, of a method that has one: down link 2 Gbit/s.",
        ),
        ({"speed_sps": 1.0}, ""),
        ({"name": "hub"}, " The server, of a method that has one: hub."),
        (EVIL, f" Server: {EVIL}."),
    ],
)
def test_a_server_is_told_by_what_counts_of_it(server, text):
    table = {"workers": 3, "stragglers": NONE, "server": server}
    assert cluster(table) == f"3 workers. Each computes 1 sample/s.{text}"


def test_what_is_not_so_for_a_method_with_a_server_is_told_where_there_is_one():
    scenario = {"network": {"topology": "ring"}, "evaluate": {"every_s": 1.0}}
    told, served = (dict(sentences(scenario, served=served)) for served in (False, True))
    assert "server" not in f"{told}"
    assert "linked to it alone" in served["Network"]
    assert served["End"] == (
        "The mean model (the server's, where a method has one) is evaluated every 1 simulated s."
    )


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"kind": "none", "bits": 16}, "none (16-bit floats)"),
        ({"kind": "none"}, "none"),
        (
            {"kind": "error-feedback", "compressor": {"kind": "top-k", "fraction": 0.1}},
            "top-k (fraction = 0.1), with error feedback",
        ),
        (
            {
                "kind": "per-layer",
                "compressor": {"kind": "error-feedback", "compressor": {"kind": "sign"}},
                "billed_bits": 2.0,
            },
            "sign, with error feedback, each layer on its own, billed 2 bits",
        ),
        (
            {"kind": "mine:Own", "compressor": {"kind": "sign"}},
            "mine:Own (compressor sign)",
        ),
    ],
)
def test_a_compressor_is_told_from_the_inside(table, text):
    assert compressor(table) == text


def test_what_a_method_has_of_its_own_is_told():
    entry = {
        "kind": "sync-sgd",
        "label": "mine",
        "batch": 20,
        "topology": {"kind": "torus", "rows": 2},
        "mixing": {"kind": "uniform"},
        "compressor": {"kind": "error-feedback", "compressor": {"kind": "sign"}},
        "model_compressor": {"kind": "none", "bits": 32},
        "optimizer": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-4, "clip_norm": 1.0},
        "backups": 2,
    }
    assert method(entry) == (
        "Method sync-sgd. Batches of 20 samples. Its own graph: torus (rows = 2). Its own weights "
        "of the average: uniform. Compressor of its messages: sign, with error feedback. "
        "Compressor of the server's models: none (32-bit floats). Optimizer: gradients clipped to "
        "a norm of 1, weight decay of 0.0001 and Nesterov momentum of 0.9. Further: backups = 2."
    )


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"momentum": 0.0, "nesterov": False, "weight_decay": 0.0}, ""),
        ({"momentum": 0.5, "nesterov": False, "weight_decay": 0.0}, " Optimizer: momentum of 0.5."),
        ({"clip_norm": 2.0, "own": 3}, " Optimizer: gradients clipped to a norm of 2 and own = 3."),
        (EVIL, f" Optimizer: {EVIL}."),
    ],
)
def test_an_optimizer_is_told_where_it_does_something(table, text):
    assert method({"kind": "dsgd", "optimizer": table}) == f"Method dsgd.{text}"


@pytest.mark.parametrize(
    ("model", "alone", "on_hardware"),
    [
        (NONE, "Each computes 1 sample/s.", "Their speed doesn't vary."),
        (
            {"kind": "uniform-speed", "low": 0.5, "high": 2.0, "persistent": True},
            "Each computes at between 0.5 and 2 samples/s, drawn once for each worker.",
            "Each is between 0.5 and 2 times as fast as its machine, drawn once for each worker.",
        ),
        (
            {"kind": "exponential", "mean": 0.02, "persistent": False},
            "The seconds for a sample are exponential with a mean of 0.02, drawn anew at every "
            "step.",
            "The factor on a machine's time is exponential with a mean of 0.02, drawn anew at "
            "every step.",
        ),
        (
            {"kind": "shifted-exponential", "shift": 1.0, "mean": 0.5},
            "The seconds for a sample are 1 plus an exponential with a mean of 0.5, drawn anew at "
            "every step.",
            None,
        ),
        (
            {"kind": "lognormal", "sigma": 0.6, "mu": 0.0},
            None,
            "The factor on a machine's time is log-normal with a median of 1 and a sigma of 0.6, "
            "drawn anew at every step.",
        ),
        (
            {"kind": "pareto", "index": 2.0, "minimum": 1.0},
            None,
            "The factor on a machine's time is Pareto with an index of 2 and a minimum of 1, drawn "
            "anew at every step.",
        ),
        (
            {"kind": "bimodal", "slow_fraction": 0.1, "factor": 10.0, "persistent": True},
            None,
            "The factor on a machine's time is 10 with probability 0.1 and else 1, drawn once for "
            "each worker.",
        ),
        (
            {"kind": "markov", "slow_fraction": 0.1, "mean_slow_s": 10.0, "factor": 5.0},
            None,
            "Each worker is 5 times slower at random times, which last 10 s in the mean and make "
            "up a share of 0.1 of all time.",
        ),
        (
            {"kind": "trace", "file": "speeds.csv", "repeat_s": 60.0},
            "Speeds over time are those in the file speeds.csv, again every 60 s.",
            None,
        ),
        (
            {"kind": "mixture", "models": [NONE, {"kind": "pareto"}], "weights": [1.0, 3.0]},
            None,
            "Stragglers are of several kinds, drawn anew at every step: none with probability 0.25 "
            "and pareto with probability 0.75.",
        ),
        ({"kind": "own:Law", "x": 1}, "Their speed: own:Law (x = 1).", None),
        (
            {"kind": "lognormal", "sigma": 1, "mu": 1e9},
            None,
            "Their speed: lognormal (sigma = 1, mu = 1e+09).",
        ),
    ],
)
def test_every_kind_of_stragglers_has_a_sentence(model, alone, on_hardware):
    if alone:
        assert cluster({"workers": 3, "stragglers": model}) == f"3 workers. {alone}"
    if on_hardware:
        told = cluster({"workers": 3, "hardware": [{"speed_sps": 1.0}], "stragglers": model})
        assert told.endswith(f"Machines: 1 samples/s. {on_hardware}")


@pytest.mark.parametrize(
    ("link", "text"),
    [
        (
            {"kind": "dedicated", "bandwidth_bps": {"low": 1e5, "high": 1e6}, "jitter_s": 0.01},
            "Every directed link is a wire of its own: bandwidth 100 kbit/s to 1 Mbit/s (drawn for "
            "each), random delays of 0.01 s in the mean on top.",
        ),
        (
            {"kind": "dedicated", "bandwidth_bps": float("inf"), "links": {"file": "own.csv"}},
            "Every directed link is a wire of its own: bandwidth unlimited. Links that the file "
            "own.csv names are as it says.",
        ),
        (
            {"kind": "fifo", "up_bps": 8.6e6, "down_bps": 27e6, "latency_s": 0.03},
            "A worker's messages leave one after another: up links 8.6 Mbit/s, down links 27 "
            "Mbit/s, latency 0.03 s.",
        ),
        (
            {"kind": "fair", "backbone_bps": 1e9, "loss": 0.01, "resend_after_s": 0.5},
            "Messages under way at the same time share bandwidth fairly: backbone for all 1 "
            "Gbit/s. A message is lost with probability 0.01 and sent again after 0.5 s.",
        ),
        (
            {"kind": "shared-medium", "bandwidth_bps": 1e6, "loss": 0.0, "resend_after_s": 1.0},
            "There is one message at a time in the whole network, which all neighbours hear: "
            "bandwidth 1 Mbit/s.",
        ),
        ({"kind": "fifo"}, "A worker's messages leave one after another."),
        (
            {
                "kind": "fifo",
                "regions": {"names": ["A", "B"]}
                | {"round_trip_s": [[0.01, 0.2], [0.2, 0.01]], "bandwidth_bps": [[2e9, 1e8]]},
            },
            "A worker's messages leave one after another. The workers live in A and B, in turn, "
            "with round trips of 0.01 to 0.2 s and a bandwidth of 100 Mbit/s to 2 Gbit/s.",
        ),
        (
            {
                "kind": "fifo",
                "regions": {"names": [str(k) for k in range(14)], "base_s": 0.004}
                | {"per_km_s": 1e-5, "placement": ["3"], "bandwidth_bps": 1e9},
            },
            "A worker's messages leave one after another. The workers live in 0, 1, 2, 3, 4, 5, 6, "
            "7, 8, 9, 10, 11 and 2 more, as placed, with a delay of 0.004 s plus 1e-05 s for each "
            "km and a bandwidth of 1 Gbit/s.",
        ),
    ],
)
def test_every_kind_of_link_has_a_sentence(link, text):
    told = network({"topology": {"kind": "ring"}, "mixing": {"kind": "uniform"}, "link": link})
    assert told == f"The workers form a graph: ring; weights of the average: uniform. {text}"


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"workers": [], "links": [], "model": "keep"}, ""),
        (
            {"workers": {"mean_up_s": 60.0, "mean_down_s": 10.0}, "links": [], "model": "keep"},
            "Workers crash at random: up for 60 s and down for 10 s in the mean. One that comes "
            "back goes on from its last model.",
        ),
        (
            {
                "workers": [{"worker": 1, "down_s": 0.0, "up_s": 10.0}, {"worker": 2, "down_s": 3}],
                "links": [{"between": [0, 1], "down_s": 3.0}],
                "model": "reset",
            },
            "Down: worker 1 from 0 to 10 s and worker 2 from 3 s on. One that comes back begins "
            "with the initial model. Down: the link between 0 and 1 from 3 s on.",
        ),
        (
            {"links": [{"between": [0, k], "down_s": 3.0} for k in range(1, 9)]},
            "Down: "
            + ", ".join(f"the link between 0 and {k} from 3 s on" for k in range(1, 7))
            + " and 2 more.",
        ),
    ],
)
def test_faults_are_told(table, text):
    assert faults(table) == text
    assert dict(sentences({"faults": table})).get("Faults", "") == text


FULL = {
    "seeds": [0],
    "cluster": {
        "workers": 3,
        "hardware": [
            {"name": "a", "count": 3, "peak_flops_per_s": 1e9, "efficiency": 0.5}
            | {"memory_bytes_per_s": 1e9, "overhead_s": 0.1, "up_bps": 1e6}
        ],
        "stragglers": {"kind": "mixture", "models": [NONE, NONE], "weights": [1, 2]},
        "server": {"name": "hub", "speed_sps": 1.0, "up_bps": 1e6, "memory_bytes_per_s": 1e9},
    },
    "network": {
        "topology": {"kind": "ring"},
        "mixing": {"kind": "uniform"},
        "link": {"kind": "fair", "latency_s": {"low": 0.0, "high": 1.0}, "up_bps": 1e6}
        | {"regions": {"names": ["A"], "round_trip_s": [[0.1]], "bandwidth_bps": [[1.0]]}}
        | {"links": {"file": "f"}, "loss": 0.1, "resend_after_s": 1.0, "jitter_s": 0.1},
    },
    "faults": {
        "workers": [{"worker": 0, "down_s": 1.0}],
        "links": {"mean_up_s": 1.0} | {"mean_down_s": 1.0},
        "model": "keep",
    },
    "algorithms": [
        {"kind": "dsgd", "batch": 20, "absent": "skip", "timeout_s": 5.0}
        | {"topology": {"kind": "ring"}, "model_compressor": {"kind": "none", "bits": 32}}
        | {"compressor": {"kind": "error-feedback", "compressor": {"kind": "none", "bits": 16}}}
        | {"optimizer": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "clip_norm": 1.0}}
    ],
}
LAWS = [
    {"kind": "exponential", "mean": 1.0},
    {"kind": "lognormal", "sigma": 1.0, "mu": 0.0},
    {"kind": "markov", "slow_fraction": 0.5, "mean_slow_s": 1.0, "factor": 2.0},
    {"kind": "uniform-speed", "low": 1.0, "high": 2.0},
]


def changed(node, evil):
    """The same with each value below, one at a time, replaced or left out."""
    items = list(node.items() if isinstance(node, dict) else enumerate(node))
    for key, value in items:
        others = [evil]
        if isinstance(value, dict | list):
            others += changed(value, evil)
        for other in others:
            yield (
                node | {key: other}
                if isinstance(node, dict)
                else [*node[:key], other, *node[key + 1 :]]
            )
        if isinstance(node, dict):
            yield {k: v for k, v in node.items() if k != key}


@pytest.mark.parametrize("evil", [EVIL, 7, -1.5, True, [], [EVIL], {}, {"kind": EVIL}, {EVIL: 1}])
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law["kind"])
def test_whatever_a_table_holds_there_are_words(law, evil):
    scenario = FULL | {"cluster": FULL["cluster"] | {"hardware": [FULL["cluster"]["hardware"][0]]}}
    for name in ("cluster", "network", "faults"):
        base = scenario[name] | ({"stragglers": law} if name == "cluster" else {})
        for table in changed(base, evil):
            told = sentences(scenario | {name: table})
            assert all(isinstance(text, str) and text for _, text in told)
    for entry in changed(scenario["algorithms"][0], evil):
        ((label, text),) = methods({"algorithms": [entry]})
        assert label
        assert text.startswith("Method")
