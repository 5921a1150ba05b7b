"""Networks that break a rule: one line with key, value and rule."""

from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from complaints import assert_refused, under
from tiny import DROP, Call, Table, tiny, write

import desim as package

#: Of a network and of links.
FILES = {
    "empty.toml": "# Nothing.\n",
    "broken.toml": "up_bps = = 2\n",
    "unknown.toml": "up_bps = 1e6\nlatenz_s = 3\n",
    "negative.toml": "up_bps = -1e6\n",
    "range.toml": "up_bps = { low = 3, high = 1 }\n",
    "slow.toml": "latency_s = 0.1\n",
    "nested.toml": 'up_bps = 1e6\nprofile = "edge"\n',
    "regions.toml": '[regions]\nnames = ["a", "b"]\nround_trip_s = [[1.0]]\n',
    "links.toml": 'links.file = "nan.csv"\n',
    "nothing.csv": "",
    "names.csv": "source,target,latency_s,bandwidth_bps\n",
    "column.csv": "source,target,latency_s\n0,1,2\n",
    **{
        f"{name}.csv": f"source,target,latency_s,bandwidth_bps\n{rows}\n"
        for name, rows in {
            "nan": "0,1,nan,1",
            "blank": "0,1,,1",
            "word": "0,1,1,fast",
            "infinite": "0,1,1,inf",
            "zero": "1,0,1,3\n0,1,0,0",
            "negative": "0,1,-1,3",
            "twice": "0,1,1,3\n1,0,1,3\n0,1,2,3",
            "self": "1,1,1,3",
            "minus": "0,-1,1,3",
            "half": "0,1.5,1,3",
            "across": "0,1,1,3\n0,2,1,3",
            "beyond": "0,9,1,3",
            "part": "0,1,1,3\n1,0,1,3",
        }.items()
    },
}

NO_SPEED = (
    "needs a profile (desim list networks) or one of bandwidth_bps, up_bps, down_bps, regions, "
    "links; bandwidth_bps = inf is a network that takes no time for a message's size"
)
FINITE = "must be finite, and high at least low"

LINKS = under(
    "network.link",
    [
        # one number
        ({"bandwidth_bps": 0}, ".bandwidth_bps = 0: must be greater than 0, in bit/s"),
        ({"bandwidth_bps": -1.5}, ".bandwidth_bps = -1.5: must be greater than 0, in bit/s"),
        ({"bandwidth_bps": nan}, ".bandwidth_bps = nan: must be greater than 0, in bit/s"),
        ({"bandwidth_bps": [3]}, ".bandwidth_bps = [3]: must be a valid number, in bit/s"),
        ({"up_bps": "fast"}, ".up_bps = 'fast': must be a valid number, in bit/s"),
        ({"down_bps": 0}, ".down_bps = 0: must be greater than 0, in bit/s"),
        (
            {"latency_s": -0.1},
            ".latency_s = -0.1: must be greater than or equal to 0, in seconds",
        ),
        ({"jitter_s": -1}, ".jitter_s = -1: must be greater than or equal to 0, in seconds"),
        ({"jitter_s": inf}, ".jitter_s = inf: must be a finite number, in seconds"),
        ({"loss": 1}, ".loss = 1: must be less than 1"),
        ({"loss": -0.1}, ".loss = -0.1: must be greater than or equal to 0"),
        ({"loss": nan}, ".loss = nan: must be a finite number"),
        ({"resend_after_s": 0}, ".resend_after_s = 0: must be greater than 0, in seconds"),
        # ranges
        (
            {"bandwidth_bps": {"low": 5, "high": 2}},
            f".bandwidth_bps = {{low = 5, high = 2}}: {FINITE}",
        ),
        ({"up_bps": {"low": 5, "high": 2}}, f".up_bps = {{low = 5, high = 2}}: {FINITE}"),
        ({"down_bps": {"low": 5, "high": inf}}, f".down_bps = {{low = 5, high = inf}}: {FINITE}"),
        ({"latency_s": {"low": 0.5, "high": 0}}, f".latency_s = {{low = 0.5, high = 0}}: {FINITE}"),
        ({"latency_s": {"low": 0, "high": inf}}, ".latency_s.high = inf: must be a finite number"),
        (
            {"bandwidth_bps": {"low": nan, "high": 2}},
            ".bandwidth_bps.low = nan: must be greater than 0",
        ),
        (
            {"bandwidth_bps": {"low": 0, "high": 2}},
            ".bandwidth_bps.low = 0: must be greater than 0",
        ),
        ({"bandwidth_bps": {"low": 3}}, ".bandwidth_bps.high: is missing"),
        # no speed at all
        ({"bandwidth_bps": DROP}, f" = {{'latency_s': 0.01}}: {NO_SPEED}"),
        # profiles
        (
            {"profile": "edge", "file": "slow.toml"},
            ".profile = 'edge', file = '@slow.toml': give one of them",
        ),
        ({"profile": "egde"}, ".profile = 'egde': no such profile; did you mean 'edge'?"),
        ({"profile": 4}, ".profile = 4: must be a valid string"),
        (
            {"profile": "edge", "up_bps": {"low": 9, "high": 2}},
            f".up_bps = {{low = 9, high = 2}}: {FINITE}",  # the profile's are good
        ),
        (
            {"file": "missing.toml"},
            ".file = '@missing.toml': can't be read ([Errno 2] No such file or directory: "
            "'@missing.toml')",
        ),
        ({"file": "empty.toml"}, ".file = '@empty.toml': is empty; a profile gives at least one *"),
        (
            {"file": "broken.toml"},
            ".file = '@broken.toml': is no TOML: Invalid value (at line 1, column 10)",
        ),
        (
            {"file": "unknown.toml"},
            ".file = '@unknown.toml': latenz_s = 3: unknown key; did you mean 'latency_s'?",
        ),
        (
            {"file": "negative.toml"},
            ".file = '@negative.toml': up_bps = -1000000.0: must be greater than 0, in bit/s",
        ),
        (
            {"file": "range.toml"},
            f".file = '@range.toml': up_bps = {{low = 3, high = 1}}: {FINITE}",
        ),
        (
            {"file": "slow.toml", "bandwidth_bps": DROP},
            f".file = '@slow.toml': {NO_SPEED}",
        ),
        ({"file": "nested.toml"}, ".file = '@nested.toml': profile can't stand in a profile"),
        (
            {"file": "regions.toml"},
            ".file = '@regions.toml': regions.round_trip_s = [[1.0]]: must be a matrix of 2 x 2 *",
        ),
        (
            {"file": "links.toml"},
            ".file = '@links.toml': links.file = '*nan.csv', line 2: latency_s = 'nan': must be *",
        ),
        (
            {"kind": "fair", "backbone_bps": 0},
            ".backbone_bps = 0: must be greater than 0, in bit/s",
        ),
    ],
)

