"""Recorded speeds: read from CSV and parquet, followed exactly, refused with file and row."""

import sys
from math import inf, nan

import numpy as np
import pandas as pd
import pytest
import tomli_w
from builders import setting, simulate
from clusters import cluster_of, complaint, scenario_table

from desim.cli import main as cli
from desim.clock.stragglers.trace import Trace
from desim.schema.tables import NumberTable
from desim.streams import Streams

HEADER = "worker,start_s,speed\n"

#: Worker 0 halves its speed at 2 and doubles the first at 5; worker 1 stands still from 1 to 4.
ROWS = [(0, 0, 1.0), (1, 0, 1.0), (0, 2, 0.5), (1, 1, 0.0), (0, 5, 2.0), (1, 4, 1.0)]


def frame(rows=ROWS):
    return pd.DataFrame(rows, columns=["worker", "start_s", "speed"])


@pytest.fixture(params=["csv", "parquet"])
def write(request, tmp_path):
    """Writes rows into a file of either kind."""

    def file(rows=ROWS):
        path = tmp_path / f"speeds.{request.param}"
        table = rows if isinstance(rows, pd.DataFrame) else frame(rows)
        if request.param == "csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path)
        return str(path)

    return file


@pytest.fixture
def csv(tmp_path):
    """Writes a text into a file."""

    def file(text):
        path = tmp_path / "speeds.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return file


def trial(file, method, stop, workers=2, **changes):
    trace = {"kind": "trace", "file": file, **changes}
    return simulate(
        setting(
            method,
            workers=workers,
            topology="complete",
            stragglers=trace,
            hardware={"speed_sps": 1.0},
            stop=stop,
        )
    )


# What a trace means.


def test_durations_by_hand(write):
    run = trial(write(), {"kind": "async-dsgd", "batch": 3}, {"time_s": 10.5})
    # Worker 0: 2 samples by 2 and one more in 2 s; 0.5 by 5 and 2.5 in 1.25 s; then 1.5 s each.
    assert run.spans("compute", 0) == [(0, 4), (4, 6.25), (6.25, 7.75), (7.75, 9.25)]
    # Worker 1: 1 by 1, a pause until 4, 2 more by 6.
    assert run.spans("compute", 1) == [(0, 6), (6, 9)]


def test_batches_by_a_deadline_by_hand(write):
    run = trial(write(), {"kind": "quantimed-dsgd", "deadline_s": 3.0}, {"rounds": 3})
    assert run.rows("compute", 0).samples.tolist() == [2, 3, 6]
    assert run.rows("compute", 1).samples.tolist() == [1, 2, 3]


def test_the_last_speed_holds(write):
    speed = Trace(file=write()).speed(Streams(0), 0)
    assert speed.work_s(0, 5.0, 1e6) == 2e6
    assert speed.duration_s(1, 1e6, 2e6) == 1e6


def test_a_trace_that_repeats(write):
    # A period of 6 s: 2 + 1.5 + 2 = 5.5 for worker 0, 3 for worker 1.
    trace = Trace(file=write(), repeat_s=6.0)
    ahead, exact = trace.speed(Streams(0), 0), trace.speed(Streams(0), 0)
    assert ahead.work_s(0, 0.0, 6.0) == 5.5
    assert ahead.work_s(1, 6.0, 3.0) == 2.5
    assert ahead.work_s(2, 9.0, 600.0) == 550
    assert exact.duration_s(0, 0.0, 5.5) == 6
    assert exact.duration_s(1, 6.0, 2.5) == 3
    assert exact.duration_s(2, 9.0, 5.5) == 6
    assert trace.speed(Streams(0), 1).duration_s(0, 0.0, 300.0) == 600


def test_repeats_do_not_drift(csv):
    # 0.1 is more than a tenth in binary; added up 100,000 times it would be 1e-8 too much.
    trace = Trace(file=csv(HEADER + "0,0,1\n0,0.05,3\n1,0,1\n"), repeat_s=0.1)
    speed = trace.speed(Streams(0), 0)
    assert speed.work_s(0, 9999.9, 0.1) == pytest.approx(0.2, rel=1e-9)
    assert speed.work_s(0, 10_000.0, 0.05) == pytest.approx(0.05, rel=1e-9)


def test_a_repeat_in_the_simulator(write):
    run = trial(write(), {"kind": "async-dsgd", "batch": 11}, {"time_s": 25}, repeat_s=6.0)
    assert run.spans("compute", 0) == [(0, 12), (12, 24)]
    # 3 a period: 9 by 18, and 2 more in the next, of which the second begins at 22.
    assert run.spans("compute", 1) == [(0, 23)]


