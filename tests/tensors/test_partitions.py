"""Partitions: everyone gets what was asked for, and nobody the same."""

import numpy as np
import pytest
import torch
from builders import examples, label, problem
from scipy import stats

from desim.errors import ScenarioError
from desim.streams import Streams
from desim.tensors.partitions.iid import IID
from desim.tensors.problem import Problem

TARGETS = np.arange(600) % 10


def deal(partition, workers=12, each=40, seed=0, targets=TARGETS):
    return partition.deal(targets, workers, each, Streams(seed).generator("partition"))


@pytest.mark.parametrize("partition", examples("partitions"), ids=label)
def test_shards_have_the_size_asked_for_and_do_not_overlap(partition):
    for workers, each in [(12, 40), (12, 50), (1, 600), (600, 1)]:
        shards = deal(partition, workers, each)
        assert [len(shard) for shard in shards] == [each] * workers
        dealt = np.concatenate(shards)
        assert len(np.unique(dealt)) == workers * each
        assert 0 <= dealt.min() <= dealt.max() < len(TARGETS)


@pytest.mark.parametrize("partition", examples("partitions"), ids=label)
def test_a_seed_deals_the_same_and_another_seed_otherwise(partition):
    one, same, other = (np.stack(deal(partition, seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_iid_shards_have_all_classes_alike():
    # 10 workers x 10 classes, 60 samples of each class: chi-square, seed fixed.
    table = [np.bincount(TARGETS[shard], minlength=10) for shard in deal(IID(), 10, 60)]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_iid_takes_a_random_part_where_not_all_is_used():
    used = np.concatenate(deal(IID(), 10, 30))
    assert stats.kstest(used / 600, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(("each", "workers"), [(30, 10), (None, 301), (301, 1), (1, 301)])
def test_too_few_samples_are_refused_with_the_counts(each, workers):
    given = problem(samples=300) if each is None else problem(samples=300, samples_per_worker=each)
    if each == 30:
        assert len(given.deal(given.dataset.load(), workers, Streams(0))) == 10
        return
    with pytest.raises(ScenarioError) as error:
        given.deal(given.dataset.load(), workers, Streams(0))
    text = str(error.value)
    wanted = each or 1
    assert f"problem.samples_per_worker = {wanted}: {workers} workers need" in text
    assert f"{wanted * workers} training samples, the data set has 300" in text
    assert f"at most {300 // workers} per worker, or {300 // wanted} workers" in text


def test_left_out_samples_per_worker_uses_as_many_as_there_are_for_all():
    given = problem(samples=100)
    assert [len(s) for s in given.deal(given.dataset.load(), 7, Streams(0))] == [14] * 7


def test_the_objective_is_over_what_somebody_holds_and_nothing_else():
    given = Problem(dataset="digits", model="softmax", samples_per_worker=20)
    task = given.task(5, Streams(0), torch.device("cpu"))
    data = given.dataset.load()
    shards = given.deal(data, 5, Streams(0))
    assert len(task.train_y) == 100
    for places, shard in zip(task.shards, shards, strict=True):
        np.testing.assert_array_equal(task.train_y[places].numpy(), data.train_y[shard])
        np.testing.assert_allclose(task.train_x[places].numpy(), data.train_x[shard], rtol=1e-6)
