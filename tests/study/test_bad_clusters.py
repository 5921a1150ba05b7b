"""Networks, faults and timeouts that break a rule: one line with key, value and rule."""

import re
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
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

#: What is wrong, and the line; @ stands for the folder with the files, * for anything.
Case = tuple[Table, str]


def under(key: str, lines: list[tuple[Table, str]]) -> list[Case]:
    """Changes to one table, and lines without its key."""
    return [
        ({f"{key}.{name}": value for name, value in fields.items()}, f"{key}{line}")
        for fields, line in lines
    ]


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
        ({"bandwidth_bps": {"low": 3}}, ".bandwidth_bps.high: is missing from {'low': 3}"),
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
        ({"link": {"kind": "shared-medium"}}, ".link.bandwidth_bps: is missing from {}"),
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
        ({"names": DROP}, ".names: is missing from *"),
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


def outage(**changes: Any) -> Table:
    """An outage of worker 1."""
    return {"worker": 1, "down_s": 1, "up_s": 3} | changes


def failure(**changes: Any) -> Table:
    """An outage of the link between workers 0 and 1."""
    return {"between": [0, 1], "down_s": 1, "up_s": 3} | changes


BY_SHAPE = "must be a list, one table for each outage, or {mean_up_s, mean_down_s}"
TWO = "must be the numbers of two different workers, [a, b]"
OVERLAPS = "overlaps with the same one's outage"

FAULTS = under(
    "faults",
    [
        # workers
        (
            {"workers": [outage(), outage(worker=9)]},
            ".workers.1.worker = 9: the cluster has 4 workers, numbered from 0",
        ),
        (
            {"workers": [outage(worker=-1)]},
            ".workers.0.worker = -1: must be greater than or equal to 0",
        ),
        ({"workers": [outage(worker="1")]}, ".workers.0.worker = '1': must be a valid integer"),
        ({"workers": [{"down_s": 1}]}, ".workers.0.worker: is missing from {'down_s': 1}"),
        ({"workers": [{"worker": 1}]}, ".workers.0.down_s: is missing from {'worker': 1}"),
        ({"workers": [outage(up_s=0.5)]}, ".workers.0.up_s = 0.5: must be later than down_s = 1"),
        ({"workers": [outage(up_s=1)]}, ".workers.0.up_s = 1: must be later than down_s = 1"),
        (
            {"workers": [outage(down_s=-3)]},
            ".workers.0.down_s = -3: must be greater than or equal to 0, in seconds",
        ),
        (
            {"workers": [outage(down_s="3")]},
            ".workers.0.down_s = '3': must be a valid number, in seconds",
        ),
        (
            {"workers": [outage(down_s=nan)]},
            ".workers.0.down_s = nan: must be a finite number, in seconds",
        ),
        (
            {"workers": [outage(up_s=inf)]},
            ".workers.0.up_s = inf: must be a finite number, in seconds",
        ),
        ({"workers": [outage(up=2)]}, ".workers.0.up = 2: unknown key; did you mean 'up_s'?"),
        ({"workers": [3]}, ".workers.0 = 3: must be a table"),
        ({"workers": 3}, f".workers = 3: {BY_SHAPE}"),
        ({"workers": "all"}, f".workers = 'all': {BY_SHAPE}"),
        # a single outage that stands in no list
        ({"workers": {"worker": 1}}, f".workers = {{'worker': 1}}: {BY_SHAPE}"),
        # outages that overlap or touch
        (
            {"workers": [outage(), outage(worker=2), outage(down_s=2, up_s=4)]},
            f".workers.2.down_s = 2: {OVERLAPS} workers.0, from 1 s to 3 s; must begin after it",
        ),
        (
            {"workers": [outage(down_s=2, up_s=4), outage()]},
            f".workers.0.down_s = 2: {OVERLAPS} workers.1, from 1 s to 3 s; must begin after it",
        ),
        (
            {"workers": [outage(), outage(down_s=3, up_s=4)]},
            f".workers.1.down_s = 3: {OVERLAPS} workers.0, from 1 s to 3 s; must begin after it",
        ),
        (
            {"workers": [{"worker": 1, "down_s": 1}, outage(down_s=7, up_s=9)]},
            f".workers.1.down_s = 7: {OVERLAPS} workers.0, from 1 s on, for good; must begin after "
            "it",
        ),
        # random ones
        (
            {"workers": {"mean_up_s": 0, "mean_down_s": 1}},
            ".workers.mean_up_s = 0: must be greater than 0, in seconds",
        ),
        (
            {"links": {"mean_up_s": 1, "mean_down_s": -1}},
            ".links.mean_down_s = -1: must be greater than 0, in seconds",
        ),
        (
            {"workers": {"mean_up_s": "long", "mean_down_s": 1}},
            ".workers.mean_up_s = 'long': must be a valid number, in seconds",
        ),
        (
            {"workers": {"mean_up_s": inf, "mean_down_s": 1}},
            ".workers.mean_up_s = inf: must be a finite number, in seconds",
        ),
        (
            {"workers": {"mean_up_s": 1}},
            ".workers.mean_down_s: is missing from {'mean_up_s': 1}",
        ),
        (
            {"workers": {"mean_up": 1, "mean_down_s": 1}},
            ".workers.mean_up = 1: unknown key; did you mean 'mean_up_s'?",
        ),
        # links
        ({"links": [failure(between=[1, 1])]}, f".links.0.between = [1, 1]: {TWO}"),
        ({"links": [failure(between=[1])]}, f".links.0.between = [1]: {TWO}"),
        ({"links": [failure(between=[0, 1, 2])]}, f".links.0.between = [0, 1, 2]: {TWO}"),
        ({"links": [failure(between=1)]}, f".links.0.between = 1: {TWO}"),
        (
            {"links": [failure(between=[0, 9])]},
            ".links.0.between = 9: the cluster has 4 workers, numbered from 0",
        ),
        (
            {"links": [failure(between=[0, -1])]},
            ".links.0.between.1 = -1: must be greater than or equal to 0",
        ),
        (
            {"links": [failure(between=["a", 1])]},
            ".links.0.between.0 = 'a': must be a valid integer",
        ),
        ({"links": [{"down_s": 1}]}, ".links.0.between: is missing from {'down_s': 1}"),
        ({"links": [failure(up_s=0.5)]}, ".links.0.up_s = 0.5: must be later than down_s = 1"),
        (
            {"links": [failure(), failure(between=[1, 0], down_s=2)]},
            f".links.1.down_s = 2: {OVERLAPS} links.0, from 1 s to 3 s; must begin after it",
        ),
        (
            {"links": [outage()]},
            ".links.0.worker = 1: unknown key; choose from down_s, up_s, between",
        ),
        # the rest
        ({"model": "forget"}, ".model = 'forget': must be 'keep' or 'reset'"),
        ({"bogus": 1}, ".bogus = 1: unknown key; choose from workers, links, model"),
    ],
)

