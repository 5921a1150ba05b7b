"""Digests: equal for equal content in every process, different for every difference."""

import enum
import functools
import itertools
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

import desim
from desim.schema.digest import digest
from desim.schema.files import Files

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def function_of(constant: Any, default: Any, closure: Any, names: dict[str, Any]) -> Any:
    """A function made anew, from its text, with all that one can hold."""
    text = "def made(value):\n def inner(x=None, *, y=None):\n  return helper(x, value), y, 12345\n"
    text += " return inner\ndef helper(*parts): return constant, parts\n"
    scope = {"__name__": "made_up", "constant": constant} | names
    exec(compile(text, "nowhere", "exec"), scope)
    made = scope["made"](closure)
    made.__defaults__, made.__kwdefaults__ = (default,), {"y": default}
    return made


@settings(max_examples=60, deadline=None)
@given(PLAIN, PLAIN)
def test_values(one: object, other: object) -> None:
    assert digest(one) == digest(eval(repr(one), {"nan": float("nan"), "inf": float("inf")}))
    # `repr` tells apart what == doesn't: 1, True and 1.0; 0.0 and -0.0.
    assert (digest(one) == digest(other)) == (repr(one) == repr(other))


@given(st.lists(st.text() | st.integers(), unique=True), st.text())
def test_the_order_of_a_set_does_not_count(items: list[Any], another: str) -> None:
    assert digest(set(items)) == digest(dict.fromkeys(reversed(items)).keys() | set())
    assert (digest({*items, another}) == digest(set(items))) == (another in items)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int64, np.float32, np.float64, np.bool_, np.complex64]),
        arrays.array_shapes(max_dims=3, max_side=4),
    ),
    st.data(),
)
def test_every_byte_of_an_array_counts(array: Any, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, array.nbytes - 1))
    other = array.copy()
    other.reshape(-1).view(np.uint8)[place] ^= 1
    assert digest(array) == digest(array.copy(order="F")) != digest(other)
    assert digest(array.reshape(-1, 1, 1, 1)) != digest(array)
    assert digest(array) != digest(array.tolist())
    if array.dtype == np.float32:
        assert digest(array) != digest(array.view(np.uint32))
        tensor = torch.from_numpy(array.copy())
        assert digest(tensor) == digest(tensor.clone()) != digest(torch.from_numpy(other))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(), min_size=4, max_size=4), st.integers(0, 3))
def test_all_that_a_function_holds_counts(values: list[int], place: int) -> None:
    other = [value + (k == place) for k, value in enumerate(values)]

    def made(numbers: list[int]) -> Any:
        *parts, extra = numbers
        return function_of(*parts, {"unused": extra})

    assert digest(made(values)) == digest(made(values))
    # What it doesn't name is none of its content.
    assert (digest(made(values)) == digest(made(other))) == (place == 3)


SOURCES = {
    "constant": ("lambda x: x + 1", "lambda x: x + 2"),
    "operator": ("lambda x: x + 1", "lambda x: x - 1"),
    "name": ("lambda x: x.sum()", "lambda x: x.mean()"),
    "set": ("lambda x: x in {'a', 'b'}", "lambda x: x in {'a', 'c'}"),
    "inner": ("lambda x: [i + 1 for i in x]", "lambda x: [i + 2 for i in x]"),
    "nested": ("lambda x: (lambda y: y + 1)(x)", "lambda x: (lambda y: y + 2)(x)"),
    "truth": ("lambda: 1", "lambda: True"),
    "float": ("lambda: 0.0", "lambda: -0.0"),
    "arguments": ("lambda x, y: x", "lambda x, *, y: x"),
}


@pytest.mark.parametrize("name", SOURCES)
def test_code(name: str) -> None:
    one, other = (eval(text) for text in SOURCES[name])
    assert digest(one) == digest(eval("\n\n" + SOURCES[name][0]))  # lines don't count
    assert digest(one) != digest(other)


def loop(other: bool) -> Any:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != (1 if other else 0) and even(n - 1)

    odd.__defaults__ = (other,)
    return even


def noted(other: bool) -> Any:
    made = functools.lru_cache(lambda: None)
    made.__wrapped__.mark = other  # type: ignore[attr-defined]
    return made


def own_class(other: bool) -> type:
    class Base:
        held = ({"a": [1 + other]},)

        @property
        def value(self) -> int:
            return 0

        @staticmethod
        def still() -> bool:
            return other

    class Derived(Base):
        pass

    return Derived


def slotted(other: bool) -> Any:
    class Slotted:
        __slots__ = ("x",)

    made = Slotted()
    made.x = other
    return made


def circle(other: bool) -> list[Any]:
    made: list[Any] = [1, other]
    made.append(made)
    return made


def with_hook(other: bool) -> nn.Module:
    made = nn.Identity()
    if other:
        made.register_forward_hook(lambda *_: None)
    return made


def frozen(other: bool) -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(2, 2).requires_grad_(other)


def script(other: bool) -> nn.Module:
    torch.manual_seed(0)
    return torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.Tanh() if other else nn.ReLU()))


def with_private(other: bool) -> type:
    class Private(desim.Metric):
        _factor: float = 1.0 + other

        def value(self, evaluation: Any) -> float:
            return self._factor

    return Private


def prepared(other: bool) -> type:
    factor = 5.0 if other else 1.0

    class Prepared(desim.Metric):
        def model_post_init(self, context: Any) -> None:
            self.__dict__["factor"] = factor

        def value(self, evaluation: Any) -> float:
            return float(self.__dict__["factor"])

    return Prepared


