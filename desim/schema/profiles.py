"""Profiles of hardware and networks: measured or published numbers, one TOML file each.

The first line of a file is a comment that says what it is; each number has its source in a comment.
"""

from importlib import resources
from pathlib import Path
from typing import Any, Literal

from desim.schema.paths import anchored, regular
from desim.schema.phrases import short, spelled, suggest
from desim.schema.toml_lines import parsed

Kind = Literal["hardware", "network"]


def names(kind: Kind) -> list[str]:
    """The profiles that come with desim, in alphabetical order."""
    return sorted(path.stem for path in _folder(kind).glob("*.toml"))


def path_of(kind: Kind, name: str) -> Path:
    """The file of a profile that comes with desim.

    Raises:
        ValueError: there is none with this name.
    """
    known = names(kind)
    if name not in known:
        raise ValueError(f"profile = {short(name)}: no such profile; {suggest(name, known)}")
    return _folder(kind) / f"{name}.toml"


def read(kind: Kind, name: str) -> dict[str, Any]:
    """The table of a profile that comes with desim; SI units, bits and seconds.

    Raises:
        ValueError: there is none with this name.
    """
    return read_file(path_of(kind, name))


def read_file(path: str | Path) -> dict[str, Any]:
    """The table of a profile of one's own; its values are not checked here.

    Raises:
        ValueError: one line that names the file, which can't be read, is no TOML or is empty.
    """
    file = spelled(str(path))
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: can't be read ({error})") from None
    try:
        table = parsed(text)
    except ValueError as error:
        raise ValueError(f"{file}: is no TOML: {error}") from None
    try:
        table = anchored(table, Path(path).resolve().parent)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if not table:
        raise ValueError(f"{file}: is empty; a profile gives at least one value, key = number")
    return table


def about(kind: Kind, name: str) -> str:
    """What a profile is: its file's first line, for `desim list`.

    Raises:
        ValueError: there is none with this name.
    """
    first, _, _ = path_of(kind, name).read_text(encoding="utf-8").partition("\n")
    return first.removeprefix("#").strip()


def _folder(kind: Kind) -> Path:
    return Path(str(resources.files("desim"))) / "profiles" / kind
