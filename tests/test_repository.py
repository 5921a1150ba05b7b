"""What is written down twice in the repository agrees: versions, checks, axes."""

import re
import tomllib
from pathlib import Path

import pytest

from desim.schema.registry import AXES

ROOT = Path(__file__).parents[1]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_package_citation_and_changelog_have_one_version() -> None:
    version = tomllib.loads(text("pyproject.toml"))["project"]["version"]
    assert re.findall(r"(?m)^version: (.+)$", text("CITATION.cff")) == [version]
    released = re.findall(r"(?m)^## (\d\S*) - \d{4}-\d{2}-\d{2}$", text("CHANGELOG.md"))
    assert released[0] == version


def test_the_hooks_are_the_check_without_its_tests() -> None:
    *_, block = text(".ci/check").split("\n\n")
    commands = block.strip().splitlines()
    assert commands[-1] == "pytest"
    assert re.findall(r"entry: (.+)", text(".pre-commit-config.yaml")) == commands[:-1]


@pytest.mark.parametrize("axis", AXES)
def test_contributing_says_where_members_and_their_tests_are(axis: str) -> None:
    (row,) = re.findall(rf"(?m)^\| {axis} \| (.+) \|$", text("CONTRIBUTING.md"))
    folder, *tests = re.findall(r"`([\w/.]+)`", row)
    assert folder.rstrip("/").replace("/", ".") == AXES[axis]
    assert tests
    for name in tests:
        assert (ROOT / name).is_file(), name


def test_no_file_is_longer_than_400_lines() -> None:
    folders = (ROOT / name for name in ("desim", "analysis", "tests"))
    files = (file for folder in folders for file in folder.rglob("*.py"))
    lines = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(lines) > 400
    assert {str(file): count for file, count in lines.items() if count > 400} == {}
