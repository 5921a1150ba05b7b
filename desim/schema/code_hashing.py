"""How the digests of `digest` see code: functions, classes, modules, and what they refer to."""

from __future__ import annotations

import dis
import functools
import re
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from desim.schema.files import Files
from desim.schema.origins import codes, global_names, imported_names, origin, own_files
from desim.schema.phrases import without_addresses

#: What Python and pydantic add to a class, which says nothing of what it does or says it twice.
_NOT_CONTENT = re.compile(
    r"__(dict|weakref|module|doc|abstractmethods|firstlineno|static_attributes|annotate\w*"
    r"|signature|class_vars|private_attributes|dataclass_\w+|pydantic_\w+|classcell)__"
    r"|_abc_impl|model_(fields|computed_fields)|__annotations_cache__"
)

#: Names that Python gives every module.
_DUNDER = re.compile(r"__\w+__")


class CodeHashing(ABC):
    """The part of a walk through an object that hashes code."""

    _files: Files

    @abstractmethod
    def add(self, value: object) -> None:
        """Adds any object."""

    @abstractmethod
    def _say(self, tag: str, *parts: object) -> None: ...

    @abstractmethod
    def _list(self, tag: str, values: Iterable[object]) -> None: ...

    @abstractmethod
    def _attributes(self, tag: str, values: dict[str, Any]) -> None: ...

    @abstractmethod
    def _named(self, tag: str, module: str | None, name: str, file: str | None = None) -> None: ...

    def _function(self, value: types.FunctionType) -> None:
        module = str(value.__globals__.get("__name__", ""))
        if origin(value.__code__.co_filename, module) != "own":
            # `wraps` may have given it another function's name, and that function is within.
            self._named("function", module, value.__code__.co_qualname)
        elif "_torchdynamo_orig_callable" in vars(value):  # what torch.compile was given
            self._list("compiled", (vars(value)["_torchdynamo_orig_callable"],))
            return
        else:
            self.add(value.__code__)
            self._list("defaults", value.__defaults__ or ())
            self._attributes("keyword defaults", value.__kwdefaults__ or {})
            self._globals(value)
        self._list("closure", (_content(cell) for cell in value.__closure__ or ()))
        self._attributes("attributes", vars(value))

    def _globals(self, value: types.FunctionType) -> None:
        """What the names in a function's code stand for, and the modules that it imports."""
        inside = list(codes(value.__code__))
        words = sorted({word for code in inside for word in code.co_names})
        read = {name: whole for code in inside for name, whole in global_names(code)}
        for code in inside:  # as a value anywhere is as a value
            read |= {name: True for name, whole in global_names(code) if whole}
        for name in sorted(read):
            if name in value.__globals__ and not _DUNDER.fullmatch(name):
                found = value.__globals__[name]
                self._say("global", name)
                if isinstance(found, types.ModuleType) and not read[name]:
                    self._used_of(found, words)
                else:
                    self.add(found)
        package = value.__globals__.get("__package__")
        for name in sorted({name for code in inside for name in imported_names(code)}):
            self._say("import", name)
            for file in own_files(name, package):
                self._say("file", self._files.digest(file))

    def _used_of(self, module: types.ModuleType, words: list[str], *within: str) -> None:
        """What of a module of the user's own a function's code may use."""
        self._say("module", module.__name__)
        file = getattr(module, "__file__", None)
        if origin(file, module.__name__) != "own" or module.__name__ in within:
            return
        for name in words:
            if name in vars(module):
                self._say("of module", name)
                found = vars(module)[name]
                if isinstance(found, types.ModuleType):
                    self._used_of(found, words, module.__name__, *within)
                else:
                    self.add(found)

    def _module(self, value: types.ModuleType) -> None:
        """A module as a value: any of it may be used."""
        file = getattr(value, "__file__", None)
        if origin(file, value.__name__) != "own":
            self._named("module", value.__name__, "", file)
            return
        self._say("whole module", value.__name__)
        names = {k: v for k, v in vars(value).items() if not _DUNDER.fullmatch(k)}
        self._attributes("names", names)

    def _code(self, value: types.CodeType) -> None:
        self._say("code", value.co_name, value.co_code, value.co_flags, value.co_exceptiontable)
        self._say("arguments", value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount)
        for names in (value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars):
            self._say("names", len(names), *names)
        used = {step.arg for step in dis.get_instructions(value) if step.opcode in dis.hasconst}
        # The first constant is the docstring, where no instruction uses it.
        told = value.co_consts if 0 in used else value.co_consts[1:]
        self._list("constants", told)

    def _method(self, value: types.MethodType) -> None:
        self._list("method", (value.__func__, value.__self__))

    def _partial(self, value: functools.partial[Any]) -> None:
        self._list("partial", (value.func, value.args, value.keywords))
        self._attributes("attributes", vars(value))

    def _builtin(self, value: types.BuiltinFunctionType) -> None:
        self._named("builtin", value.__module__, value.__qualname__)
        if not isinstance(value.__self__, types.ModuleType | type(None)):
            self.add(value.__self__)

    def _native(self, value: Any) -> None:
        """A ufunc, or what a class written in C, or a slot, gives its instances."""
        owner = getattr(value, "__objclass__", np)
        self._say("native", getattr(owner, "__module__", ""), owner.__name__, value.__name__)

    def _wrapper(self, value: Any) -> None:
        """staticmethod, classmethod, a cached function or property: the function in it."""
        inner = value.__wrapped__ if hasattr(value, "__wrapped__") else value.func
        self._list(type(value).__name__, (inner,))

    def _property(self, value: property) -> None:
        self._list("property", (value.fget, value.fset, value.fdel))

    def _class(self, value: type) -> None:
        file = getattr(sys.modules.get(value.__module__), "__file__", None)
        if origin(file, value.__module__) != "own":
            self._named("class", value.__module__, value.__qualname__, file)
            return
        self._say("class", value.__qualname__)
        self._list("bases", (type(value), *value.__bases__))
        content = {k: v for k, v in vars(value).items() if not _NOT_CONTENT.fullmatch(k)}
        said = content.pop("__annotations__", None)
        if said:
            self._say("annotations", *(without_addresses(f"{k}: {v}") for k, v in said.items()))
        self._attributes("class attributes", content)
        if is_dataclass(value):
            fields = dataclass_fields(value)
            self._list("fields", ((f.name, f.default, f.default_factory) for f in fields))
        for name, field in vars(value).get("__pydantic_fields__", {}).items():
            self._say("field", name, without_addresses(repr(field.annotation)))
            self._list("rules", (field.default, field.default_factory, field.metadata))

        for name, kept in vars(value).get("__private_attributes__", {}).items():
            self._say("private", name)
            self._list("rules", (kept.default, kept.default_factory))


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # its variable has no value yet
        return "empty"