BOTH = "give a timeout_s with 'skip', and only then"
ABSENT = under(
    "algorithms.0",
    [
        ({"absent": "skip"}, f".absent = 'skip', timeout_s = None: {BOTH}"),
        ({"absent": "wait", "timeout_s": 1.0}, f".absent = 'wait', timeout_s = 1.0: {BOTH}"),
        ({"timeout_s": 1.0}, f".absent = 'wait', timeout_s = 1.0: {BOTH}"),
        ({"absent": "skip", "timeout_s": 0}, ".timeout_s = 0: must be greater than 0, in seconds"),
        ({"absent": "skp"}, ".absent = 'skp': must be 'wait' or 'skip'"),
    ],
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    return tmp_path


def agrees(said: str, line: str, folder: str) -> bool:
    """Whether a line is as it should be."""
    pattern = re.escape(line).replace("@", re.escape(folder)).replace(r"\*", ".*")
    return re.fullmatch(pattern, said) is not None


@pytest.mark.parametrize(
    ("changes", "line"),
    LINKS + SHARED_MEDIUM + REGIONS + LINK_FILES + FAULTS + ABSENT,
    ids=lambda value: str(value)[:70],
)
def test_a_broken_rule_is_one_clear_line(
    changes: Table, line: str, desim: Call, folder: Path
) -> None:
    with pytest.raises(package.ScenarioError) as error:
        package.from_table(tiny(changes))
    (said,) = str(error.value).splitlines()
    assert agrees(said, line, ""), said
    # From a file, in which relative paths are meant from its folder.
    complaint = desim("check", write(folder / "bad.toml", changes)).complaint
    assert agrees(complaint, line, f"{folder}/"), complaint


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


def test_two_mistakes_are_two_lines() -> None:
    changes = {"faults.workers": [outage(down_s=-1), outage(worker=-1)], "network.link.loss": 2}
    with pytest.raises(package.ScenarioError) as error:
        package.from_table(tiny(changes))
    assert [line.partition(" = ")[0] for line in str(error.value).splitlines()] == [
        "network.link.loss",
        "faults.workers.0.down_s",
        "faults.workers.1.worker",
    ]


def test_values_that_are_set_by_dotted_keys_are_checked_as_well() -> None:
    scenario = package.from_table(tiny({"faults.workers": [outage()]}))
    assert scenario.with_values({"faults.workers.0.up_s": 9.0}).faults is not None
    for key, value, line in [
        ("faults.workers.0.up_s", 0.5, "faults.workers.0.up_s = 0.5: must be later than down_s"),
        ("faults.workers", 3, f"faults.workers = 3: {BY_SHAPE}"),
        ("network.link.loss", 1.0, "network.link.loss = 1.0: must be less than 1"),
        ("network.link.profile", "egde", "network.link.profile = 'egde': no such profile; did"),
    ]:
        with pytest.raises(package.ScenarioError) as error:
            scenario.with_values({key: value})
        assert str(error.value).startswith(line)


def test_an_outage_of_a_link_that_the_graph_does_not_have_is_harmless() -> None:
    # Graphs may be drawn anew for each seed, and the link may be there for another one.
    plans = [
        package.plan(package.from_table(tiny(changes)), train=False)
        for changes in ({}, {"faults.links": [failure(between=[0, 2])]})
    ]
    assert plans[0].methods == plans[1].methods
