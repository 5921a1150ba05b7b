"""What methods in rounds have in common that only average models: the absent can be left out."""

from typing import ClassVar

from desim.algorithms.parts.absence import Absence
from desim.algorithms.parts.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor


class Averaging(Absence, Rounds):
    """A method in rounds that averages models.

    Attributes:
        compressor: Q, what is done to the models that are sent.

    With `absent = "skip"` a global barrier waits for all workers that are there.
    """

    axis: ClassVar[str] = "algorithms"

    compressor: Compressor = NoCompressor()
