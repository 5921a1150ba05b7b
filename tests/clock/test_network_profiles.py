"""Networks from profiles: bundled ones, one's own, regions, and files of single links."""

import tomllib
from math import inf, isfinite, pi

import numpy as np
import pandas as pd
import pytest
import tomli_w
from builders import setting, simulate, speeds
from clusters import scenario_table
from network_site import everybody, site

import desim
from desim.clock.links.dedicated import Dedicated
from desim.clock.links.fair import Fair
from desim.clock.links.fifo import Fifo
from desim.clock.regions import Regions
from desim.schema import profiles

WIRED = [Dedicated, Fifo, Fair]
NAMES = profiles.names("network")

FOUR = everybody(4)


def paths(model, neighbours=FOUR):
    """(latency_s, bandwidth_bps of the link, least bandwidth on the way) by (source, target)."""
    return {
        (source, way.target): (way.latency_s, way.bandwidth_bps, way.slowest_bps)
        for source, row in enumerate(model.paths(site(neighbours)))
        for way in row
    }


# Profiles that come with desim.


@pytest.mark.parametrize("model", WIRED, ids=lambda model: model.kind)
@pytest.mark.parametrize("name", NAMES)
def test_every_profile_works_with_every_kind_of_cables(name, model):
    link = {"kind": model.kind, "profile": name}
    shortest_s, longest_s = model(profile=name).times_s(site(everybody(12)), 10**6)
    assert 0 < shortest_s <= longest_s
    assert isfinite(longest_s)
    trial = simulate(setting({"kind": "dsgd", "batch": 5}, workers=12, topology="ring", link=link))
    assert trial.outcome.stopped_by == "rounds"
    assert len(trial.rows("receive")) == 3 * 12 * 2
    assert 15 < trial.outcome.time_s < 20  # 128 bits a message


OWN = {
    "latency_s": 0.5,
    "bandwidth_bps": {"low": 5.0, "high": 6.0},
    "up_bps": 7.0,
    "down_bps": {"low": 8.0, "high": 9.0},
    "jitter_s": 0.25,
    "loss": 0.125,
    "resend_after_s": 3.0,
}


@pytest.mark.parametrize("model", WIRED, ids=lambda model: model.kind)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_given_overrides_the_profile_and_nothing_else(name, model):
    whole = model(profile=name).table()
    assert whole == {"kind": model.kind} | model(**profiles.read("network", name)).table()
    for key, value in OWN.items():
        assert model(profile=name, **{key: value}).table() == whole | {key: value}
    regions = {"names": ["here"], "round_trip_s": [[0.5]]}
    found = model(profile=name, regions=regions).table()
    assert found == whole | {"regions": Regions(**regions).table()}


def test_in_code_none_takes_a_value_of_the_profile_away():
    model = Dedicated(profile="wifi", file=None, jitter_s=None)
    expected = Dedicated(profile="wifi").table()
    assert expected.pop("jitter_s") == 0.004
    assert model.table() == expected


def test_losses_and_access_links_of_a_profile_count():
    assert Dedicated(profile="edge", loss=0.25).losses() == (0.25, 1.0)
    assert Dedicated(profile="edge", loss=0.25, resend_after_s=2.0).losses() == (0.25, 2.0)
    # Up 35, down 144 Mbit/s; hardware may have access links of its own.
    model = Dedicated(profile="edge")
    assert set(paths(model).values()) == {(0.01, 1e9, 35e6)}
    own = site([[1], [0]], up_bps=[None, 1e12], down_bps=[None, 1e6])
    assert [way.slowest_bps for row in model.paths(own) for way in row] == [1e6, 144e6]


# Profiles of one's own.


