"""The module of the quadratic problem."""

import torch
from torch import Tensor, nn


class Point(nn.Module):
    """A point x; forward(theta) = sqrt(h) * (x - theta).

    Args:
        curvatures: h, shape (dimension,).
    """

    roots: Tensor

    def __init__(self, curvatures: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(len(curvatures)))
        self.register_buffer("roots", curvatures.sqrt())

    def forward(self, theta: Tensor) -> Tensor:
        """The scaled distance (batch, dimension) from each theta (batch, dimension)."""
        return self.roots * (self.x - theta)
