"""Compares the wheel of the checkout with that of its source distribution, and what these hold.

    python .ci/compare_packages.py CHECKOUT.whl SDIST.whl SDIST.tar.gz

The checkout is the working folder: what git tracks there is to be in the source distribution.
"""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

#: Links to folders at the top of the repository; packages hold their files in place of the links.
LINKS = {"analysis": "desim/analysis", "scenarios": "desim/scenarios"}
#: Of the repository alone.
LEFT_OUT = {".gitignore", *LINKS.values()}


def contents(wheel: str) -> dict[str, bytes]:
    """Every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def regular_files(sdist: str) -> set[str]:
    """The files of a source distribution, below its folder, that are no links."""
    with tarfile.open(sdist) as archive:
        return {entry.name.partition("/")[2] for entry in archive if entry.isfile()}


def tracked() -> set[str]:
    """What git tracks, where packages hold it; pictures beside the scenarios are the README's."""
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
    files = set()
    for name in set(listed.stdout.splitlines()) - LEFT_OUT:
        top, _, rest = name.partition("/")
        moved = top in LINKS and PurePosixPath(name).suffix != ".png"
        files.add(f"{LINKS[top]}/{rest}" if moved else name)
    return files


def main() -> None:
    """Prints what was compared; ends with a line for each difference and exit code 1."""
    checkout, rebuilt, sdist = sys.argv[1:]
    ours, theirs = contents(checkout), contents(rebuilt)
    wrong = [
        f"{name}: differs between the wheels of the checkout and of the source distribution"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    of_desim = ("desim/", f"{'-'.join(Path(checkout).name.split('-')[:2])}.dist-info/")
    wrong += [f"{name}: not below desim" for name in ours if not name.startswith(of_desim)]
    files = tracked()
    wrong += [f"{name}: missing in {sdist}" for name in sorted(files - regular_files(sdist))]
    wrong += [
        f"{name}: missing in {checkout}"
        for name in sorted(files - ours.keys())
        if name.startswith("desim/")
    ]
    print(f"{len(ours)} files in the wheel, {len(files)} tracked files in the source distribution")
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
