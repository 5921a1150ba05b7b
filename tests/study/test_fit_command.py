"""`desim fit`: what it prints and writes, and which files it refuses."""

import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from tiny import Call, write

from desim import analysis
from desim.measuring.fitting import fit, known_laws
from desim.scenario.setting import Cluster


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """300 log-normal step times with batches of 20."""
    monkeypatch.chdir(tmp_path)
    seconds = 20 * np.exp(np.random.default_rng(0).normal(-3.5, 0.4, 300))
    pd.DataFrame({"seconds": seconds}).to_csv("steps.csv", index=False)
    return Path("steps.csv")


def test_the_best_law_can_be_pasted(trace: Path, desim: Call) -> None:
    ended = desim("fit", trace, "--batch", 20)
    assert (ended.code, ended.err) == (0, "")
    (line,) = re.findall(r"^stragglers = .*", ended.out, re.M)
    table = tomllib.loads(f"[cluster]\nworkers = 4\n{line}")["cluster"]
    cluster, best = Cluster(**table), fit(trace, batch=20).best
    assert table["stragglers"]["kind"] == best.kind == "lognormal"
    assert cluster.stragglers.mean_slowdown() == pytest.approx(best.mean, rel=1e-5)
    for shown in ("law", "ln L", "AIC", "KS", "uniform-speed", "300 steps"):
        assert shown in ended.out
    assert ended.out.index("lognormal") < ended.out.index("exponential")


def test_what_is_written(trace: Path, desim: Call) -> None:
    assert desim("fit", trace, "--batch", 20).code == 0
    folder = Path("results/fit-steps")
    tables = ["curves.parquet", "fit.parquet", "slowdowns.parquet"]
    names = sorted([*tables, "fit.png", "fit.svg", "results.json", "stragglers.toml"])
    assert sorted(path.name for path in folder.iterdir()) == names
    laws = pq.read_table(folder / "fit.parquet").to_pandas()
    assert list(laws["bic"]) == sorted(laws["bic"])
    assert sorted(laws["place"]) == list(range(len(known_laws())))
    text = (folder / "stragglers.toml").read_text(encoding="utf-8")
    assert "steps.csv: 300 rows, 20 samples a gradient" in text
    best = tomllib.loads(text)["cluster"]["stragglers"]
    others = [
        tomllib.loads(line.removeprefix("# "))["stragglers"]
        for line in text.splitlines()
        if line.startswith("# stragglers")
    ]
    assert [best["kind"], *(table["kind"] for table in others)] == list(laws["law"])
    for table, mean_s in zip([best, *others], laws["mean_s"], strict=True):
        model = Cluster(workers=4, stragglers=table).stragglers
        # Six digits of a parameter make fewer of a mean that hardly exists.
        assert model.mean_slowdown() == pytest.approx(mean_s, rel=1e-3)


def test_curves_are_the_laws_own(trace: Path, desim: Call) -> None:
    assert desim("fit", trace, "--batch", 20).code == 0
    curves = pq.read_table("results/fit-steps/curves.parquet").to_pandas()
    x = pq.read_table("results/fit-steps/slowdowns.parquet").to_pandas()["seconds_per_sample"]
    found = {law.kind: law.model for law in fit(trace, batch=20).laws}
    assert list(curves["law"].unique()) == list(found)  # the best first
    for kind, rows in curves.groupby("law"):
        times = rows["seconds_per_sample"].to_numpy()
        assert times[0] < x.min() < x.max() < times[-1]
        np.testing.assert_allclose(np.diff(np.log(times)), np.log(times[1] / times[0]))
        model = found[kind]
        np.testing.assert_allclose(rows["density"], np.exp(model.log_density(times)))
        np.testing.assert_allclose(rows["tail"], 1 - model.cdf(times))
    # Of uniform speeds 1 / ((high - low) x^2) between the ends, and nothing beyond them.
    uniform = curves[curves["law"] == "uniform-speed"]
    assert uniform["density"].iloc[0] == uniform["density"].iloc[-1] == 0
    inside, width = uniform[uniform["density"] > 0], 1 / x.min() - 1 / x.max()
    np.testing.assert_allclose(
        inside["density"], 1 / (width * inside["seconds_per_sample"] ** 2), rtol=1e-9
    )


def test_a_fit_is_drawn_again_from_its_files_alone(trace: Path, desim: Call) -> None:
    assert desim("fit", trace, "--out", "out").code == 0
    drawn = Path("out/fit.svg").read_bytes()
    Path("out/fit.svg").unlink()
    assert [path.name for path in analysis.report_fit("out")] == ["fit.png", "fit.svg"]
    assert Path("out/fit.svg").read_bytes() == drawn
    with pytest.raises(analysis.ResultsError, match=r"has no results\.json"):
        analysis.report_fit(".")


def test_a_fit_replaces_a_fit_and_nothing_else(trace: Path, desim: Call) -> None:
    assert desim("fit", trace, "--out", "out").code == 0
    assert desim("fit", trace, "--out", "out", "--batch", 2).code == 0
    assert "2 samples" in Path("out/stragglers.toml").read_text(encoding="utf-8")
    write(Path("tiny.toml"))
    complaint = desim("fit", trace, "--out", ".").complaint
    assert complaint.startswith("--out = .: must be empty or hold an earlier fit")
    assert "must be a folder" in desim("fit", trace, "--out", "tiny.toml").complaint


