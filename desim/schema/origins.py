"""Where code comes from: is it the user's own, or an installed package's?"""

from __future__ import annotations

import dis
import functools
import importlib.util
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

#: The user's "own"; Python's or of a package whose "version" results hold; or of another one that
#: is "installed".
Origin = Literal["own", "version", "installed"]

#: Packages whose versions results hold, and those that check and describe fields.
VERSIONED = ("desim", "numpy", "torch", "pydantic", "pydantic_core", "annotated_types")


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions and classes within."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def global_names(code: types.CodeType) -> Iterator[str]:
    """The names of globals that a code object reads."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            yield step.argval


def imported_names(code: types.CodeType) -> Iterator[str]:
    """The modules that a code object imports."""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            yield step.argval


def file_of_module(name: str, package: str | None) -> str | None:
    """The file of a module that a function imports when it is called."""
    for full in (name, f"{package}.{name}"):
        try:
            spec = importlib.util.find_spec(full)
        except Exception:  # whatever a package does while it is imported
            continue
        if spec is not None:
            return spec.origin
    return None


@functools.cache
def _roots() -> tuple[tuple[Path, Origin], ...]:
    """Folders of installed packages and what is in them; the innermost first."""
    paths = sysconfig.get_paths()
    found: dict[Path, Origin] = {}
    found |= {Path(paths[key]).resolve(): "installed" for key in ("purelib", "platlib")}
    found |= {Path(paths[key]).resolve(): "version" for key in ("stdlib", "platstdlib")}
    for name in VERSIONED:
        file = getattr(sys.modules.get(name), "__file__", None)
        if file:
            found[Path(file).resolve().parent] = "version"
    return tuple(sorted(found.items(), key=lambda item: -len(item[0].parts)))


@functools.cache
def origin(file: str | None, module: str | None) -> Origin:
    """Whose a file and a module are."""
    if (module or "").partition(".")[0] in VERSIONED:
        return "version"
    if file is None:
        builtin = module in sys.builtin_module_names or module in sys.stdlib_module_names
        return "version" if builtin else "own"
    if file.startswith("<frozen "):
        return "version"
    path = Path(file).resolve()
    for root, kind in _roots():
        if path.is_relative_to(root):
            inside = path.relative_to(root).parts[0]
            return "installed" if inside in ("site-packages", "dist-packages") else kind
    return "own"