def test_a_worker_that_stands_still_at_first(write):
    rows = [(0, 0, 0.0), (0, 7, 2.0), (1, 0, 1.0)]
    run = trial(write(rows), {"kind": "dsgd", "batch": 3}, {"rounds": 2})
    assert run.spans("compute", 0) == [(0, 8.5), (8.5, 10)]


def test_a_worker_that_stands_still_at_last_is_waited_for_in_vain(write):
    rows = [(0, 0, 1.0), (0, 7, 0.0), (1, 0, 1.0)]
    run = trial(write(rows), {"kind": "dsgd", "batch": 3}, {"rounds": 5})
    assert (run.outcome.stopped_by, run.outcome.rows[-1].steps) == ("stalled", 4)


def test_csv_and_parquet_give_the_same_doubles(tmp_path):
    rng = np.random.default_rng(0)
    speeds = rng.lognormal(size=200) * 10.0 ** rng.integers(-9, 9, 200)
    starts_s = np.concatenate([[0], np.cumsum(rng.exponential(size=99)) / 3] * 2)
    table = frame(zip(np.repeat([0, 1], 100), starts_s, speeds, strict=True))
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    one, other = (Trace(file=str(tmp_path / f"a.{kind}")).workers for kind in ("csv", "parquet"))
    np.testing.assert_array_equal(np.array(one), np.array(other))
    np.testing.assert_array_equal(one[1][1], speeds[100:])


def test_csv_as_people_write_it(csv):
    text = "\ufeffnote, worker ,start_s,speed\r\nfast,0,0,1.5\r\n\r\n,1, 0 , 2e0\r\n\r\n\r\n"
    trace = Trace(file=csv(text))
    assert [speeds.tolist() for _, speeds in trace.workers] == [[1.5], [2.0]]


def test_seeds_make_no_difference(write):
    trace = Trace(file=write())
    one, other = (trace.speed(Streams(seed), 0).work_s(0, 0.0, 7.3) for seed in (0, 1))
    assert one == other


def test_mean_speeds(write):
    # Until the last row's beginning: worker 0 3.5 in 5 s, worker 1 1 in 4 s.
    trace = Trace(file=write())
    assert [trace.mean_speed_of(i) for i in (0, 1)] == [0.7, 0.25]
    assert trace.mean_speed() == pytest.approx((0.7 + 0.25) / 2)
    assert trace.mean_slowdown() == pytest.approx(2 / (0.7 + 0.25))
    # Until the end of a period of 6 s.
    trace = Trace(file=write(), repeat_s=6.0)
    assert [trace.mean_speed_of(i) for i in (0, 1)] == pytest.approx([5.5 / 6, 0.5])
    # One row, or a worker that hasn't begun when the record ends.
    trace = Trace(file=write([(0, 0, 3.0), (1, 0, 0.0), (1, 9, 1.0)]))
    assert [trace.mean_speed_of(i) for i in (0, 1)] == [3.0, 0.0]
    assert trace.mean_slowdown() == pytest.approx(2 / 3)
    assert Trace(file=write([(0, 0, 0.0), (0, 9, 1.0)])).mean_slowdown() == inf


# What is refused.

