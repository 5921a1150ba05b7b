"""Where code comes from: is it the user's own, or an installed package's?"""

from __future__ import annotations

import ast
import dis
import functools
import importlib.util
import sys
import sysconfig
import types
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from itertools import zip_longest
from pathlib import Path
from typing import Literal

#: The user's "own"; Python's or of a package whose "version" results hold; or of another one that
#: is "installed".
Origin = Literal["own", "version", "installed"]

#: Packages whose versions results hold, and those that check and describe fields.
VERSIONED = ("desim", "numpy", "torch", "pydantic", "pydantic_core", "annotated_types")


#: What may stand between a name and what is done with it.
_BETWEEN = ("CACHE", "PUSH_NULL", "PRECALL", "EXTENDED_ARG", "NOP")

_ATTRIBUTE = ("LOAD_ATTR", "LOAD_METHOD")


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those of the functions and classes within."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def global_names(code: types.CodeType) -> Iterator[tuple[str, bool]]:
    """The names of globals that a code object reads, and whether for more than an attribute."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in _BETWEEN]
    for step, following in zip_longest(steps, steps[1:]):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            yield step.argval, following is None or following.opname not in _ATTRIBUTE


def imported_names(code: types.CodeType) -> Iterator[str]:
    """The modules that a code object imports."""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            yield step.argval


def own_files(name: str, package: str | None) -> list[Path]:
    """The user's own files of a module that a function imports, and of those that it imports."""
    found: dict[str, Path] = {}
    waiting = [(name, package)]
    while waiting:
        spec = _spec(*waiting.pop())
        if spec is None or spec.name in found or origin(spec.origin, spec.name) != "own":
            continue
        if spec.origin is None or not spec.origin.endswith(".py"):
            continue
        found[spec.name] = Path(spec.origin)
        inside = spec.name if spec.submodule_search_locations else spec.name.rpartition(".")[0]
        waiting += [(one, inside) for one in _imports(found[spec.name])]
    return [found[one] for one in sorted(found)]


def _imports(file: Path) -> Iterator[str]:
    """The names of all that may be modules in a file's imports; relative ones without dots."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = [node.module] if node.module else []
            yield from module
            yield from (".".join([*module, one.name]) for one in node.names)


def _spec(name: str, package: str | None) -> ModuleSpec | None:
    """Where a module is that is imported when a function is called."""
    for full in (name, f"{package}.{name}"):
        try:
            spec = importlib.util.find_spec(full)
        except Exception:  # whatever a package does while it is imported
            continue
        if spec is not None:
            return spec
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