def configured(other: bool) -> type:
    class Configured(desim.Metric):
        model_config = {"title": "b" if other else "a"}  # noqa: RUF012

        def value(self, evaluation: Any) -> float:
            return float(self.model_config["title"] == "a")

    return Configured


class Colour(enum.Enum):
    RED, GREEN, BLUE = 1, 2, 3

    def warm(self) -> bool:
        return self is Colour.RED


class Zone(enum.Enum):
    NORTH, SOUTH, WEST = 1, 2, 3

    def cold(self) -> bool:
        return self is Zone.NORTH


def peers(other: bool) -> Any:
    made = [types.SimpleNamespace(name=name, peers=set()) for name in "abc"]
    for one, name in itertools.product(made, "abc"):
        one.peers.add(Named(name, one))
    made[0].name = "d" if other else "a"
    return made


class Named:
    """Hashed by its address."""

    def __init__(self, name: str, owner: Any) -> None:
        self.name, self.owner = name, owner


@torch.no_grad()
def decorated(o: Any, t: Any) -> Any:
    return o + 1


@torch.no_grad()
def decorated_otherwise(o: Any, t: Any) -> Any:
    return o + 2


#: Makers of a thing, which makes another one if it is told to.
THINGS: dict[str, Any] = {
    "circle of functions": loop,
    "circle": circle,
    "cached function": noted,
    "class": own_class,
    "instance": lambda other: own_class(other)(),
    "slots": slotted,
    "decorated": lambda other: decorated_otherwise if other else decorated,
    "partial": lambda other: functools.partial(max, 1 + other),
    "bound builtin": lambda other: [1 + other].append,
    "generator": lambda other: np.random.default_rng(int(other)),
    "masked array": lambda other: np.ma.array([1, 2], mask=[other, False]),
    "objects": lambda other: np.array([1, "a" if other else "b"], object),
    "scalar": lambda other: np.float32(other),
    "dtype": lambda other: np.dtype(np.int64 if other else np.int32),
    "torch dtype": lambda other: torch.int64 if other else torch.int32,
    "ufunc": lambda other: np.exp if other else np.log,
    "bfloat16": lambda other: torch.tensor([1.0 + other], dtype=torch.bfloat16),
    "sparse": lambda other: torch.eye(2).mul(1 + other).to_sparse(),
    "gradient asked": frozen,
    "training": lambda other: nn.Dropout().train(other),
    "hook": with_hook,
    "layers": lambda other: nn.Sequential(nn.ReLU(), nn.Tanh())[:: -1 if other else 1],
    "script": script,
    "named": lambda other: nn.functional.mse_loss if other else nn.functional.l1_loss,
    "private attribute": with_private,
    "model_post_init": prepared,
    "model_config": configured,
    "set of members": lambda other: {*Zone} if other else {*Colour},
    "sets in a circle": peers,
    "pattern": lambda other: re.compile("a", re.IGNORECASE if other else 0),
    "namespace": lambda other: types.SimpleNamespace(x=other),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", THINGS)
def test_things(name: str) -> None:
    make = THINGS[name]
    one, again, other = (digest(make(which)) for which in (False, False, True))
    assert one == again
    assert one.sha256 != other.sha256
    assert not one.unknown


def test_what_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert digest([file, 1]).unknown == ("_io.TextIOWrapper",)
        assert digest([file, 1]).sha256 != digest([file, 2]).sha256
    assert digest(iter_forever()).unknown == ("generator",)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert digest(deep).unknown == ("what is nested too deeply",)


def iter_forever() -> Any:
    yield 1


def test_a_docstring_says_nothing_of_what_is_done() -> None:
    one, other, third = (
        function_of_text(f'def f(x):\n    "{about}"\n    return x + {number}')
        for about, number in (("a", 1), ("b", 1), ("a", 2))
    )
    assert digest(one) == digest(other) != digest(third)


def function_of_text(text: str, **names: Any) -> Any:
    exec(text, names)
    return names["f"]


def test_a_path_counts_by_what_its_file_holds_wherever_it_is(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w.txt").write_text("1")
    one, other = (
        function_of_text("def f(): return path, __file__", path=path / "w.txt", __file__=str(path))
        for path in (tmp_path / "one", tmp_path / "other")
    )
    assert digest(one) == digest(other)
    (tmp_path / "other" / "w.txt").write_text("2")
    assert digest(one) != digest(other)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "folder" / "b").mkdir(parents=True)
    (tmp_path / "folder" / "b" / "c").write_text("2")
    paths = (tmp_path / "a", tmp_path / "folder")
    before = [Files().digest(path) for path in paths]
    assert before == [Files().digest(path) for path in paths]
    (tmp_path / "a").write_text("2")
    (tmp_path / "folder" / "b" / "c").rename(tmp_path / "folder" / "b" / "d")
    assert all(old != Files().digest(path) for old, path in zip(before, paths, strict=True))
    assert Files().digest(tmp_path / "none") == "nothing there"


@pytest.mark.slow
def test_another_process_with_other_hashes_gives_the_same() -> None:
    text = (
        "import sys, warnings; warnings.simplefilter('ignore'); sys.path.insert(0, 'tests/study')"
    )
    text += "; import test_digests as t; print([t.digest(f(False)) for f in t.THINGS.values()])"
    root = Path(__file__).parents[2]
    said = {
        subprocess.run(
            [sys.executable, "-c", text],
            cwd=root,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1
