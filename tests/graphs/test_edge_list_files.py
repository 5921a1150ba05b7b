"""A graph from a file."""

import pytest

from desim.errors import ScenarioError
from desim.streams import Streams
from desim.topologies.edge_list import EdgeList


@pytest.fixture
def build(tmp_path):
    def build(text, workers=4, **fields):
        path = tmp_path / "graph.txt"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return EdgeList(file=str(path), **fields).build(workers, Streams(0).generator("graph"))

    return build


def test_comments_blank_lines_and_repeated_edges_do_no_harm(build):
    graph = build("# a square with a diagonal\n0 1\n1 2 # two\n\n  2\t3\n3 0\n0 3\n0 2\n")
    assert [row.tolist() for row in graph.neighbours] == [[1, 2, 3], [0, 2], [0, 1, 3], [0, 2]]


def test_a_line_of_a_directed_list_goes_one_way(build):
    lines = "0 1\n1 2\n2 0\n0 2\n2 3\n3 2\n"
    graph = build(lines, directed=True)
    assert graph.directed
    assert [row.tolist() for row in graph.targets] == [[1, 2], [2], [0, 3], [2]]
    assert [row.tolist() for row in graph.neighbours] == [[2], [0], [0, 1, 3], [2]]
    assert not build(lines).directed


def test_a_directed_list_must_lead_back(build):
    with pytest.raises(ScenarioError, match=r"is not strongly connected on 3 workers \(3 parts\)"):
        build("0 1\n1 2\n", workers=3, directed=True)


def test_windows_line_ends_are_read(build):
    assert build("0 1\r\n1 2\r\n", workers=3).degrees.tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("0 1 2", "must be two worker numbers"),
        ("0", "must be two worker numbers"),
        ("0 x", "must be two worker numbers"),
        ("0 -1", "must be two worker numbers"),
        ("0 1.5", "must be two worker numbers"),
        ("2 2", "must name two different workers below cluster.workers = 4"),
        ("0 4", "must name two different workers below cluster.workers = 4"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_the_rule(build, line, rule):
    with pytest.raises(ScenarioError) as error:
        build(f"0 1\n1 2\n{line}\n2 3\n")
    text = str(error.value)
    assert "network.topology.file = " in text
    assert "graph.txt" in text
    assert f"line 3: {line!r} {rule}" in text


def test_a_missing_file_is_named(tmp_path):
    path = str(tmp_path / "nowhere.txt")
    with pytest.raises(ScenarioError, match=r"network\.topology\.file = .*nowhere.*can't be read"):
        EdgeList(file=path).build(3, Streams(0).generator("graph"))


def test_a_file_that_is_no_text_is_named(build):
    with pytest.raises(ScenarioError, match=r"network\.topology\.file = .*can't be read"):
        build(b"\xff\xfe\x00")


def test_a_worker_without_an_edge_is_noticed(build):
    with pytest.raises(ScenarioError, match=r"is not connected on 4 workers \(2 parts\)"):
        build("0 1\n1 2\n")