@pytest.fixture
def study(tmp_path):
    """Writes a scenario, a profile and a file of links into folders of their own."""
    for name in ("scenarios", "profiles", "links"):
        (tmp_path / name).mkdir()

    def file(profile, links="", **link):
        (tmp_path / "profiles" / "mine.toml").write_text(profile)
        (tmp_path / "profiles" / "links.csv").write_text(links)
        table = scenario_table(workers=4, stragglers="none")
        table["network"]["link"] = {"kind": "fifo", "file": "../profiles/mine.toml"} | link
        path = tmp_path / "scenarios" / "study.toml"
        path.write_text(tomli_w.dumps(table))
        return path

    return file


LINKS = "source,target,latency_s,bandwidth_bps\n0,1,0.5,2e5\n3,0,0,1e3\n"


def test_paths_are_meant_from_the_file_that_they_stand_in(study, tmp_path, monkeypatch):
    path = study('latency_s = 0.25\nup_bps = 1e6\nlinks.file = "links.csv"\n', LINKS)
    monkeypatch.chdir(tmp_path / "links")  # the working folder doesn't matter
    link = desim.read(path).network.link
    assert isinstance(link, Fifo)
    expected = dict.fromkeys(((i, j) for i, row in enumerate(FOUR) for j in row), (0.25, inf, 1e6))
    expected |= {(0, 1): (0.5, 2e5, 2e5), (3, 0): (0.0, 1e3, 1e3)}
    assert paths(link) == expected
    assert link.times_s(site(FOUR), 1000) == (0.25 + 1e-3, 1.0)


def test_a_scenario_overrides_its_own_profile(study):
    path = study("latency_s = 0.25\nup_bps = 1e6\nloss = 0.5\n", latency_s=0.125, down_bps=1e5)
    link = desim.read(path).network.link
    assert set(paths(link).values()) == {(0.125, inf, 1e5)}
    assert link.losses() == (0.5, 1.0)


def test_the_stated_times_are_those_of_a_message_on_a_slow_backbone():
    link = {"kind": "fair", "up_bps": 1e6, "latency_s": 0.5, "backbone_bps": 64.0}
    two = {"workers": 2, "topology": "complete", "stop": {"rounds": 1}}
    trial = simulate(
        setting({"kind": "dsgd", "batch": 5}, stragglers=speeds(1, 0.5), **two, link=link)
    )
    assert trial.rows("receive", 1).end_s.tolist() == [5 + 0.5 + 2]
    model = Fair(**{key: value for key, value in link.items() if key != "kind"})
    assert model.times_s(site([[1], [0]]), 128) == (2.5, 2.5)


@pytest.mark.parametrize("model", WIRED, ids=lambda model: model.kind)
@pytest.mark.parametrize("name", NAMES)
def test_the_stored_scenario_has_the_profiles_numbers(name, model):
    table = scenario_table(workers=12, stragglers="none")
    table["network"]["link"] = {"kind": model.kind, "profile": name, "latency_s": 0.125}
    scenario = desim.from_table(table)
    stored = tomllib.loads(tomli_w.dumps(scenario.table()))
    assert stored["network"]["link"] == model(profile=name, latency_s=0.125).table()
    assert "profile" not in stored["network"]["link"]
    again = desim.from_table(stored)
    where = site(everybody(12))
    link, link_again = scenario.network.link, again.network.link
    assert paths(link_again, where.targets) == paths(link, where.targets)
    assert link_again.times_s(where, 10**6) == link.times_s(where, 10**6)
    assert again.table() == scenario.table()


def test_the_stored_scenario_does_not_need_ones_own_profile(study):
    path = study('latency_s = 0.25\nup_bps = 1e6\nlinks.file = "links.csv"\n', LINKS)
    scenario = desim.read(path)
    stored, expected = tomli_w.dumps(scenario.table()), paths(scenario.network.link)
    (path.parent.parent / "profiles" / "mine.toml").unlink()
    assert paths(desim.from_table(tomllib.loads(stored)).network.link) == expected


# Regions.

MATRIX = {
    "names": ["near", "far", "beyond"],
    "round_trip_s": [[0.0, 2.0, 4.0], [2.0, 0.5, 6.0], [3.0, 6.0, 1.0]],
    "bandwidth_bps": [[inf, 64.0, 32.0], [64.0, 128.0, 16.0], [8.0, 16.0, 128.0]],
}


