"""MNIST: 60,000 + 10,000 grey images of handwritten digits, 28 x 28 pixels.

LeCun, Bottou, Bengio, Haffner 1998, 'Gradient-Based Learning Applied to Document Recognition'.
"""

from typing import ClassVar

from desim.tensors.datasets._idx import IDXSet


class MNIST(IDXSet):
    """Handwritten digits, from the four official files (IDX); nothing is downloaded."""

    kind: ClassVar[str] = "mnist"
    names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    openml: ClassVar[tuple[str, int]] = ("mnist_784", 1)
