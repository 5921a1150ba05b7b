"""Partitions: everyone gets what was asked for, and nobody the same."""

import numpy as np
import pytest
import torch
from builders import examples, label, problem
from scipy import stats

from desim.errors import ScenarioError
from desim.streams import Streams
from desim.tensors.partitions.contiguous import Contiguous
from desim.tensors.partitions.dirichlet import Dirichlet
from desim.tensors.partitions.iid import IID
from desim.tensors.partitions.shards import Shards
from desim.tensors.problem import Problem

TARGETS = np.arange(600) % 10


def assign(partition, workers=12, each=40, seed=0, targets=TARGETS):
    return partition.assign(targets, workers, each, Streams(seed).generator("partition"))


@pytest.mark.parametrize("partition", examples("partitions"), ids=label)
def test_shards_have_the_size_asked_for_and_do_not_overlap(partition):
    for workers, each in [(12, 40), (12, 50), (1, 600), (600, 1)]:
        shards = assign(partition, workers, each)
        assert [len(shard) for shard in shards] == [each] * workers
        assigned = np.concatenate(shards)
        assert len(np.unique(assigned)) == workers * each
        assert 0 <= assigned.min() <= assigned.max() < len(TARGETS)


@pytest.mark.parametrize("partition", examples("partitions"), ids=label)
def test_a_seed_deals_the_same_and_another_seed_otherwise(partition):
    one, same, other = (np.stack(assign(partition, seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() == (partition.kind != "contiguous")


def test_iid_shards_have_all_classes_alike():
    # 10 workers x 10 classes, 60 samples of each class: chi-square, seed fixed.
    table = [np.bincount(TARGETS[shard], minlength=10) for shard in assign(IID(), 10, 60)]
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_iid_takes_a_random_part_where_not_all_is_used():
    used = np.concatenate(assign(IID(), 10, 30))
    assert stats.kstest(used / 600, "uniform").pvalue > 1e-3


def class_counts(shards, targets=TARGETS):
    return np.array([np.bincount(targets[shard], minlength=10) for shard in shards])


def test_contiguous_is_the_order_of_the_data_set():
    assert [shard.tolist() for shard in assign(Contiguous(), 3, 2)] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(("each_gets", "most_classes"), [(1, 1), (2, 2), (3, 3)])
def test_a_worker_with_few_shards_has_few_classes(each_gets, most_classes):
    # 60 samples of each class, and shards of 12, 6 or 4 samples: none spans two classes.
    shards = assign(Shards(shards_per_worker=each_gets), 50, 12)
    counts = class_counts(shards)
    assert (counts > 0).sum(1).max() == most_classes
    assert set((counts % (12 // each_gets)).ravel()) == {0}
    assert (counts.sum(0) == 60).all()


def test_shards_are_dealt_at_random():
    # 600 assigns of 20 shards, 2 a worker, two shards a class: the second shard of worker 0 is of
    # the class of its first with probability 1 / 19.
    partition = Shards()
    alike = sum(
        (class_counts(assign(partition, 10, 60, seed)[:1]) > 0).sum() == 1 for seed in range(600)
    )
    assert alike == pytest.approx(600 / 19, abs=5 * (600 / 19) ** 0.5)


def test_shards_that_cannot_be_equal_differ_by_one_sample():
    shards = assign(Shards(shards_per_worker=3), 10, 7)
    assert [len(shard) for shard in shards] == [7] * 10


def test_shards_of_a_part_of_the_data_have_all_classes():
    assert (class_counts(assign(Shards(), 10, 20)).sum(0) > 5).all()


def test_dirichlet_shares_have_the_mean_and_variance_of_their_law():
    # With far more samples than are used, counts / m have the mean 1 / C and the variance
    # (C - 1) / (C^2 (C alpha + 1)) of Dir(alpha, ..., alpha), plus that of the multinomial.
    targets, alpha, classes, each = np.arange(100_000) % 4, 0.5, 4, 50
    counts = [
        np.bincount(targets[shard], minlength=classes)
        for seed in range(20)
        for shard in assign(Dirichlet(alpha=alpha), 50, each, seed, targets)
    ]
    shares = np.array(counts) / each
    law = (classes - 1) / classes**2 / (classes * alpha + 1)
    drawn = (1 / classes * (1 - 1 / classes) - law) / each
    # 1,000 workers: standard errors of the mean, and of a variance whose law has kurtosis < 3.
    np.testing.assert_allclose(shares.mean(0), 1 / classes, atol=5 * (law / 1000) ** 0.5)
    np.testing.assert_allclose(shares.var(0), law + drawn, rtol=5 * (2 / 1000) ** 0.5)


def test_dirichlet_goes_from_one_class_each_to_all_classes_alike():
    targets = np.arange(6000) % 10  # so many that no class runs out
    few, many = (
        class_counts(assign(Dirichlet(alpha=a), 5, 50, targets=targets), targets)
        for a in (1e-4, 1e6)
    )
    assert ((few > 0).sum(1) == 1).all()
    assert stats.chi2_contingency(many).pvalue > 1e-3


def test_where_a_class_has_run_out_dirichlet_takes_what_is_left():
    # Everybody wants a single class, and everything is used.
    counts = class_counts(assign(Dirichlet(alpha=1e-4), 6, 100))
    assert (counts.sum(0) == 60).all()
    assert (counts.sum(1) == 100).all()


@pytest.mark.parametrize("partition", [Shards(), Dirichlet(alpha=1.0)], ids=label)
def test_numbers_to_predict_cannot_be_dealt_by_class(partition):
    given = problem(partition=partition)
    with pytest.raises(ScenarioError) as error:
        given.assign(given.dataset.load(), 5, Streams(0))
    assert f"problem.partition = '{partition.kind}': assigns by class" in str(error.value)
    assert "use iid or contiguous" in str(error.value)


@pytest.mark.parametrize(("each", "workers"), [(30, 10), (None, 301), (301, 1), (1, 301)])
def test_too_few_samples_are_refused_with_the_counts(each, workers):
    given = problem(samples=300) if each is None else problem(samples=300, samples_per_worker=each)
    if each == 30:
        assert len(given.assign(given.dataset.load(), workers, Streams(0))) == 10
        return
    with pytest.raises(ScenarioError) as error:
        given.assign(given.dataset.load(), workers, Streams(0))
    text = str(error.value)
    wanted = each or 1
    assert f"problem.samples_per_worker = {wanted}: {workers} workers need" in text
    assert f"{wanted * workers} training samples, the data set has 300" in text
    assert f"at most {300 // workers} per worker, or {300 // wanted} workers" in text


def test_left_out_samples_per_worker_uses_as_many_as_there_are_for_all():
    given = problem(samples=100)
    assert [len(s) for s in given.assign(given.dataset.load(), 7, Streams(0))] == [14] * 7


def test_the_objective_is_over_what_somebody_holds_and_nothing_else():
    given = Problem(dataset="digits", model="softmax", samples_per_worker=20)
    task = given.task(5, Streams(0), torch.device("cpu"))
    data = given.dataset.load()
    shards = given.assign(data, 5, Streams(0))
    assert len(task.train_y) == 100
    for places, shard in zip(task.shards, shards, strict=True):
        np.testing.assert_array_equal(task.train_y[places].numpy(), data.train_y[shard])
        np.testing.assert_allclose(task.train_x[places].numpy(), data.train_x[shard], rtol=1e-6)
