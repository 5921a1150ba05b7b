"""A fabricated results folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fabricated import Fabricator


@pytest.fixture
def fabricate(tmp_path: Path) -> Callable[..., Fabricator]:
    def build(*labels: str) -> Fabricator:
        return Fabricator(tmp_path / "results", labels)

    return build
