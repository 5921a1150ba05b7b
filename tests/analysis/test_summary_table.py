import io

import numpy as np
import pytest
from fabricated import WHY
from rich.console import Console

from desim import analysis


def printed(table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(analysis.summary_table(table))
    return console.file.getvalue()


def test_it_says_who_reached_what_and_who_diverged_when(fabricate):
    made = fabricate("DSGD", "QuanTimed", "norm")
    for seed in (0, 1):
        made.decay("DSGD", seed, 8.0, evaluations=4)
        made.decay("QuanTimed", seed, 4.0)
    made.decay("norm", 0, 8.0)
    made.trial("norm", 1, [0, 5, 10], [2.0, 50.0, np.nan], diverged_at_s=10.0)
    table = analysis.summary(made.folder)
    assert list(table["target"].unique()) == [1.0, 0.5, 0.2, 0.1, 0.05]
    norm = table[table["algorithm"] == "norm"]
    assert norm["diverged"].tolist() == [1] * 5
    assert norm["diverged_at_s"].tolist() == [10.0] * 5
    text = printed(table)
    assert "speedup over DSGD" in text
    assert "2.00 (2.00 - 2.00)" in text
    assert "not reached" in text
    assert "DSGD did not reach it" in text
    assert "reached by 1 of 2 seeds; 1 of 2 seeds diverged, first at 10 s" in text
    assert "bit" in text


def test_it_says_who_stalled_and_why(fabricate):
    made = fabricate("DSGD", "norm")
    for seed in (0, 1):
        made.decay("DSGD", seed, 8.0)
    made.decay("norm", 0, 8.0)
    made.decay("norm", 1, 8.0, evaluations=3, stalled=WHY)
    table = analysis.summary(made.folder, targets=[1.0, 0.1])
    assert table["stalled"].tolist() == [0, 1, 0, 1]
    assert table["reasons"].tolist() == ["", f"norm_1 stalled: {WHY}"] * 2
    assert table["reached"].tolist() == [2, 2, 2, 1]  # it ends at 2 / e
    text = printed(table)
    assert "1, norm: 1 of 2 seeds stalled" in text
    assert "0.1, norm: reached by 1 of 2 seeds; 1 of 2 seeds stalled" in text
    assert text.count(f"norm_1 stalled: {WHY}") == 1


MESSAGE = "worker 2's message 7 has nan as number 0"


def test_it_says_in_which_message_a_trial_diverged(fabricate):
    made = fabricate("DSGD", "norm")
    for seed in (0, 1):
        made.decay("DSGD", seed, 8.0)
    made.trial("norm", 0, [0, 5], [2.0, np.nan], diverged_at_s=5.0)
    made.trial("norm", 1, [0, 5], [2.0, np.nan], diverged_at_s=5.0, diverged=MESSAGE)
    table = analysis.summary(made.folder, targets=[1.0])
    assert table["reasons"].tolist() == ["", f"norm_1 diverged at 5 simulated s: {MESSAGE}"]
    text = printed(table)
    assert "1, norm: 2 of 2 seeds diverged, first at 5 s" in text
    assert f"norm_1 diverged at 5 simulated s: {MESSAGE}" in text
    assert "norm_0" not in text


def test_methods_with_the_same_note_share_a_line(fabricate):
    made = fabricate("slow", "a", "b", "c")
    made.decay("slow", 0, 8.0, evaluations=2)
    for label in ("a", "b", "c"):
        made.decay(label, 0, 4.0, evaluations=5 if label == "c" else 9)
    lines = printed(analysis.summary(made.folder, targets=[1.5, 0.5, 0.1])).splitlines()
    notes = [line.strip() for line in lines if line.strip().endswith("did not reach it")]
    assert notes == ["0.5, a, b, c: slow did not reach it", "0.1, a, b: slow did not reach it"]


def test_many_methods_with_long_labels_fit_into_eighty_columns(fabricate):
    labels = [f"{'a long label ' * 3}{number}" for number in range(15)]
    made = fabricate(*labels)
    for label in labels:
        for seed in (0, 1):
            made.decay(label, seed, 8.0 + seed)
    console = Console(file=io.StringIO(), width=80)
    console.print(analysis.summary_table(analysis.summary(made.folder, targets=[1.0])))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("1.00 (1.00 - 1.00)") == 14
    assert text.count("bit") == 16  # no number lost its unit
    assert text.count("label") == 15 * 3 + 1 * 3  # and the baseline's in the heading


def test_without_training_it_says_so_too_and_names_the_first_few(fabricate):
    made = fabricate("a", "b")
    for seed in range(7):
        made.trial("a", seed, [0, 4, 8], [np.nan] * 3, train=False, stalled=WHY)
        made.trial("b", seed, [0, 4, 8], [np.nan] * 3, train=False)
    text = printed(analysis.summary(made.folder))
    assert "a: 7 of 7 seeds stalled" in text
    assert "a_4 stalled: at 8 s" in text
    assert "a_5 stalled" not in text
    assert "and 2 more gave up" in text
    assert "b:" not in text


def test_a_run_in_which_no_loss_fell_still_names_its_algorithms(fabricate):
    made = fabricate("norm")
    made.trial("norm", 0, [0, 5], [2.0, np.inf], diverged_at_s=5.0)
    table = analysis.summary(made.folder)
    assert table["reached"].tolist() == [0]
    assert "-, norm: 1 of 1 seeds diverged, first at 5 s" in printed(table)


def test_without_training_it_is_the_pace_of_the_rounds(fabricate):
    made = fabricate("a")
    for seed in (0, 1):
        made.trial("a", seed, [0, 4, 8], [np.nan] * 3, train=False)
    table = analysis.summary(made.folder)
    assert table["round_s"].tolist() == [4.0]
    assert table["round_bits"].tolist() == [1000.0]
    assert "1 kbit" in printed(table)


def test_a_trial_without_a_round_has_no_pace(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0], [np.nan], train=False)
    assert "-" in printed(analysis.summary(made.folder))


def test_sweep_columns_are_headed_by_their_last_word_unless_that_is_ambiguous(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0, sweep={"network.kind": "ring", "cluster.load": 2})
    made.decay("a", 1, 4.0, sweep={"network.kind": "star", "cluster.load": 2})
    text = printed(analysis.summary(made.folder))
    assert "kind" in text
    assert "network.kind" not in text
    other = made.folder.parent / "other"
    made = type(made)(other, ["a"])
    made.decay("a", 0, 4.0, sweep={"network.kind": "ring", "cluster.kind": "slow"})
    assert "network.kind" in printed(analysis.summary(other))


@pytest.mark.parametrize(
    ("bits", "text"), [(0.0, "0 bit"), (999.0, "999 bit"), (3.18e6, "3.18 Mbit"), (np.nan, "-")]
)
def test_bits_have_a_decimal_prefix(bits, text):
    from desim.analysis.summary import format_bits

    assert format_bits(bits) == text
