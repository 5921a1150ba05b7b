"""Images from folders: one folder a class, JPEG or PNG files in it."""

import warnings
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.errors import ScenarioError
from desim.schema.paths import regular
from desim.schema.phrases import one_line, short
from desim.tensors.datasets._images import (
    Header,
    Images,
    ImageSet,
    Part,
    default_folder,
    held_out,
)
from desim.tensors.memory import in_gb, memory_bytes

_ENDINGS = (".jpg", ".jpeg", ".png")
_TEST = ("val", "test")


class ImageFolder(ImageSet):
    """Class folders of JPEG and PNG files, read as red, green and blue.

    Either folder/train/CLASS/* with folder/val/CLASS/* or folder/test/CLASS/* for testing, or
    folder/CLASS/* with a share of them held out. Classes and files come in the order of their
    names, so the samples are sorted by class. All must fit into the machine's memory. With `resize`
    each image is scaled by itself; without it all must have one size.

    Attributes:
        folder: a relative path is meant from the scenario's folder, or from the working folder for
            a scenario built in code; left out, image-folder in $DESIM_DATA or ~/.cache/desim.
        test_fraction: where there is no val or test folder: the share of images kept for testing,
            every image whose number is a multiple of 1 / test_fraction, rounded.
    """

    kind: ClassVar[str] = "image-folder"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"folder": "images"},)

    folder: str | None = None
    test_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.2

    def where(self) -> str:
        """The folder."""
        return f"problem.dataset.folder = {str(self._folder())!r}"

    def content_paths(self) -> dict[str, tuple[Path, ...]]:
        """The folder, where none is named, too."""
        return {"folder": (self._folder(),)}

    def _folder(self) -> Path:
        return default_folder(self.kind) if self.folder is None else Path(self.folder)

    def header(self) -> Header:
        """The names of the folders, and the size of the first image."""
        names = tuple(home.name for home in self._class_folders(self._train_folder()))
        first = self._files(self._train_folder(), names[:1])[0][0]
        height, width = self.resize or self._open(first, pixels=False)
        return Header(3, height, width, names)

    def read(self) -> Images:
        """All the images of the classes to keep."""
        header = self.header()
        kept = tuple(header.names[label] for label in self._kept(header))
        files = self._files(self._train_folder(), kept)
        for name in _TEST:
            if self._train_folder() != self._folder() and (self._folder() / name).is_dir():
                others = self._files(self._folder() / name, kept)
                self._check_memory(header, len(files) + len(others))
                return Images(header, self._part(header, files), self._part(header, others))
        self._check_memory(header, len(files))
        train = self._part(header, files)
        held = held_out(len(train.y), self.test_fraction)
        parts = (Part(train.x[rows], train.y[rows]) for rows in (~held, held))
        return Images(header, *parts)

    def _check_memory(self, header: Header, images: int) -> None:
        """All images are in memory at once, as they are and as the floats that they become."""
        pixels = header.height * header.width
        size_bytes = images * pixels * (header.channels + 4 * (1 if self.greyscale else 3))
        if size_bytes > memory_bytes():
            raise ScenarioError(
                f"{self.where()}: {images:,} images of {header.height} x {header.width} pixels "
                f"take {in_gb(size_bytes)}; must be at most the {in_gb(memory_bytes())} of this "
                "machine, with a smaller resize or fewer classes"
            )

    def _train_folder(self) -> Path:
        """Either the folder itself, or `train` in it."""
        train = self._folder() / "train"
        return train if train.is_dir() else self._folder()

    def _class_folders(self, home: Path) -> list[Path]:
        found = self._listed(home)
        classes = [path for path in found if path.is_dir() and not path.name.startswith(".")]
        if len(classes) < 2:
            raise ScenarioError(
                f"{self.where()}: must hold a folder of images for each of at least two classes, "
                f"and {home} holds {len(classes)}"
            )
        return classes

    def _listed(self, home: Path) -> list[Path]:
        try:
            return sorted(home.iterdir())
        except OSError as error:
            raise ScenarioError(
                f"{self.where()}: can't be read ({error}); must hold train/CLASS/*.jpg and "
                "val/CLASS/*.jpg, or CLASS/*.jpg; name it with --set problem.dataset.folder=..."
            ) from None

    def _files(self, home: Path, names: tuple[str, ...]) -> list[tuple[Path, str]]:
        """Every image with its class."""
        known = [path.name for path in self._class_folders(home)]
        found = []
        for name in sorted(names):
            files = self._listed(home / name) if name in known else []
            images = [file for file in files if file.suffix.lower() in _ENDINGS]
            if not images:
                raise ScenarioError(
                    f"{self.where()}: {home / name} holds no image; must hold files that end in "
                    f"{', '.join(_ENDINGS)}"
                )
            found += [(file, name) for file in images]
        return found

    def _part(self, header: Header, files: list[tuple[Path, str]]) -> Part:
        x = np.empty((len(files), *header[:3]), np.uint8)
        for i, (file, _) in enumerate(files):
            x[i] = self._open(file, size=(header.height, header.width))
        y = np.array([header.names.index(name) for _, name in files], np.int64)
        return Part(x, y)

    def _open(self, file: Path, *, pixels: bool = True, size: tuple[int, int] = (0, 0)) -> Any:
        """An image's (height, width), or its pixels (3, height, width)."""
        from PIL import Image  # not needed by other data sets

        try:
            with warnings.catch_warnings():
                # Pillow only warns of an image whose pixels might fill the memory.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(regular(file), formats=("JPEG", "PNG")) as image:
                    if not pixels:
                        return image.height, image.width
                    found = image.convert("RGB")
        except Exception as error:  # a broken image may raise nearly anything
            raise ScenarioError(
                f"{self.where()}: {file} can't be read as a JPEG or PNG ({one_line(error)}); "
                "replace or remove it"
            ) from None
        if self.resize:
            found = found.resize(size[::-1], Image.Resampling.BOX)
        if (found.height, found.width) != size:
            raise ScenarioError(
                f"{self.where()}: {file} has {found.height} x {found.width} pixels and the first "
                f"image {size[0]} x {size[1]}; give resize = {short(list(size))}"
            )
        return np.asarray(found).transpose(2, 0, 1)
