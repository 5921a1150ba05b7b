"""What methods have in common whose average is damped by a consensus step epsilon."""

from typing import ClassVar

from desim.algorithms.base import Algorithm


class Consensus(Algorithm):
    """A method that asks for `me.consensus_step()`: epsilon of its step size.

    Of other methods epsilon must be 1, since nothing would come of it.
    """

    axis: ClassVar[str] = "algorithms"
