"""A function's digest has what it may use of the user's own modules, however it gets at it."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from test_digests import function_of_text

from desim.schema.digest import digest

USES = [
    "def f(x): return used.far * x",
    "def f(x): return take(used) * x",
    "def f(x): return getattr(used, 'far') * x",
    "def f(x): return many[0].far * x",
    "def f(x):\n    from used import far\n    return far * x",
    "def f(x):\n    import used\n    return used.near() * x",
]


@pytest.mark.parametrize("text", USES)
def test_a_module_that_is_used_in_any_way(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "used.py").write_text("from farther import far\ndef near(): return far\n")
    said = []
    for number in (1, 1, 2):
        (tmp_path / "farther.py").write_text(f"far = 1.0 * {number}\n")
        for name in ("used", "farther"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        used = importlib.import_module("used")
        used.far = float(number)  # whatever a cache of byte code holds
        names = {"used": used, "take": take_far, "many": [used], "__name__": "own"}
        said.append(digest(function_of_text(text, **names)))
    assert said[0] == said[1] != said[2]


def take_far(module: Any) -> Any:
    return module.far
