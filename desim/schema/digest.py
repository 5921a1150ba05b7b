"""Digests of what a user hands over in code: arrays, functions, classes, modules, instances.

Equal content gives an equal digest in every process: nothing in it depends on an address, on the
seed of Python's hashes, or on where in a file a line stands. What is Python's, numpy's, torch's or
desim's own counts by its name, since results hold their versions; what comes from another installed
package by its name and the bytes of its file; everything else by what it is made of.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from desim.schema.code_hashing import CodeHashing
from desim.schema.files import Files
from desim.schema.origins import origin

#: A set of objects in a set of objects, and so on, so often.
_MOST_SETS = 3

_PLAIN = frozenset(
    map(type, (None, True, 0, 0.0, 0j, "", b"", ..., NotImplemented))  # told by their text
)

_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)


class Digest(NamedTuple):
    """What stands for a content.

    Attributes:
        sha256: of all that could be looked into, in hex.
        unknown: the types of what couldn't, such as an open file.
    """

    sha256: str
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", not digested: ".join([self.sha256, *([", ".join(self.unknown)] * bool(self[1]))])


def digest(value: object, files: Files | None = None) -> Digest:
    """The digest of an object.

    Args:
        value: anything; a `Path` stands for the file or folder that is there.
        files: remembers what files hold; left out, each is read anew.
    """
    walk = _Walk(files or Files())
    try:
        walk.add(value)
    except RecursionError:
        return Digest("", ("what is nested too deeply",))
    return Digest(walk.sha256(), tuple(sorted(walk.unknown)))


class _Walk(CodeHashing):
    """Hashes an object by the hashes of what it is made of.

    A circle ends at the object that is being hashed already, told by how far up it is.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._hash = hashlib.sha256()
        self._known: dict[int, bytes] = {}
        self._kept: list[object] = []  # an address is an object's own as long as it lives
        self._within: dict[int, int] = {}
        self._sets = 0
        self.unknown: set[str] = set()

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, value: object) -> None:
        """Adds any object."""
        if type(value) in _PLAIN:
            self._say(type(value).__name__, hex(value) if isinstance(value, int) else value)
        elif id(value) in self._within:
            self._say("circle", len(self._within) - self._within[id(value)])
        else:
            self._hash.update(self._of(value))

    def _of(self, value: object) -> bytes:
        place = id(value)
        if place not in self._known:
            self._kept.append(value)
            outer, self._hash = self._hash, hashlib.sha256()
            self._within[place] = len(self._within)
            self._made_of(value)
            del self._within[place]
            self._known[place], self._hash = self._hash.digest(), outer
        return self._known[place]

    def _made_of(self, value: object) -> None:
        for kind, add in self._KINDS:
            if isinstance(value, kind):
                add(self, value)
                return
        if not self._tensor_or_module(value):
            self._reduced(value)

    def _say(self, tag: str, *parts: object) -> None:
        """Adds words, each with its length, so that no two lists of words are alike."""
        for part in (tag, *parts):
            data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            self._hash.update(b"%d:" % len(data))
            self._hash.update(data)

    def _list(self, tag: str, values: Iterable[object]) -> None:
        items = list(values)
        self._say(tag, len(items))
        for item in items:
            self.add(item)

    def _dict(self, value: dict[Any, Any]) -> None:
        self._list(type(value).__name__, (part for item in value.items() for part in item))

    def _sequence(self, value: list[Any] | tuple[Any, ...]) -> None:
        if type(value) in (list, tuple):
            self._list(type(value).__name__, value)
        else:
            self._reduced(value)

    def _set(self, value: set[Any] | frozenset[Any]) -> None:
        """The order of a set changes from process to process.

        Each item is hashed as if it were the first: what circles are said of an object depends on
        where they were entered.
        """
        if self._sets == _MOST_SETS and not all(type(item) in _PLAIN for item in value):
            self.unknown.add("sets of objects in sets of objects")
            return
        parts, known, outer = [], self._known, self._hash
        self._sets += 1
        for item in value:
            self._known, self._hash = {}, hashlib.sha256()
            self.add(item)
            parts.append(self._hash.digest())
        self._sets -= 1
        self._known, self._hash = known, outer
        self._say("set", *sorted(parts))

    def _array(self, value: npt.NDArray[Any]) -> None:
        if type(value) is not np.ndarray:
            self._reduced(value)
        elif value.dtype.hasobject:
            self._say("array", value.dtype, value.shape)
            self._list("objects", value.ravel().tolist())
        else:
            self._say("array", value.dtype.descr, value.shape)
            self._hash.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)

    def _scalar(self, value: np.generic) -> None:
        self._say("scalar", value.dtype.descr, value.tobytes())

    def _path(self, value: Path) -> None:
        """A file by what it holds, wherever it is; a folder, which may hold anything, by name."""
        self._say("path", self._files.digest(value) if value.is_file() else value.name)

    def _pattern(self, value: re.Pattern[Any]) -> None:
        self._list("pattern", (value.pattern, value.flags))

    def _member(self, value: enum.Enum) -> None:
        self.add(type(value))
        self._say("member", value.name)
        self.add(value.value)

    def _referred(self, value: weakref.ReferenceType[Any]) -> None:
        self.add(value())

    def _attributes(self, tag: str, values: dict[str, Any]) -> None:
        """Attributes by name: their order says nothing."""
        self._say(tag, len(values))
        for name in sorted(values):
            self._say("attribute", name)
            self.add(values[name])

    def _tensor_or_module(self, value: Any) -> bool:
        torch = sys.modules.get("torch")  # an object of it exists only where it has been imported
        if torch is None:
            return False
        if isinstance(value, torch.Tensor):
            self._tensor(value)
        elif isinstance(value, torch.jit.ScriptModule):
            parts = value.named_modules()
            self._list("script", ((k, getattr(part, "code", None)) for k, part in parts))
            self._list("state", value.state_dict().items())
        elif isinstance(value, torch.nn.Module):
            self.add(type(value))
            usual = vars(torch.nn.Module())
            kept = {
                k: v for k, v in vars(value).items() if k not in usual or (v or k == "training")
            }
            self._attributes("module", kept)
        else:
            return False
        return True

    def _tensor(self, value: Any) -> None:
        if type(value).__module__.partition(".")[0] != "torch":
            self.add(type(value))
        self._say("tensor", value.dtype, tuple(value.shape), value.requires_grad)
        try:
            plain = value.detach().cpu()
            plain = plain if str(plain.layout) == "torch.strided" else plain.to_dense()
            self._hash.update(plain.contiguous().reshape(-1).view(_bytes()).numpy())
        except (RuntimeError, TypeError):  # a lazy or quantized one, a subclass of its own kind
            self._unknown(value)

    def _reduced(self, value: object) -> None:
        """An instance by what a pickle would hold of it."""
        try:
            parts = value.__reduce_ex__(4)
        except Exception:  # whatever a class's own way to be pickled raises
            self._unknown(value)
            return
        if isinstance(parts, str):  # the name of a global
            self._named("global", type(value).__module__, parts)
            return
        make, arguments, *state = parts
        if make.__module__ == "copyreg":  # its name is all that it tells
            self._say("instance", make.__qualname__)
        else:
            self.add(make)
        self.add(arguments)
        for part in state:
            if isinstance(part, dict):
                self._attributes("state", part) if _named_by_words(part) else self.add(part)
            else:
                self.add(list(part) if isinstance(part, Iterator) else part)

    def _unknown(self, value: object) -> None:
        kind = type(value)
        self.unknown.add(f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."))
        self._say("unknown", kind.__module__, kind.__qualname__)

    def _named(self, tag: str, module: str | None, name: str, file: str | None = None) -> None:
        """What comes with an installed package, by its name."""
        self._say(tag, module, name)
        if file is None:
            file = getattr(sys.modules.get(module or ""), "__file__", None)
        if file and origin(file, module) != "version":
            self._say("file", self._files.digest(Path(file)))

    _KINDS: tuple[tuple[Any, Callable[[_Walk, Any], None]], ...] = (
        (enum.Enum, _member),
        (dict, _dict),
        ((list, tuple), _sequence),
        ((set, frozenset), _set),
        (np.ndarray, _array),
        (np.generic, _scalar),
        (Path, _path),
        (re.Pattern, _pattern),
        (types.FunctionType, CodeHashing._function),
        (types.CodeType, CodeHashing._code),
        (types.MethodType, CodeHashing._method),
        (functools.partial, CodeHashing._partial),
        (types.BuiltinFunctionType, CodeHashing._builtin),
        (types.ModuleType, CodeHashing._module),
        ((np.ufunc, *_DESCRIPTORS), CodeHashing._native),
        (weakref.ReferenceType, _referred),
        ((staticmethod, classmethod, functools._lru_cache_wrapper), CodeHashing._wrapper),
        (functools.cached_property, CodeHashing._wrapper),
        (property, CodeHashing._property),
        (type, CodeHashing._class),
    )


def _named_by_words(table: dict[Any, Any]) -> bool:
    return all(isinstance(key, str) for key in table)


def _bytes() -> Any:
    return sys.modules["torch"].uint8
