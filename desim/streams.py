"""Random numbers named by (seed, purpose, worker, step).

No generator is shared, so a draw depends on its name alone: neither the algorithm, nor the order
of evaluation, nor the number of processes changes it. The k-th step of a worker is equally slow
under every method, which makes comparisons paired.

Small draws come from SplitMix64 (Steele, Lea, Flood 2014: 'Fast splittable pseudorandom number
generators'), which is evaluated for many names in one vectorised call; large ones from numpy's
SFC64, seeded by SplitMix64.
"""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Purpose = Literal[
    "graph",
    "partition",
    "initial model",
    "samples",
    "speed",
    "link",
    "dither",
    "faults",
    "choices",
    "dropout",
]
Words = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(z: Words) -> Words:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


def _child(state: Words, name: npt.ArrayLike) -> Words:
    """The `name`-th output of the SplitMix64 stream that starts at `state`."""
    # At least one dimension: numpy warns of the wrap-around in scalars only.
    return _mix(state + (np.atleast_1d(name).astype(np.uint64) + np.uint64(1)) * _GOLDEN)


class Streams:
    """All the random numbers of one trial.

    Args:
        seed: the trial's seed, a non-negative integer.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        # One word per purpose; SeedSequence spreads neighbouring seeds far apart.
        state = np.random.SeedSequence(seed).generate_state(len(get_args(Purpose)), np.uint64)
        words = state.astype(np.uint64)
        self._keys = {purpose: words[i : i + 1] for i, purpose in enumerate(get_args(Purpose))}

    def words(
        self, purpose: Purpose, worker: npt.ArrayLike, step: npt.ArrayLike, draw: npt.ArrayLike
    ) -> Words:
        """Independent 64-bit words, one per name.

        The three arguments are broadcast together; the result has at least one dimension.
        """
        return _child(_child(_child(self._keys[purpose], worker), step), draw)

    def uniforms(
        self, purpose: Purpose, worker: npt.ArrayLike, step: npt.ArrayLike, draw: npt.ArrayLike = 0
    ) -> npt.NDArray[np.float64]:
        """Uniform numbers in [0, 1), one per name, with 53 random bits."""
        words = self.words(purpose, worker, step, draw) >> np.uint64(11)
        return words.astype(np.float64) * 2.0**-53

    def generator(self, purpose: Purpose, worker: int = 0, step: int = 0) -> np.random.Generator:
        """A numpy generator of its own for one name."""
        seed = [int(word) for word in self.words(purpose, worker, step, np.arange(4))]
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
