"""`desim check` tells what a scenario amounts to; the numbers are those of closed forms."""

import re
from math import cos, pi
from pathlib import Path

import pytest
from tiny import DROP, Call, tiny, write

import desim as simulator

PARAMETERS = 64 * 4 + 4 + 4 * 10 + 10


def text(out: str) -> str:
    return " ".join(out.split())


def test_closed_forms() -> None:
    changes = {
        "seeds": [0, 1, 2],
        "sweep": {"problem.l2": [0, 1e-3]},
        "cluster.workers": 6,
        "cluster.stragglers": {"kind": "uniform-speed", "low": 50.0, "high": 50.0},
        "algorithms.1.expected_batch": 20,
    }
    plan = simulator.plan(simulator.from_table(tiny(changes)))
    assert (plan.trials, plan.points, plan.seeds, plan.workers) == (12, 2, 3, 6)
    assert (plan.parameters, plan.samples_per_worker) == (PARAMETERS, 20)
    assert plan.mean_speed_sps == 50
    assert (plan.edges, plan.degrees) == (6, (2, 2.0, 2))
    # A ring with weights 1/3 is a circulant: its eigenvalues are 1/3 + 2/3 cos(2 pi k / n).
    assert plan.averaging.eigenvalues == pytest.approx(
        (1 / 3 + 2 / 3 * cos(2 * pi / 6), 1 / 3 - 2 / 3)
    )
    assert plan.averaging.spectral_gap == pytest.approx(1 - 2 / 3)
    assert max(plan.averaging.row_sum_error, plan.averaging.column_sum_error) < 1e-12

    dsgd, quantimed = plan.methods
    assert (dsgd.label, dsgd.alpha, dsgd.epsilon) == ("DSGD", (0.5, 0.5), (1.0, 1.0))
    assert dsgd.message_bits == 32 * PARAMETERS
    message_s = 0.01 + 32 * PARAMETERS / 40_000
    assert dsgd.message_s == pytest.approx((message_s, message_s))
    assert dsgd.round_s == pytest.approx(5 / 50 + message_s)
    # 2 x 800 + 1 levels need 11 bits; T_d = b / E[V] = 20 / 50 s.
    assert quantimed.message_bits == 11 * PARAMETERS
    assert quantimed.details == {"T_d": "0.4 s"}
    assert quantimed.round_s == pytest.approx(0.4 + 0.01 + 11 * PARAMETERS / 40_000)


def test_a_random_speed_and_random_links() -> None:
    changes = {
        "network.link.bandwidth_bps": {"low": 1000, "high": 2000},
        "network.link.latency_s": {"low": 0.1, "high": 0.3},
        "algorithms.1.compressor": DROP,
    }
    plan = simulator.plan(simulator.from_table(tiny(changes)), train=False)
    assert plan.mean_speed_sps == (10 + 90) / 2
    assert plan.samples_per_worker == 0
    dsgd, quantimed = plan.methods
    bits = 32 * PARAMETERS  # over the eight links that the first seed draws
    assert 0.1 + bits / 2000 <= dsgd.message_s[0] < dsgd.message_s[1] <= 0.3 + bits / 1000
    assert quantimed.details == {"T_d": "0.1 s"}
    assert dsgd.message_s[0] < dsgd.round_s < dsgd.message_s[1] + 5 / 10


def test_what_is_printed(tmp_path: Path, desim: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    file = write(tmp_path / "tiny.toml", {"seeds": [0, 1]})
    ended = desim("check", file)
    assert (ended.code, ended.err) == (0, "")
    out = text(ended.out)
    for part in (
        "tiny 4 trials = 2 methods x 2 seeds",
        "workers 4, 20 samples each; E[V] = 50 samples/s",
        "model 310 parameters",
        "connected, 4 links, degree 2 to 2",
        "spectral gap 0.6667",
        "DSGD 0.5 1 9,920 bits 0.258 s",
        "QT 0.5 1 3,410 bits 0.09525 s",
        "QT: T_d = 0.1 s",
    ):
        assert part in out
    assert not (tmp_path / "results").exists()
    changed = text(desim("check", file, "--set", "algorithms.QT.expected_batch=10").out)
    assert "QT: T_d = 0.2 s" in changed


def test_labels_are_printed_as_they_are(tmp_path: Path, desim: Call) -> None:
    file = write(tmp_path / "tiny.toml", {"algorithms.0.label": "[bold]D[/bold]", "stop.rounds": 1})
    assert re.search(r"\[bold\]D\[/bold\] +0.5", desim("check", file, "--no-train").out)


def test_the_quickstart_can_be_checked(desim: Call) -> None:
    out = text(desim("check", "quickstart", "--no-train").out)
    assert "quickstart 12 trials = 4 methods x 3 seeds" in out
    assert "QuanTimed-DSGD: T_d = 0.4 s" in out


def test_a_step_size_that_changes_is_told_from_the_beginning_to_the_end() -> None:
    """Over 10 rounds; in seconds 4 s, of rounds that take 0.4 s and their messages."""
    halving = {"kind": "step-decay", "alpha": 0.8, "by": 0.5}
    changes = {
        "stop": {"rounds": 10},
        "algorithms.0.step_size": halving | {"over_steps": 4},
        "algorithms.1.step_size": halving | {"over_s": 2.0},
    }
    dsgd, quantimed = simulator.plan(simulator.from_table(tiny(changes)), train=False).methods
    assert dsgd.alpha == (0.8, 0.8 * 0.5**2)
    assert quantimed.alpha == (0.8, 0.8 * 0.5 ** (10 * quantimed.round_s // 2.0))