GOOD = "0,0,1\n1,0,1\n"
BAD_CSV = [
    # cells
    (GOOD + "0,3,nan\n", ", line 4: speed = 'nan': must be a finite number"),
    (GOOD + "0,nan,1\n", ", line 4: start_s = 'nan': must be a finite number"),
    (GOOD + "0,3,inf\n", ", line 4: speed = 'inf': must be a finite number"),
    (GOOD + "0,3,fast\n", ", line 4: speed = 'fast': must be a finite number"),
    (GOOD + "one,3,1\n", ", line 4: worker = 'one': must be a finite number"),
    (GOOD + "0,3,\n", ", line 4: speed = '': must be a finite number"),
    (GOOD + "0,3\n", ", line 4: speed = '': must be a finite number"),
    (GOOD + '0,3,"a\nb"\n', ", line 4: speed = 'a\\nb': must be a finite number"),
    (GOOD + f"0,3,{'x' * 200}\n", f", line 4: speed = '{'x' * 56}...: must be a finite number"),
    # workers
    (GOOD + "-1,0,1\n", ", line 4: worker = -1: must be a whole number from 0"),
    (GOOD + "0.5,0,1\n", ", line 4: worker = 0.5: must be a whole number from 0"),
    (
        GOOD + "2,0,1\n",
        ", line 4: worker = 2: unknown, the cluster has 2 workers, numbered from 0",
    ),
    (
        "1e30,0,1\n" + GOOD,
        ", line 2: worker = 1e+30: unknown, the cluster has 2 workers, numbered from 0",
    ),
    ("1,0,1\n", ": has no row of worker 0; must have some of each"),
    ("0,0,1\n", ": has rows of 1 workers only, the cluster has 2"),
    # times
    (
        GOOD + "0,4,1\n0,3,2\n",
        ", line 5: start_s = 3: must be later than in the worker's row before",
    ),
    (
        GOOD + "0,4,1\n0,4,2\n",
        ", line 5: start_s = 4: must be later than in the worker's row before",
    ),
    (GOOD + "1,0,2\n", ", line 4: start_s = 0: must be later than in the worker's row before"),
    (GOOD + "0,-4,1\n", ", line 4: start_s = -4: must not be negative"),
    ("1,0,1\n0,4,1\n", ", line 3: start_s = 4: a worker's first row must start at 0"),
    # speeds
    (GOOD + "0,4,-2\n", ", line 4: speed = -2: must not be negative"),
    ("0,0,1\n1,0,0\n1,5,0\n", ": worker 1 has speed 0 in all rows; it must work at some time"),
    # blank lines are lines
    ("\n0,0,1\n\n\n1,0,x\n\n", ", line 6: speed = 'x': must be a finite number"),
    # the whole file
    ("", ": is empty; must have at least one row"),
    ("\n \n,,\n", ": is empty; must have at least one row"),
    ("0,0,1,7\n1,0,1,7\n", ": can't be read (lines have more cells than line 1 has names)"),
    ("0,0,1,\n1,0,1,\n", ": can't be read (lines have more cells than line 1 has names)"),
]


@pytest.mark.parametrize(("rows", "said"), BAD_CSV, ids=lambda value: value[:30])
def test_a_bad_row_is_one_clear_line(rows, said, csv):
    file = csv(HEADER + rows)
    line = complaint(workers=2, stragglers={"kind": "trace", "file": file})
    assert line == f"cluster.stragglers.file = {file!r}{said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "can't be read (No columns to parse from file)"),
        ("worker,start_s\n0,0\n", "has no column 'speed'; must have worker, start_s, speed"),
        ("0,0,1\n1,0,1\n", "has no column 'worker'; must have worker, start_s, speed"),
        (
            "worker;start_s;speed\n0;0;1\n",
            "has no column 'worker'; must have worker, start_s, speed",
        ),
        (
            "Worker,start_s,speed\n0,0,1\n",
            "has no column 'worker'; must have worker, start_s, speed",
        ),
    ],
)
def test_a_file_without_the_columns(text, said, csv):
    file = csv(text)
    line = complaint(workers=2, stragglers={"kind": "trace", "file": file})
    assert line == f"cluster.stragglers.file = {file!r}: {said}"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe\x00\x01", "can't decode byte 0xff"),
        (b"\x1f\x8b\x08\x00packed", "can't decode byte 0x8b"),
        (HEADER.encode() + b'0,0,"1\n', "EOF inside string"),
        (HEADER.encode() + b"0,0,1\n1,0,1,7\n", "line 3"),
    ],
)
@pytest.mark.parametrize("name", ["speeds.csv", "speeds.parquet", "speeds.csv.gz"])
def test_a_file_that_cannot_be_read(content, said, name, tmp_path):
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
        said = "" if name.endswith("parquet") else said
    line = complaint(workers=2, stragglers={"kind": "trace", "file": str(file)})
    assert line.startswith(f"cluster.stragglers.file = {str(file)!r}: can't be read (")
    assert said in line


@pytest.mark.parametrize("name", ["", ".", "nowhere/speeds.csv"])
def test_a_path_that_is_no_file(name):
    line = complaint(workers=2, stragglers={"kind": "trace", "file": name})
    assert line.startswith(f"cluster.stragglers.file = {name!r}: can't be read (")


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("speed", [1.0, nan], ", row 2: speed = nan: must be a finite number"),
        ("speed", [1.0, -inf], ", row 2: speed = -inf: must be a finite number"),
        ("speed", [1.0, -2.0], ", row 2: speed = -2: must not be negative"),
        ("speed", ["1.0", "x"], ", row 2: speed = 'x': must be a finite number"),
        ("speed", [None, 1.0], ", row 1: speed = nan: must be a finite number"),
        ("speed", [[1.0], [2.0]], ", row 1: speed = [1.]: must be a finite number"),
        ("worker", pd.array([0, None], "Int64"), ", row 2: worker = nan: must be a finite number"),
        (
            "worker",
            [0, 2],
            ", row 2: worker = 2: unknown, the cluster has 2 workers, numbered from 0",
        ),
    ],
    ids=str,
)
def test_bad_parquet_is_one_clear_line(column, values, said, tmp_path):
    file = str(tmp_path / "speeds.parquet")
    good = frame([(0, 0, 1.0), (1, 0, 1.0)])
    good.assign(**{column: values}).to_parquet(file)
    line = complaint(workers=2, stragglers={"kind": "trace", "file": file})
    assert line == f"cluster.stragglers.file = {file!r}{said}"