def test_workers_that_differ_for_good_are_told(trace: Path, desim: Call) -> None:
    random = np.random.default_rng(1)
    worker = np.repeat(np.arange(20), 30)
    noise = np.exp(random.normal(0, 0.1, 600))
    frame = pd.DataFrame({"seconds": np.exp(random.normal(0, 1, 20))[worker] * noise})
    frame["worker"] = worker
    frame.to_csv("workers.csv", index=False)
    ended = desim("fit", "workers.csv")
    assert "between the 20 workers, not between their steps: use persistent = true" in ended.out
    lines = re.findall(r"^stragglers = .*", ended.out, re.M)
    tables = [tomllib.loads(line)["stragglers"] for line in lines]
    assert "persistent" not in tables[0]
    assert Cluster(workers=4, stragglers=tables[1]).stragglers.persistent
    text = Path("results/fit-workers/stragglers.toml").read_text(encoding="utf-8")
    assert f"\n# {lines[1]}\n" in text
    pd.DataFrame({"seconds": noise, "worker": worker}).to_csv("steps.csv", index=False)
    ended = desim("fit", "steps.csv")
    assert "of the 20 workers" not in ended.out
    assert "most is between steps" in ended.out
    pd.DataFrame({"seconds": noise[:20], "worker": range(20)}).to_csv("ones.csv", index=False)
    assert "20 workers with one step each" in desim("fit", "ones.csv").out


def test_steps_that_follow_no_law_are_told(trace: Path, desim: Call) -> None:
    assert "None of the laws" not in desim("fit", trace).out
    pd.DataFrame({"seconds": [0.01] * 60 + [0.02] * 30 + [0.03] * 10}).to_csv("three.csv")
    assert "None of the laws fits well; the best is 0.3" in desim("fit", "three.csv").out


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("seconds\n", ["file = 'bad.csv': is empty"]),
        ("", ["file = 'bad.csv': can't be read"]),
        ("time\n1\n", ["has no column 'seconds'"]),
        ("seconds\n" + "1\n2\n" * 4, ["has 8 rows; must have at least 10"]),
        ("seconds\n1\nnan\n", ["line 3: seconds = ", "nan", ": must be a finite number"]),
        ("seconds,worker\n1,0\n,0\n", ["line 3: seconds = ", ": must be a finite number"]),
        ("seconds\n1\ninf\n", ["line 3: seconds = ", "inf", ": must be a finite number"]),
        ("seconds\n1\n2\nfast\n", ["line 4: seconds = ", "fast", ": must be a finite number"]),
        ("seconds\n1\n0\n", ["line 3: seconds = 0: must be positive"]),
        ("seconds\n-1\n2\n", ["line 2: seconds = -1: must be positive"]),
        ("seconds,batch\n1,2\n2,0\n", ["line 3: batch = 0: must be at least 1"]),
        ("seconds,batch\n1,2\n2,1.5\n", ["line 3: batch = 1.5: must be a whole number"]),
        ("seconds,worker\n1,a\n", ["line 2: worker = ", "a", ": must be a finite number"]),
        ("seconds,worker\n1,-1\n", ["line 2: worker = -1: must be a whole number from 0"]),
    ],
)
def test_bad_file(content: str, parts: list[str], trace: Path, desim: Call) -> None:
    Path("bad.csv").write_text(content, encoding="utf-8")
    complaint = desim("fit", "bad.csv").complaint
    assert [part for part in parts if part not in complaint] == [], complaint
    assert not Path("results").exists()


def test_a_bad_row_of_a_parquet_file_is_counted_from_1(trace: Path, desim: Call) -> None:
    pd.DataFrame({"seconds": [1.0, 2.0, -3.0]}).to_parquet("bad.parquet")
    complaint = desim("fit", "bad.parquet").complaint
    assert complaint == "file = 'bad.parquet', row 3: seconds = -3: must be positive"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nowhere.csv"], "file = 'nowhere.csv': can't be read"),
        (["steps.csv", "--batch", "0"], "--batch = 0: must be at least 1"),
        (["steps.csv", "--batch", "many"], "--batch"),
    ],
)
def test_bad_option(arguments: list[str], part: str, trace: Path, desim: Call) -> None:
    assert part in desim("fit", *arguments).complaint


@pytest.mark.parametrize("frame", [{"seconds": [0.4] * 12}, {"seconds": [0.4, 0.8] * 6}])
def test_steps_without_spread_need_no_law(frame: Any, trace: Path, desim: Call) -> None:
    if len(set(frame["seconds"])) > 1:  # twice the samples in twice the time
        frame["batch"] = [20, 40] * 6
    pd.DataFrame(frame).to_csv("equal.csv", index=False)
    complaint = desim("fit", "equal.csv", "--batch", 20).complaint
    assert "in all 12 rows: there is no spread to fit" in complaint
    given = re.search(r'write (stragglers = "none") and hardware = (\{.*\})$', complaint)
    assert given
    table = tomllib.loads(f"workers = 2\n{given[1]}\nhardware = {given[2]}")
    assert Cluster(**table).fleet(None).mean_speed_sps() == pytest.approx(50.0)
