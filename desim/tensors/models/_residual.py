"""A residual block with group normalisation."""

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """relu(x' + norm(conv(relu(norm(conv(x)))))), x' = x or, where the shape changes, a 1 x 1
    convolution of it.

    Args:
        before, after: channels.
        stride: of the first convolution.
        groups: of the normalisations.
    """

    def __init__(self, before: int, after: int, stride: int, groups: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
            nn.GroupNorm(groups, after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.GroupNorm(groups, after),
        )
        same = before == after and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(before, after, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images (batch, before, h, w) to (batch, after, h / stride, w / stride)."""
        return torch.relu(self.short(x) + self.path(x))
