"""Which samples a step uses: with replacement, or in reshuffled epochs."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from desim.streams import Streams
from desim.tensors.samples import Sampler

SHARDS = [np.arange(0, 10), np.arange(10, 17), np.arange(100, 150)]


def sampler(sampling, seed=0):
    return Sampler(Streams(seed), SHARDS, sampling)


def node(worker, step=0, position=0, batch=1):
    return SimpleNamespace(worker=worker, step=step, position=position, batch=batch)


def walk(worker, batches, seed=0):
    """The samples that a worker uses in a sequence of batches."""
    source, position, used = sampler("epochs", seed), 0, []
    for step, batch in enumerate(batches):
        chosen, _ = source.batch([node(worker, step, position, batch)], batch)
        used += chosen[0].tolist()
        position += batch
    return used


@pytest.mark.parametrize("batches", [[10] * 6, [3] * 20, [7, 1, 12, 25, 4, 11], [1] * 60, [60]])
def test_every_epoch_visits_every_sample_exactly_once_across_batches(batches):
    used = walk(0, batches)
    assert len(used) == 60
    for epoch in range(6):
        assert sorted(used[10 * epoch : 10 * epoch + 10]) == list(range(10))


def test_the_order_depends_on_the_position_and_not_on_the_batches():
    assert walk(1, [5] * 7) == walk(1, [3, 8, 1, 13, 10]) == walk(1, [35])


def test_epochs_are_reshuffled_and_workers_and_seeds_differ():
    used = walk(2, [50] * 3)
    assert used[:50] != used[50:100] != used[100:]
    assert walk(2, [50], seed=1) != used[:50]
    first = [sample - 100 for sample in used[:10]]
    assert walk(0, [10]) != first


@pytest.mark.parametrize("sampling", ["replacement", "epochs"])
def test_a_batch_is_the_same_alone_or_padded_among_others(sampling):
    nodes = [node(0, 4, 8, 3), node(1, 0, 0, 9), node(2, 7, 44, 12)]
    chosen, weights = sampler(sampling).batch(nodes, 12)
    assert chosen.shape == weights.shape == (3, 12)
    for row, each in enumerate(nodes):
        alone, equal = sampler(sampling).batch([each], each.batch)
        np.testing.assert_array_equal(chosen[row, : each.batch], alone[0])
        np.testing.assert_allclose(equal, 1 / each.batch)
        np.testing.assert_allclose(weights[row, : each.batch], 1 / each.batch)
        assert (weights[row, each.batch :] == 0).all()
        # Padding comes from the worker's own samples too.
        assert np.isin(chosen[row], SHARDS[each.worker]).all()
    np.testing.assert_allclose(weights.sum(1), 1)


def test_with_replacement_all_samples_are_equally_frequent():
    # 20,000 draws from 50 samples; chi-square, seed fixed.
    chosen, _ = sampler("replacement").batch([node(2, step, 0, 20) for step in range(1000)], 20)
    counts = np.bincount(chosen.ravel() - 100, minlength=50)
    assert counts.sum() == 20_000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_with_replacement_samples_repeat_within_a_batch_as_often_as_chance_has_it():
    # 7 samples, batches of 2: equal once in 7; 2,000 batches, standard error .0078.
    chosen, _ = sampler("replacement").batch([node(1, step, 0, 2) for step in range(2000)], 2)
    assert (chosen[:, 0] == chosen[:, 1]).mean() == pytest.approx(1 / 7, abs=5 * 0.0078)


def test_with_replacement_a_step_has_its_samples_whatever_its_position():
    one, other = (
        sampler("replacement").batch([node(2, 5, position, 8)], 8)[0] for position in (0, 77)
    )
    np.testing.assert_array_equal(one, other)


def test_a_larger_batch_begins_with_the_samples_of_a_smaller_one():
    # Deadline-based and fixed batches share their samples: comparisons are paired.
    small, large = (
        sampler("replacement").batch([node(2, 5, 0, batch)], batch)[0][0] for batch in (5, 12)
    )
    np.testing.assert_array_equal(large[:5], small)
