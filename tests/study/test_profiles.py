"""The profiles of hardware and networks that come with desim, and how they are read."""

import re
from math import asin, cos, radians, sin, sqrt
from numbers import Real
from pathlib import Path

import pytest

from desim.schema import profiles

HARDWARE = {
    "peak_flops_per_s",
    "efficiency",
    "memory_bytes_per_s",
    "operator_s",
    "overhead_s",
    "speed_sps",
    "stragglers",
}
NETWORK = {"latency_s", "jitter_s", "bandwidth_bps", "up_bps", "down_bps", "regions"}
MATRICES = {"names", "round_trip_s", "bandwidth_bps"}
DISTANCES = {"names", "latitude_deg", "longitude_deg", "base_s", "per_km_s", "bandwidth_bps"}

ALL = [
    pytest.param(kind, name, id=f"{kind}-{name}")
    for kind in ("hardware", "network")
    for name in profiles.names(kind)
]


def test_the_profiles_that_come_with_desim():
    assert profiles.names("hardware") == [
        "a100-40gb",
        "a100-80gb",
        "a10g",
        "h100",
        "h200",
        "jetson-nano",
        "jetson-orin-nano",
        "k80",
        "phone-fl",
        "phone-snapdragon-8-gen-2",
        "phone-snapdragon-865",
        "raspberry-pi-4",
        "t4",
        "v100",
        "xeon-core",
        "xeon-core-avx512",
    ]
    assert profiles.names("network") == [
        "1-gbe",
        "10-gbe",
        "100-gbe",
        "2.5-gbe",
        "25-gbe",
        "edge",
        "geo-10-regions",
        "geo-distance",
        "mobile-4g",
        "mobile-5g",
        "rdma-100-gbe",
        "wifi",
    ]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_profile_has_known_keys_and_positive_numbers(kind, name):
    table = profiles.read(kind, name)
    assert table.keys() <= (HARDWARE if kind == "hardware" else NETWORK)
    assert all(value > 0 for value in table.values() if isinstance(value, Real))
    if kind == "network":
        assert table.keys() & {"bandwidth_bps", "up_bps", "regions"}
        assert ("up_bps" in table) == ("down_bps" in table)
        assert "latency_s" in table or "regions" in table
        assert table.get("jitter_s", 0) <= table.get("latency_s", 0)
    elif "speed_sps" not in table:
        assert table.keys() >= {
            "peak_flops_per_s",
            "efficiency",
            "memory_bytes_per_s",
            "operator_s",
        }
        assert table["efficiency"] < 1


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_number_of_a_profile_has_its_source(kind, name):
    lines = profiles.path_of(kind, name).read_text().splitlines()
    depth = 0
    for above, line in zip(["", *lines], lines, strict=False):
        code, _, comment = re.sub(r'"[^"]*"', "", line).partition("#")
        if depth == 0 and re.search(r"=.*[\d\[]", code):
            assert len(comment) > 6 or re.match("# .{6}", above), line
        depth += code.split("=")[-1].count("[") - code.count("]") if "=" in code or depth else 0


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_profile_says_in_its_first_line_what_it_is(kind, name):
    first = profiles.path_of(kind, name).read_text().splitlines()[0]
    assert re.fullmatch(r"# [A-Z0-9].{15,98}\.", first)
    assert f"# {profiles.about(kind, name)}" == first


@pytest.mark.parametrize("name", profiles.names("network"))
def test_regions_have_a_row_for_each_name(name):
    regions = profiles.read("network", name).get("regions")
    if regions is None:
        return
    size = len(regions["names"])
    assert len(set(regions["names"])) == size
    assert regions.keys() in (MATRICES, DISTANCES)
    if regions.keys() == DISTANCES:
        assert len(regions["latitude_deg"]) == len(regions["longitude_deg"]) == size
        assert all(-90 <= x <= 90 for x in regions["latitude_deg"])
        assert all(-180 <= x <= 180 for x in regions["longitude_deg"])
        return
    for matrix in (regions["round_trip_s"], regions["bandwidth_bps"]):
        assert [len(row) for row in matrix] == [size] * size
        assert [list(column) for column in zip(*matrix, strict=True)] == matrix
        assert min(map(min, matrix)) > 0
    # Nothing is nearer or faster than a machine of the same region.
    assert min(map(min, regions["round_trip_s"])) == regions["round_trip_s"][0][0]
    assert max(map(max, regions["bandwidth_bps"])) == regions["bandwidth_bps"][0][0]


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [  # the distances in Marfoq et al. 2020's gaia.gml
        ("Dublin", "Frankfurt", 1091.0),
        ("Tokyo", "Seoul", 1161.2),
        ("Singapore", "Sydney", 6301.1),
        ("Mumbai", "Sao Paulo", 13772.6),
        ("Frankfurt", "Tokyo", 9358.5),
    ],
)
def test_the_cities_are_where_they_are(one, other, km):
    """Great circles on a sphere of 6371 km; to 1 %, as cities are wide and the earth no sphere."""
    regions = profiles.read("network", "geo-distance")["regions"]
    a, b = regions["names"].index(one), regions["names"].index(other)
    north = [radians(x) for x in regions["latitude_deg"]]
    east = [radians(x) for x in regions["longitude_deg"]]
    across = cos(north[a]) * cos(north[b]) * sin((east[a] - east[b]) / 2) ** 2
    arc = 2 * asin(sqrt(sin((north[a] - north[b]) / 2) ** 2 + across))
    assert 6371 * arc == pytest.approx(km, rel=0.01)


def test_an_unknown_profile_comes_with_a_suggestion():
    for call in (profiles.path_of, profiles.read, profiles.about):
        with pytest.raises(ValueError, match=r"^profile = 'hh100': no such profile; did you mean"):
            call("hardware", "hh100")
    with pytest.raises(ValueError, match=r"^profile = '../hardware/h100': no such profile; "):
        profiles.read("network", "../hardware/h100")


def test_a_profile_of_ones_own_is_read_from_its_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("\ufeff# Mine.\nspeed_sps = 3.0\n", encoding="utf-8")
    assert profiles.read_file(path) == profiles.read_file(str(path)) == {"speed_sps": 3.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read (.*No such file"),
        (b"", "is empty; "),
        (b"# Only words.\n\n", "is empty; "),
        (b"a = 1\nb = = 2\n", r"is no TOML: .*line 2, column 5"),
        (b"a = 1\na = 2\n", r"is no TOML: .*line 2"),
        (b"a = " + b"[" * 5000, "is no TOML: "),
        (b"\xff\xfe\x00", "can't be read (.*utf-8"),
    ],
)
def test_a_file_that_is_no_profile_is_named_in_one_line(tmp_path, content, message):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message.replace("read (", r"read \(")) as error:
        profiles.read_file(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb"])
def test_a_path_that_is_no_file_is_named_in_one_line(name):
    with pytest.raises(ValueError, match="can't be read") as error:
        profiles.read_file(Path(name))
    assert "\n" not in str(error.value)
