"""Random numbers that depend on their name alone."""

from typing import get_args

import numpy as np
import pytest
from scipy import stats

from desim.streams import Purpose, Streams

PURPOSES = get_args(Purpose)


def test_a_name_gives_the_same_numbers_alone_or_among_others():
    together = Streams(7).uniforms("speed", np.arange(5)[:, None], np.arange(9))
    for worker in range(5):
        for step in range(9):
            assert Streams(7).uniforms("speed", worker, step)[0] == together[worker, step]


def test_a_generator_gives_the_same_numbers_whatever_was_drawn_before():
    streams = Streams(3)
    first = streams.generator("partition", 4, 2).random(10)
    streams.generator("graph").random(1000)
    np.testing.assert_array_equal(streams.generator("partition", 4, 2).random(10), first)
    assert not np.isin(streams.generator("partition", 2, 4).random(10), first).any()


def test_every_part_of_a_name_counts():
    # 3 seeds x 10 purposes x 4 workers x 4 steps x 4 draws: a repeated 64-bit word would be chance
    # of 1e-13.
    grid = np.arange(4)
    words = [
        Streams(seed).words(purpose, grid[:, None, None], grid[:, None], grid)
        for seed in (0, 1, 2)
        for purpose in PURPOSES
    ]
    flat = np.concatenate([block.ravel() for block in words])
    assert len(np.unique(flat)) == len(flat) == 3 * 10 * 64


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_numbers_along_each_part_of_a_name_are_uniform(axis):
    # Kolmogorov-Smirnov over 50,000 names that differ in one part only; a fixed seed, so that the
    # p-value is one number: it must not be one in a thousand.
    name = [np.zeros(1, int)] * 3
    name[axis] = np.arange(50_000)
    numbers = Streams(1).uniforms("speed", *name)
    assert 0 <= numbers.min() < numbers.max() < 1
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_neighbouring_names_are_independent():
    # Chi-square on a 16 x 16 table of (number, the next number along a part of the name).
    numbers = Streams(5).uniforms("samples", np.arange(300)[:, None], np.arange(300))
    next_worker = numbers[:-1].ravel(), numbers[1:].ravel()
    next_step = numbers[:, :-1].ravel(), numbers[:, 1:].ravel()
    for one, other in (next_worker, next_step):
        table = np.histogram2d(one, other, bins=16, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(table.ravel()).pvalue > 1e-3


@pytest.mark.parametrize("pair", [("speed", "samples"), ("dither", "speed"), ("link", "graph")])
def test_purposes_are_independent(pair):
    one, other = (Streams(5).uniforms(purpose, 3, np.arange(60_000)) for purpose in pair)
    # Uncorrelated numbers have a correlation of 1 / sqrt(60,000) in standard deviation.
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / 60_000**0.5


def test_neighbouring_seeds_are_independent():
    one, other = (Streams(seed).uniforms("speed", 0, np.arange(60_000)) for seed in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / 60_000**0.5