SHARED_MEDIUM = under(
    "network",
    [
        ({"link": {"kind": "shared-medium"}}, ".link.bandwidth_bps: is missing"),
        (
            {"link": {"kind": "shared-medium", "bandwidth_bps": 1e3, "loss": 1}},
            ".link.loss = 1: must be less than 1",
        ),
    ],
)


def regions(**changes: Any) -> Table:
    """Two regions, changed."""
    table = {"names": ["a", "b"], "round_trip_s": [[0.1, 0.2], [0.2, 0.1]]} | changes
    return {key: value for key, value in table.items() if value is not DROP}


MATRIX = "must be a matrix of 2 x 2 numbers, one for each name both ways"
PLACES = {"round_trip_s": DROP, "latitude_deg": [1.0, 2.0], "longitude_deg": [3.0, 4.0]}
EITHER = "needs either round_trip_s, or latitude_deg and longitude_deg"

REGIONS = [
    ({"network.link.regions": regions(**changes)}, f"network.link.regions{line}")
    for changes, line in [
        ({"round_trip_s": [[0.1]]}, f".round_trip_s = [[0.1]]: {MATRIX}"),
        ({"round_trip_s": [[0.1, 0.2], [0.1]]}, f".round_trip_s = [[0.1, 0.2], [0.1]]: {MATRIX}"),
        ({"bandwidth_bps": [[1, 2]]}, f".bandwidth_bps = [[1.0, 2.0]]: {MATRIX}"),
        ({"round_trip_s": [0.1]}, ".round_trip_s.0 = 0.1: must be a list"),
        ({"round_trip_s": 3}, ".round_trip_s = 3: must be a list, in seconds"),
        (
            {"round_trip_s": [[0.1, -0.2], [0.2, 0.1]]},
            ".round_trip_s.0.1 = -0.2: must be greater than or equal to 0",
        ),
        (
            {"round_trip_s": [[0.1, 0.2], ["x", 0.1]]},
            ".round_trip_s.1.0 = 'x': must be a valid number",
        ),
        ({"bandwidth_bps": [[1, 2], [0, 1]]}, ".bandwidth_bps.1.0 = 0: must be greater than 0"),
        ({"bandwidth_bps": [1]}, ".bandwidth_bps.0 = 1: must be a list"),
        ({"bandwidth_bps": 0}, ".bandwidth_bps = 0: must be greater than 0, in bit/s"),
        ({"bandwidth_bps": nan}, ".bandwidth_bps = nan: must be greater than 0, in bit/s"),
        ({"bandwidth_bps": "x"}, ".bandwidth_bps = 'x': must be a valid number, in bit/s"),
        ({"placement": ["a", "c"]}, ".placement = 'c': no such region; choose from a, b"),
        ({"placement": []}, ".placement = []: must have at least 1 item"),
        ({"placement": "a"}, ".placement = 'a': must be a list"),
        ({"names": []}, ".names = []: must have at least 1 item"),
        ({"names": ["a", "a"]}, ".names = 'a': must differ, it stands there twice"),
        ({"names": DROP}, ".names: is missing"),
        ({"bogus": 1}, ".bogus = 1: unknown key; choose from names, placement, *"),
        # round trips or places on the globe
        ({"round_trip_s": DROP}, f" = {{'names': ['a', 'b']}}: {EITHER}"),
        (PLACES | {"round_trip_s": [[0.1] * 2] * 2}, f" = {{'names': ['a', 'b'], 'r*: {EITHER}"),
        (PLACES | {"latitude_deg": DROP}, f" = {{'names': ['a', 'b'], 'l*: {EITHER}"),
        ({"latitude_deg": [1.0, 2.0]}, f" = {{'names': ['a', 'b'], 'r*: {EITHER}"),
        (
            PLACES | {"longitude_deg": [3.0]},
            ".longitude_deg = [3.0]: must be 2 numbers, one for each name",
        ),
        (
            PLACES | {"latitude_deg": [91.0, 2.0]},
            ".latitude_deg.0 = 91.0: must be less than or equal to 90",
        ),
        (PLACES | {"longitude_deg": [nan, 2.0]}, ".longitude_deg.0 = nan: must be a finite number"),
        (PLACES, ".per_km_s = 0: must be positive, or distances make no difference"),
        (
            PLACES | {"per_km_s": -1},
            ".per_km_s = -1: must be greater than or equal to 0, in seconds",
        ),
        (
            {"base_s": 0.5},
            ".base_s = 0.5: belongs to latitude_deg and longitude_deg; round_trip_s says all",
        ),
    ]
]