def test_one_way_is_half_of_the_round_trip_and_the_least_bandwidth_counts():
    # Workers 0 and 3 are near, 1 is far, 2 is beyond.
    found = paths(Dedicated(regions=MATRIX, latency_s=0.25, bandwidth_bps=40.0, down_bps=20.0))
    assert found[0, 1] == found[1, 0] == (1.25, 40.0, 20.0)
    assert found[0, 2] == (2.25, 32.0, 20.0)
    assert found[2, 0] == found[2, 3] == (1.75, 8.0, 8.0)  # rows are senders
    assert found[1, 2] == (3.25, 16.0, 16.0)
    assert found[0, 3] == (0.25, 40.0, 20.0)
    alone = paths(Dedicated(regions=MATRIX))
    assert alone[0, 3] == (0.0, inf, inf)
    assert alone[0, 1] == (1.0, 64.0, 64.0)


def test_one_bandwidth_holds_for_all_regions():
    found = paths(Dedicated(regions=MATRIX | {"bandwidth_bps": 48.0}))
    assert {rate for _, rate, _ in found.values()} == {48.0}


def test_workers_are_placed_in_turn_or_by_names():
    turns = Regions(**MATRIX)
    assert [turns.of(worker) for worker in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    placed = Regions(**MATRIX, placement=["far", "far", "near", "beyond"])
    assert [placed.of(worker) for worker in range(9)] == [1, 1, 0, 2, 1, 1, 0, 2, 1]
    assert placed.between(placed.of(0), placed.of(1)) == (0.25, 128.0)


@pytest.mark.parametrize("kind", ["dedicated", "fifo", "fair"])
def test_a_message_between_named_regions_by_hand(kind):
    # Gradients of 5 s, models of 128 bits; one worker is far, one near.
    regions = MATRIX | {"placement": ["far", "near"]}
    trial = simulate(
        setting(
            {"kind": "dsgd", "batch": 5},
            workers=2,
            topology="complete",
            link={"kind": kind, "regions": regions, "up_bps": 512.0},
            stop={"rounds": 1},
        )
    )
    assert trial.rows("receive").end_s.tolist() == pytest.approx([5 + 1 + 128 / 64] * 2)


def test_tokyo_hears_from_seoul_when_the_profile_says():
    # The fourth and the fifth of ten regions; a round trip of 34 ms, 1.1 Gbit/s.
    trial = simulate(
        setting(
            {"kind": "dsgd", "batch": 5},
            workers=5,
            topology="complete",
            link={"kind": "dedicated", "profile": "geo-10-regions"},
            stop={"rounds": 1},
        )
    )
    got = trial.rows("receive")
    for receiver, sender in ((3, 4), (4, 3)):
        (arrival_s,) = got[(got.worker == receiver) & (got.peer == sender)].end_s
        assert arrival_s == pytest.approx(5 + 0.034 / 2 + 128 / 1.1e9, abs=1e-12)


CITIES = {
    "London": (51.51, -0.13),
    "Frankfurt": (50.11, 8.68),
    "Tokyo": (35.68, 139.69),
    "Seoul": (37.57, 126.98),
    "North Pole": (90.0, 0.0),
    "South Pole": (-90.0, 45.0),
    "Fiji": (0.0, 179.0),
    "Samoa": (0.0, -179.0),
}


def globe(**changes):
    """Cities and poles, with a second for each km."""
    north, east = zip(*CITIES.values(), strict=True)
    fields = {"latitude_deg": list(north), "longitude_deg": list(east), "per_km_s": 1.0}
    return Regions(names=list(CITIES), **(fields | changes))


@pytest.mark.parametrize(
    ("one", "other", "km", "tolerance"),
    [
        # Great circles as any atlas has them; cities are wide and the earth is no sphere.
        ("London", "Frankfurt", 638, 0.02),
        ("Tokyo", "Seoul", 1153, 0.02),
        # On a sphere of 6371 km.
        ("North Pole", "Samoa", 6371 * pi / 2, 1e-12),
        ("North Pole", "South Pole", 6371 * pi, 1e-7),  # the inverse sine is steep there
        ("Fiji", "Samoa", 6371 * pi / 90, 1e-12),  # over the date line
        ("Seoul", "Seoul", 0, 0),
    ],
)
def test_distances_are_great_circles(one, other, km, tolerance):
    regions, names = globe(), list(CITIES)
    there, back = names.index(one), names.index(other)
    assert regions.between(there, back)[0] == pytest.approx(km, rel=tolerance, abs=0)
    assert regions.between(back, there) == regions.between(there, back)


def test_a_distance_takes_a_fixed_time_and_one_for_each_km():
    regions = profiles.read("network", "geo-distance")["regions"]
    found = paths(Dedicated(profile="geo-distance"), everybody(11))
    assert len(found) == 11 * 10
    north, east = (np.radians(regions[key]) for key in ("latitude_deg", "longitude_deg"))
    for (a, b), (latency_s, *rates) in found.items():
        # The spherical law of cosines.
        along = np.cos(north[a]) * np.cos(north[b]) * np.cos(east[a] - east[b])
        km = 6371 * np.arccos(np.sin(north[a]) * np.sin(north[b]) + along)
        assert latency_s == pytest.approx(0.004 + 8.5e-6 * km, rel=1e-9)
        assert rates == [1e9, 1e9]  # access links are faster


# Files of single links.


@pytest.mark.parametrize("model", WIRED, ids=lambda model: model.kind)
def test_a_file_of_links_changes_those_that_it_names_only(model, tmp_path):
    file = tmp_path / "links.csv"
    file.write_text("source,target,latency_s,bandwidth_bps\n1,0,0.75,4e6\n2,3,0.0,9e9\n")
    before = paths(model(profile="edge"))
    found = paths(model(profile="edge", links={"file": str(file)}))
    # The access links, 35 and 144 Mbit/s, are the workers' own.
    assert found == before | {(1, 0): (0.75, 4e6, 4e6), (2, 3): (0.0, 9e9, 35e6)}
    regions = paths(model(regions=MATRIX, links={"file": str(file)}))
    assert regions == paths(model(regions=MATRIX)) | {
        (1, 0): (0.75, 4e6, 4e6),
        (2, 3): (0.0, 9e9, 9e9),
    }


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_links_may_be_all_there_is(kind, tmp_path):
    rows = [(0, 1, 0.5, 64.0), (1, 0, 0.25, 128.0)]
    frame = pd.DataFrame(rows, columns=["source", "target", "latency_s", "bandwidth_bps"])
    file = tmp_path / f"links.{kind}"
    frame.to_csv(file, index=False) if kind == "csv" else frame.to_parquet(file)
    trial = simulate(
        setting(
            {"kind": "dsgd", "batch": 5},
            workers=2,
            topology="complete",
            link={"kind": "fair", "links": {"file": str(file)}},
            stop={"rounds": 1},
        )
    )
    assert trial.rows("receive", 1).end_s.tolist() == pytest.approx([5 + 0.5 + 2])
    assert trial.rows("receive", 0).end_s.tolist() == pytest.approx([5 + 0.25 + 1])


def test_a_file_of_links_fits_the_graph_both_ways(tmp_path):
    file = tmp_path / "links.csv"
    file.write_text(LINKS)
    whole = Dedicated(bandwidth_bps=1.0, links={"file": str(file)})
    whole.check(everybody(4))
    whole.check([[1, 3], [0, 2], [1, 3], [0, 2]])
    with pytest.raises(desim.ScenarioError, match="names the link 3 -> 0, which the topology"):
        whole.check(everybody(3))
    with pytest.raises(desim.ScenarioError, match="doesn't name the link 0 -> 2; must name all"):
        Dedicated(links={"file": str(file)}).check(everybody(4))
