"""Where the numbers of a page come from: versions, checksums and the command to repeat them."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from desim.analysis import stored
from desim.analysis.results import mixed_versions
from desim.schema.files import sha256
from desim.schema.results import MANIFEST, SCENARIO


class Provenance(NamedTuple):
    """What it takes to repeat a run and to compare the outcome.

    Attributes:
        facts: names and values in words.
        command: gives the same bytes again.
        checksums: a file below the results folder, its SHA-256.
    """

    facts: list[tuple[str, str]]
    command: str
    checksums: list[tuple[str, str]]


def provenance(root: Path, finished: pd.DataFrame) -> Provenance:
    """Reads the manifests of a study and of its trials.

    Args:
        root: what `desim run` wrote.
        finished: from `trials`.
    """
    table = stored.study(root)
    homes = {trial: root / "trials" / trial for trial in finished["trial"]}
    manifests = {trial: stored.manifest(home) for trial, home in homes.items()}
    options: dict[str, Any] = next(iter(manifests.values()))
    facts = {
        **{name: table[name] for name in ("python", "machine") if name in table},
        **table.get("versions", {}),
        **{name: options[name] for name in ("device", "threads") if name in options},
        **({"trials' versions": mixed} if (mixed := mixed_versions(finished)) else {}),
        "training": "yes" if options["train"] else "no, the clock alone",
    }
    checksums = {"scenario.toml": sha256(root / SCENARIO)}
    for trial, manifest in manifests.items():
        checksums[f"trials/{trial}/manifest.json"] = sha256(homes[trial] / MANIFEST)
        for name, value in manifest["checksums"].items():
            checksums[f"trials/{trial}/{name}"] = value
    return Provenance(
        facts=[(name, str(value)) for name, value in facts.items()],
        command=_command(root, options),
        checksums=list(checksums.items()),
    )


def _command(root: Path, options: dict[str, Any]) -> str:
    words = ["desim", "run", str(root / "scenario.toml"), "--out", f"{root}-again"]
    if not options["train"]:
        words.append("--no-train")
    for name, usual in (("device", "cpu"), ("threads", 1)):
        if options.get(name, usual) != usual:
            words += [f"--{name}", str(options[name])]
    return shlex.join(words)
