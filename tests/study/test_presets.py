"""The experiments under scenarios/: two forms that differ in the clock only, and all of them run.

What they find at full size is in the README; here each runs as a whole, with fewer rounds.
"""

import zipfile
from pathlib import Path

import pytest
from shared_data import shared
from tiny import Call

from desim import analysis
from desim.scenario import scenario

PAIR = "data/cifar10-binary/cifar10-airplane-automobile.npz"
PICTURES = "data/imagenet-binary/tiny-imagenet-6class-64x64-jpeg.zip"
BEARS = ("n09428293_seashore", "n02132136_brown_bear")

NAMES = [name for name in scenario.bundled() if "/" in name]

#: What is counted differently in the honest form: sizes, latency, who waits for whom, what is seen.
COUNTING = ("name", "billed_bits", "bits", "range", "latency_s", "barrier", "visibility")

SCHEDULE = {'sweep={"stop.rounds"=[100]}'}
#: What makes a preset take half a minute, by the beginning of its name.
SHORT = {
    "cluster/one-slow-worker": {
        'sweep={"cluster.hardware.1.speed_sps"=[50.0, 10.0]}',
        "stop.time_s=60",
    },
    "cluster/": {"stop.time_s=60"},
    "paper/cifar10-deadline": {'sweep={"algorithms.0.deadline_s"=[0.2, 1.0]}', "stop.time_s=60"},
    # Two lengths, so that the report joins them; the others need but one.
    "paper/mnist-quantimed-vs-dsgd": {'sweep={"stop.rounds"=[100, 120]}'},
    "paper/mnist-tuned": {"stop.rounds=30"},
    "paper/": SCHEDULE,
    "reply/four-layers": SCHEDULE,
    "reply/imagenet-binary": SCHEDULE,
    "reply/convex-rate": {'sweep={"stop.rounds"=[300, 600]}'},
    "reply/quantizers": {"stop.rounds=100"},
    "reply/averaging-cost": {"stop.rounds=20"},
    "reply/timeline": set(),
}

#: The figure that a preset is there for, by a part of its name.
FIGURES = {
    "deadline": "train-loss-vs-algorithms.0.deadline_s",
    "timeline": "timeline",
    "convex": "loss-gap-vs-rounds",
    "averaging": "time-share",
    "": "train-loss-vs-time",
}


def short(name: str) -> list[str]:
    values = next(values for start, values in SHORT.items() if name.startswith(start))
    return [word for value in sorted(values) for word in ("--set", value)]


@pytest.mark.parametrize("name", [name for name in NAMES if f"{name}-honest" in NAMES])
def test_the_forms_differ_in_what_time_is_counted_only(name: str) -> None:
    as_coded, honest = (flat(scenario.read(n).table()) for n in (name, f"{name}-honest"))
    for key in as_coded.keys() | honest.keys():
        if as_coded.get(key) != honest.get(key):
            assert key.rpartition(".")[2] in COUNTING, key


def flat(value: object, key: str = "") -> dict[str, object]:
    """Plain values by dotted key."""
    if not isinstance(value, dict | list):
        return {key: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for name, item in items for k, v in flat(item, f"{key}.{name}").items()}


def data(name: str, folder: Path) -> list[str]:
    """The options that say where a preset's files are; skips the test where they are not."""
    match scenario.read(name).table()["problem"]["dataset"]["kind"]:
        case "mnist":
            return ["--set", f"problem.dataset.folder={shared('data/mnist')}"]
        case "cifar10":
            table = f'{{kind="npz", file="{shared(PAIR)}", greyscale=true}}'
            return ["--set", f"problem.dataset={table}"]
        case "image-folder":
            with zipfile.ZipFile(shared(PICTURES)) as archive:
                for file in archive.namelist():
                    if any(f"/{bear}/" in file for bear in BEARS):
                        archive.extract(file, folder)
            classes = ", ".join(f'"{bear}"' for bear in BEARS)
            return [
                "--set",
                f"problem.dataset.folder={folder}",
                "--set",
                f"problem.dataset.classes=[{classes}]",
            ]
    return []


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_short_version_runs_and_learns(desim: Call, tmp_path: Path, name: str) -> None:
    files = data(name, tmp_path / "pictures")
    out = tmp_path / "out"
    ended = desim("run", name, "--out", out, "--seeds", 0, *files, *short(name))
    assert ended.code == 0, ended.err
    metrics = analysis.load(out)
    by_trial = metrics.groupby("trial")["train_loss"]
    learnt = by_trial.agg(lambda losses: losses.iloc[-1] < losses.iloc[0])
    # A relative error with few levels makes the models grow: that is what the preset shows.
    assert learnt[[not trial.startswith("7-levels") for trial in learnt.index]].all()
    figure = next(figure for part, figure in FIGURES.items() if part in name)
    drawn = [path.name for path in (out / "report").glob("*.svg")]
    assert any(file.startswith(figure) for file in drawn), drawn
