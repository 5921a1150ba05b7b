"""Tables of mistakes, and what is said of each."""

import re
from pathlib import Path

import pytest
from tiny import Call, Table, tiny, write

import desim as package

#: What is wrong, and the line; @ stands for the folder with the files, * for anything.
Case = tuple[Table, str]


def under(key: str, lines: list[tuple[Table, str]]) -> list[Case]:
    """Changes to one table, and lines without its key."""
    return [
        ({f"{key}.{name}": value for name, value in fields.items()}, f"{key}{line}")
        for fields, line in lines
    ]


def agrees(said: str, line: str, folder: str) -> bool:
    """Whether a line is as it should be."""
    pattern = re.escape(line).replace("@", re.escape(folder)).replace(r"\*", ".*")
    return re.fullmatch(pattern, said) is not None


def assert_refused(changes: Table, line: str, desim: Call, folder: Path) -> None:
    """The line is said of these changes to a small scenario, in code and by the command."""
    with pytest.raises(package.ScenarioError) as error:
        package.from_table(tiny(changes))
    (said,) = str(error.value).splitlines()
    assert agrees(said, line, ""), said
    # From a file, in which relative paths are meant from its folder.
    complaint = desim("check", write(folder / "bad.toml", changes)).complaint
    assert agrees(complaint, line, f"{folder}/"), complaint
