"""The scenarios that come with desim."""

from importlib import resources
from pathlib import Path


def bundled() -> dict[str, Path]:
    """The scenarios that come with desim, by name."""
    folder = Path(str(resources.files("desim.scenarios")))
    found = {p.relative_to(folder).with_suffix("").as_posix(): p for p in folder.rglob("*.toml")}
    return dict(sorted(found.items()))
