"""Machines and clusters that break a rule: one clear line."""

from math import inf, nan

import pytest
from clusters import complaint


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (
            {"workers": 4},
            "cluster = {'workers': 4}: needs hardware (such as {speed_sps = 50.0}) or",
        ),
        ({"workers": 4, "hardware": []}, ": needs hardware (such as {speed_sps = 50.0}) or"),
        ({"workers": 4, "hardware": {}}, "cluster.hardware.0 = {}: needs a profile (desim list"),
        ({"workers": 4, "hardware": 3}, "cluster.hardware.0 = 3: must be a table"),
        ({"workers": 4, "hardware": "t4"}, "cluster.hardware.0 = 't4': must be a table"),
        # counts
        ({"hardware": {"speed_sps": 1.0}}, ": needs workers, or a count in each table of hardware"),
        (
            {"hardware": [{"speed_sps": 1.0, "count": 2}, {"speed_sps": 2.0}]},
            ": needs workers, or a count in each table of hardware",
        ),
        (
            {"workers": 4, "hardware": [{"speed_sps": 1.0, "count": 2}, {"speed_sps": 2.0}]},
            "cluster.hardware.1.count = None: must be given, as there are several",
        ),
        (
            {"workers": 4, "hardware": [{"speed_sps": 1.0, "count": 2}] * 3},
            "cluster.workers = 4: the counts of hardware add up to 6; must be as many, or leave",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 1.0, "count": 3}},
            "cluster.workers = 4: the counts of hardware add up to 3; must be as many, or leave",
        ),
        (
            {"hardware": {"speed_sps": 1.0, "count": 1}},
            "cluster.workers = 1: the counts of hardware add up to that; must be from 2 to",
        ),
        (
            {"hardware": [{"speed_sps": 1.0, "count": 600_000}] * 2},
            "cluster.workers = 1200000: the counts of hardware add up to that; must be from 2",
        ),
        (
            {"hardware": {"speed_sps": 1.0, "count": 0}},
            "cluster.hardware.0.count = 0: must be greater than or equal to 1",
        ),
        (
            {"hardware": {"speed_sps": 1.0, "count": 2.0}},
            "cluster.hardware.0.count = 2.0: must be a valid integer",
        ),
        # numbers
        (
            {"workers": 4, "hardware": {"profile": "t4", "memory_bytes_per_s": 0}},
            "cluster.hardware.0.memory_bytes_per_s = 0: must be greater than 0",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "memory_bytes_per_s": nan}},
            "cluster.hardware.0.memory_bytes_per_s = nan: must be a finite number",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "peak_flops_per_s": inf}},
            "cluster.hardware.0.peak_flops_per_s = inf: must be a finite number",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "overhead_s": -0.5}},
            "cluster.hardware.0.overhead_s = -0.5: must be greater than or equal to 0, in seconds",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "efficiency": 1.5}},
            "cluster.hardware.0.efficiency = 1.5: must be less than or equal to 1",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 0}},
            "cluster.hardware.0.speed_sps = 0: must be greater than 0, in samples/s",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": "3"}},
            "cluster.hardware.0.speed_sps = '3': must be a valid number, in samples/s",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "up_bps": -1.0}},
            "cluster.hardware.0.up_bps = -1.0: must be greater than 0, in bit/s",
        ),
        # what is missing, unknown or too much
        (
            {"workers": 4, "hardware": {"peak_flops_per_s": 1e9}},
            ": needs a profile (desim list hardware), speed_sps, or peak_flops_per_s and memory_b",
        ),
        (
            {"workers": 4, "hardware": {"profile": "phone-fl", "peak_flops_per_s": 1e9}},
            "cluster.hardware.0.profile = 'phone-fl': needs a profile (desim list hardware), speed",
        ),
        (
            {"workers": 4, "hardware": {"profile": "hh100"}},
            "cluster.hardware.0.profile = 'hh100': no such profile; did you mean 'h100'?",
        ),
        (
            {"workers": 4, "hardware": {"profile": 3}},
            "cluster.hardware.0.profile = 3: must be a valid string",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "file": "mine.toml"}},
            "cluster.hardware.0.profile = 't4', file = 'mine.toml': give one of them",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "overhead_ms": 1}},
            "cluster.hardware.0.overhead_ms = 1: unknown key; desim's units are seconds (_s)",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 1.0, "stragglers": "expnential"}},
            "cluster.hardware.0.stragglers.kind = 'expnential': no such kind; did you mean 'expon",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 1.0}, "charge_memory": True},
            "cluster.charge_memory = true: needs memory_bytes_per_s in hardware.0",
        ),
    ],
    ids=str,
)
def test_a_bad_cluster_is_one_clear_line(cluster, said):
    assert said in complaint(**cluster)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("speed_sps = -1.0\n", ": speed_sps = -1.0: must be greater than 0, in samples/s"),
        ("speed_sps = '3'\n", ": speed_sps = '3': must be a valid number, in samples/s"),
        ("speed_sps = nan\n", ": speed_sps = nan: must be a finite number, in samples/s"),
        ("sped_sps = 3.0\n", ": sped_sps = 3.0: unknown key; did you mean 'speed_sps'?"),
        ("peak_flops_per_s = 3e9\n", ": needs a profile (desim list hardware), speed_sps, or peak"),
        ("profile = 't4'\n", ": profile can't stand in a profile"),
        ("file = 'mine.toml'\n", ": file can't stand in a profile"),
        ("speed_sps = 1.0\ncount = 3\n", ": count can't stand in a profile"),
        (
            "speed_sps = 1.0\nstragglers = {kind = 'lognormal', sigma = -1}\n",
            ": stragglers.sigma = -1: must be greater than 0",
        ),
        ("speed_sps = 1.0\nstragglers = 'logn'\n", ": stragglers.kind = 'logn': no such kind; did"),
    ],
)
def test_a_bad_profile_of_ones_own_is_named_in_one_line(content, said, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(content)
    line = complaint(workers=2, hardware={"file": str(file)})
    assert line.startswith(f"cluster.hardware.0.file = {str(file)!r}{said}")


@pytest.mark.parametrize("content", [None, b"", b"a = = 3\n", b"\xff\xfe"])
def test_a_file_that_is_no_profile_is_named_in_one_line(content, tmp_path):
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)
    line = complaint(workers=2, hardware={"file": str(file)})
    assert line.startswith(f"cluster.hardware.0.file = {str(file)!r}: ")
