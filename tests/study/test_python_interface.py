"""desim.run with objects: own module, loss, data and algorithm, in other processes too."""

from itertools import count
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import Field
from tiny import sums
from torch import Tensor, nn

import desim
from desim.studies import study


class Line(nn.Module):
    """y = x w + b with a hidden tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 2), nn.Linear(2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))


class Mixer(desim.Algorithm):
    """DSGD, written in a test."""

    batch: Annotated[int, Field(ge=1)] = 4

    def worker(self, me: desim.Worker) -> desim.Waiting:
        alpha = me.step_size()
        x = me.initial_model()
        for t in count():
            gradient = yield from me.compute(x, self.batch)
            me.broadcast((yield from me.compress(x, desim.Compressor.parse("none"))), tag=t)
            received = yield from me.gather(tag=t)
            x = (yield from me.mix(x, received)) - alpha * gradient
            me.commit(x)


def absolute(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().sum(-1)


def data(samples: int = 80) -> desim.Data:
    random = np.random.default_rng(3)
    x = random.standard_normal((samples, 3))
    y = np.sin(x.sum(1, keepdims=True))
    return desim.Data(x[:60], y[:60], x[60:], y[60:])


def scenario(**problem: object) -> desim.Scenario:
    torch.manual_seed(5)
    step = {"kind": "constant", "alpha": 0.1}
    return desim.Scenario(
        name="mine",
        seeds=[0, 1],
        problem=desim.Problem(
            **{"dataset": data(), "model": Line(), "loss": absolute, "l2": 0.01} | problem
        ),
        cluster=desim.Cluster(
            workers=4, stragglers={"kind": "uniform-speed", "low": 10.0, "high": 10.0}
        ),
        network=desim.Network(
            topology="ring",
            mixing="metropolis",
            link={"kind": "dedicated", "bandwidth_bps": 1000.0},
        ),
        stop=desim.Stop(rounds=20),
        evaluate=desim.Evaluate(every_rounds=5),
        algorithms=[
            Mixer(label="mine", step_size=step),
            desim.Algorithm.parse({"kind": "dsgd", "batch": 4, "step_size": step}),
        ],
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[study.Progress]]:
    reports: list[study.Progress] = []
    out = tmp_path_factory.mktemp("ran") / "results"
    folder = desim.run(scenario(), out, jobs=2, progress=reports.append)
    assert folder == out
    return folder, reports


def metrics(folder: Path, trial: str) -> pd.DataFrame:
    return pq.read_table(folder / "trials" / trial / "metrics.parquet").to_pandas()


def test_objects_travel_to_other_processes(ran: tuple[Path, list[study.Progress]]) -> None:
    folder, _ = ran
    mine, theirs = metrics(folder, "mine-seed0"), metrics(folder, "dsgd-seed0")
    assert mine["round"].tolist() == [0, 5, 10, 15, 20]
    assert mine.train_loss.iloc[-1] < mine.train_loss.iloc[0]
    columns = ["time_s", "samples", "bits_sent"]
    assert mine[columns].equals(theirs[columns])
    # x - alpha g + (mix(x) - x) is the same sum in another order.
    assert mine.train_loss.to_numpy() == pytest.approx(theirs.train_loss.to_numpy(), rel=1e-4)


def test_progress_never_goes_back_and_ends_at_one(
    ran: tuple[Path, list[study.Progress]],
) -> None:
    _, reports = ran
    shares = [now.share for now in reports]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert [now.done for now in reports] == sorted(now.done for now in reports)
    assert (reports[-1].share, reports[-1].done, reports[-1].trials) == (1.0, 4, 4)


def test_one_job_gives_the_same_bytes_and_smooth_progress(
    ran: tuple[Path, list[study.Progress]], tmp_path: Path
) -> None:
    reports: list[study.Progress] = []
    folder = desim.run(scenario(), tmp_path / "one", jobs=1, progress=reports.append)
    assert sums(folder) == sums(ran[0])
    shares = [now.share for now in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(set(shares)) > 4 * 10
    assert {now.done for now in reports} == {0, 1, 2, 3, 4}


def test_the_same_objects_go_on_where_they_stopped(
    ran: tuple[Path, list[study.Progress]],
) -> None:
    folder, _ = ran
    before = sums(folder)
    desim.run(scenario(), folder, jobs=1)
    assert sums(folder) == before
    with pytest.raises(desim.ResultsError, match="holds another scenario"):
        desim.run(scenario(l2=0.02), folder, jobs=1)


def test_simulate_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = desim.simulate(next(scenario().trials()))
    assert outcome.stopped_by == "rounds"
    assert len(outcome.rows) == 5
    assert list(tmp_path.iterdir()) == []


def test_values_and_seeds(tmp_path: Path) -> None:
    values = {"cluster.workers": 5, "stop.rounds": 2}
    folder = desim.run(scenario(), tmp_path / "r", values=values, seeds=[9], jobs=1, train=False)
    assert sorted(path.name for path in (folder / "trials").iterdir()) == [
        "dsgd-seed9",
        "mine-seed9",
    ]
    assert metrics(folder, "mine-seed9").steps.iloc[-1] == 10


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1)), ["1 (BatchNorm1d)"]),
        (nn.Sequential(nn.Linear(7, 1)), ["in 0 (Linear)", "shape (3, 3)"]),
    ],
)
def test_a_module_that_cannot_be_batched(
    module: nn.Module, names: list[str], tmp_path: Path
) -> None:
    with pytest.raises(desim.ModelError) as error:
        desim.run(scenario(model=module), tmp_path / "results", jobs=1)
    text = str(error.value)
    assert text.startswith("problem.model: ")
    assert "\n" not in text
    assert [name for name in names if name not in text] == []
    assert not (tmp_path / "results").exists()


def test_too_few_samples(tmp_path: Path) -> None:
    with pytest.raises(desim.ScenarioError, match="100 workers need 100 training samples"):
        desim.run(scenario(), tmp_path / "r", values={"cluster.workers": 100}, jobs=1)