@pytest.mark.parametrize("times", [pd.to_timedelta([0, 0]), pd.to_datetime([0, 0])], ids=type)
def test_times_that_are_no_numbers_are_not_taken_for_their_ticks(times, tmp_path):
    file = str(tmp_path / "speeds.parquet")
    frame([(0, 0, 1.0), (1, 0, 1.0)]).assign(start_s=times).to_parquet(file)
    line = complaint(workers=2, stragglers={"kind": "trace", "file": file})
    assert line.startswith(f"cluster.stragglers.file = {file!r}: column 'start_s' holds ")
    assert line.endswith("; must hold numbers")


def test_empty_parquet_and_no_parquet(tmp_path):
    file = str(tmp_path / "speeds.parquet")
    frame([]).to_parquet(file)
    stragglers = {"kind": "trace", "file": file}
    line = complaint(workers=2, stragglers=stragglers)
    assert line == f"cluster.stragglers.file = {file!r}: is empty; must have at least one row"
    frame().drop(columns="start_s").to_parquet(file)
    assert "has no column 'start_s'; must have" in complaint(workers=2, stragglers=stragglers)
    (tmp_path / "speeds.parquet").write_text(HEADER + GOOD)
    assert ": can't be read (" in complaint(workers=2, stragglers=stragglers)


def test_rows_beyond_the_repeat(write):
    file = write([(0, 0, 1.0), (1, 0, 1.0), (1, 6, 1.0)])
    line = complaint(workers=2, stragglers={"kind": "trace", "file": file, "repeat_s": 6.0})
    where = "line 4" if file.endswith("csv") else "row 3"
    assert line == (
        f"cluster.stragglers.file = {file!r}, {where}: start_s = 6: must be before repeat_s = 6"
    )
    line = complaint(workers=2, stragglers={"kind": "trace", "file": file, "repeat_s": 0})
    assert line.startswith("cluster.stragglers.repeat_s = 0: must be greater than 0")


def test_too_few_and_too_many_workers(write):
    stragglers = {"kind": "trace", "file": write()}
    assert cluster_of(workers=2, stragglers=stragglers).size == 2
    assert "has rows of 2 workers only, the cluster has 3" in complaint(
        workers=3, stragglers=stragglers
    )
    many = {"kind": "trace", "file": write([(i, 0, 1.0) for i in range(5)])}
    assert "worker = 2: unknown, the cluster has 2 workers" in complaint(workers=2, stragglers=many)


def test_a_trace_of_one_kind_of_machine_is_named_by_its_place(csv):
    file = csv(HEADER + "0,0,x\n")
    machines = [
        {"speed_sps": 3.0, "count": 1},
        {"speed_sps": 3.0, "count": 1, "stragglers": {"kind": "trace", "file": file}},
    ]
    line = complaint(hardware=machines)
    assert line.startswith(f"cluster.hardware.1.stragglers.file = {file!r}, line 2: speed = 'x'")


def test_the_command_line_ends_with_one_line_and_code_2(csv, tmp_path, monkeypatch, capfd):
    file = csv(HEADER + GOOD + "0,1,-3\n")
    table = scenario_table(workers=2, stragglers={"kind": "trace", "file": "speeds.csv"})
    (tmp_path / "bad.toml").write_text(tomli_w.dumps(table))
    monkeypatch.setattr(sys, "argv", ["desim", "run", str(tmp_path / "bad.toml")])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capfd.readouterr()
    assert ended.value.code == 2
    assert said.err == (
        f"desim: cluster.stragglers.file = {file!r}, line 4: speed = -3: must not be negative\n"
    )


def test_a_table_reads_only_the_columns_it_is_asked_for(csv):
    table = NumberTable(csv("a,b,c\n1,x,2.5\n3,y,4.5\n"), ("a",), ("c",))
    assert {key: column.tolist() for key, column in table.columns.items()} == {
        "a": [1.0, 3.0],
        "c": [2.5, 4.5],
    }