LINK_FILES = [
    ({"network.link.links": {"file": file}}, f"network.link.links.file = '@{file}'{line}")
    for file, line in [
        (
            "missing.csv",
            ": can't be read ([Errno 2] No such file or directory: '@missing.csv')",
        ),
        ("nothing.csv", ": can't be read (No columns to parse from file)"),
        ("names.csv", ": is empty; must have at least one row"),
        (
            "column.csv",
            ": has no column 'bandwidth_bps'; must have source, target, latency_s, bandwidth_bps",
        ),
        ("nan.csv", ", line 2: latency_s = 'nan': must be a finite number"),
        ("blank.csv", ", line 2: latency_s = '': must be a finite number"),
        ("word.csv", ", line 2: bandwidth_bps = 'fast': must be a finite number"),
        ("infinite.csv", ", line 2: bandwidth_bps = 'inf': must be a finite number"),
        ("zero.csv", ", line 3: bandwidth_bps = 0: must be positive"),
        ("negative.csv", ", line 2: latency_s = -1: must not be negative"),
        ("twice.csv", ", line 4: link 0 -> 1: must be there once only"),
        ("self.csv", ", line 2: target = 1: must not be the source"),
        ("minus.csv", ", line 2: target = -1: must be a whole number from 0"),
        ("half.csv", ", line 2: target = 1.5: must be a whole number from 0"),
    ]
] + under(
    "network.link.links",
    [({"fil": "nan.csv"}, ".fil = 'nan.csv': unknown key; did you mean 'file'?")],
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "line"),
    LINKS + SHARED_MEDIUM + REGIONS + LINK_FILES,
    ids=lambda value: str(value)[:70],
)
def test_a_broken_rule_is_one_clear_line(
    changes: Table, line: str, desim: Call, folder: Path
) -> None:
    assert_refused(changes, line, desim, folder)


#: What only the graph, a ring of four, can tell.
UNFIT = [
    ("across.csv", "names the link 0 -> 2, which the topology doesn't have", {}),
    ("beyond.csv", "names the link 0 -> 9, which the topology doesn't have", {}),
    (
        "part.csv",
        "doesn't name the link 0 -> 3; must name all, or give one of bandwidth_bps, up_bps, "
        "down_bps, regions for the others",
        {"network.link.bandwidth_bps": DROP},
    ),
]


@pytest.mark.parametrize(("file", "rule", "changes"), UNFIT)
def test_links_that_do_not_fit_the_graph(
    file: str, rule: str, changes: Table, desim: Call, folder: Path
) -> None:
    changes = changes | {"network.link.links": {"file": file}}
    with pytest.raises(package.ScenarioError) as error:
        package.plan(package.from_table(tiny(changes)))
    assert str(error.value) == f"network.link.links.file = {file!r}: {rule}"
    bad = write(folder / "bad.toml", changes)
    line = f"network.link.links.file = {str(folder / file)!r}: {rule}"
    assert desim("check", bad).complaint == line
    assert desim("run", bad, "--out", "results").complaint == line
    assert not Path("results").exists()
