"""Fashion-MNIST: 60,000 + 10,000 grey images of clothes, 28 x 28 pixels.

Xiao, Rasul, Vollgraf 2017, 'Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms'.
"""

from typing import ClassVar

from desim.tensors.datasets._idx import IDXSet


class FashionMNIST(IDXSet):
    """Clothes in ten classes, from the four official files (IDX); nothing is downloaded."""

    kind: ClassVar[str] = "fashion-mnist"
    names: ClassVar[tuple[str, ...]] = (
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle-boot",
    )
    openml: ClassVar[tuple[str, int]] = ("Fashion-MNIST", 1)
