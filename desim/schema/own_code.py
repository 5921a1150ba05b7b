"""Classes and functions of the user's own: which they are, and mistakes in them in one line."""

import functools
import sysconfig
from collections.abc import Callable, Iterator
from os import sep
from os.path import isabs
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

from desim.errors import DesimError, ExtensionError
from desim.schema.phrases import one_line

P = ParamSpec("P")
T = TypeVar("T")

_DESIM = f"{Path(__file__).parents[1]}{sep}"

#: Whose classes extensions derive from.
_EXTENDED = ("desim.", "torch.nn.")

#: The attribute that marks exceptions of the caller's own callbacks.
_PASSES_ON = "_passes_desim"

#: Libraries whose own lines are never meant, though classes of desim derive from theirs.
_NEVER = (f"{sep}torch{sep}", f"{sep}simpy{sep}")

#: Where libraries are, whose lines say little to who wrote an extension.
_LIBRARIES = tuple({sysconfig.get_path(key) for key in ("stdlib", "purelib", "platlib")})


def is_own(member: object) -> bool:
    """Whether an object's class is the user's own, rather than one that comes with desim."""
    return not type(member).__module__.startswith("desim.")


def name_of(thing: object) -> str:
    """What an object of the user's own goes by in messages: its class's or its function's name."""
    name = str(getattr(thing, "__qualname__", type(thing).__qualname__))
    return name.rpartition("<locals>.")[2]


def reason(error: BaseException) -> str:
    """An exception in one line: its type, its text and the line of the user's code."""
    place = _place(error)
    told = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return one_line(told) + (f", {place.file}:{place.line}" if place else "")


def named(function: Callable[P, T]) -> Callable[P, T]:
    """A function in which an exception of the user's own code becomes an ExtensionError.

    Errors of desim itself pass: those on purpose, and bugs.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except DesimError:
            raise
        except Exception as error:
            passes = any(hasattr(one, _PASSES_ON) for one in _copies(error))
            place = None if passes else _place(error)
            if place is None:
                raise
            raise ExtensionError(f"{place.name} failed: {reason(error)}") from error

    return call


def passing_on(callback: Callable[P, T]) -> Callable[P, T]:
    """A callback of who called desim: its exceptions are the caller's own, and pass `named`."""

    @functools.wraps(callback)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return callback(*args, **kwargs)
        except Exception as error:
            setattr(error, _PASSES_ON, True)
            raise

    return call


class _Place(NamedTuple):
    """The innermost line of the user's own code.

    Attributes:
        name: of the function that it stands in, or that called it where only this one is an
            extension's or a module's: MyLoss.__call__.
        file, line: where it is.
    """

    name: str
    file: str
    line: int


def _copies(error: BaseException) -> Iterator[BaseException]:
    """The error, and that of which it may be a copy: SimPy raises one, from what a process did."""
    yield error
    while type(error.__cause__) is type(error) and error.__cause__ is not None:
        error = error.__cause__
        yield error


def _place(error: BaseException) -> _Place | None:
    """Where the user's own code went wrong; None where it has no part in it."""
    return next(filter(None, map(_place_in, _copies(error))), None)


def _place_in(error: BaseException) -> _Place | None:
    found, name, extended = None, "", False
    trace = error.__traceback__
    while trace is not None:
        code, owner = trace.tb_frame.f_code, trace.tb_frame.f_locals.get("self")
        extends = any(base.__module__.startswith(_EXTENDED) for base in type(owner).__mro__)
        if _is_theirs(code.co_filename, extends=extends):
            if extends or not extended:
                name = code.co_qualname.rpartition("<locals>.")[2]
            found = _Place(name, code.co_filename, trace.tb_lineno)
            extended = extended or extends
        trace = trace.tb_next
    return found


def _is_theirs(file: str, *, extends: bool) -> bool:
    """Whether a function is the user's: not desim's, nor a library's that doesn't extend desim."""
    # Code that Cython has compiled says a file relative to its package.
    ours = file.startswith((_DESIM, "<frozen")) or not (isabs(file) or file.startswith("<"))
    return not ours and (
        not file.startswith(_LIBRARIES) or (extends and not any(part in file for part in _NEVER))
    )
