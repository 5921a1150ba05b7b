"""Dropout masks are named by worker and step, and evaluations have none."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from differentiating import BATCHES, autograd, batched, models, task
from torch import nn
from torch.func import vmap

from desim.streams import Streams, _child
from desim.tensors import evaluation
from desim.tensors.draws import Draws, hashed

FLAT = np.random.default_rng(0).standard_normal((24, 6)).astype(np.float32)


def module():
    return nn.Sequential(nn.Linear(6, 30), nn.Dropout(0.5), nn.Linear(30, 3))


def test_words_are_those_of_the_streams():
    keys = Streams(3).words("dropout", np.arange(4), 7, 0)
    found = hashed(torch.from_numpy(keys.view(np.int64)), (3, 5)).numpy().view(np.uint64)
    rows = _child(keys[:, None], np.arange(3))
    np.testing.assert_array_equal(found, _child(rows[:, :, None], np.arange(5)))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_share_p_of_the_numbers_is_left_out_independently(p):
    x = torch.ones(300, 400)
    with Draws(Streams(0), 1, 2):
        first, second = F.dropout(x, p) == 0, F.dropout(x, p) == 0
    # 120,000 numbers: five standard errors of a share.
    assert float(first.float().mean()) == pytest.approx(p, abs=5 * (p * (1 - p) / 120_000) ** 0.5)
    both = float((first & second).float().mean())
    assert both == pytest.approx(p * p, abs=5 * (p * p * (1 - p * p) / 120_000) ** 0.5)
    # Neither rows nor columns are alike.
    for axis in (0, 1):
        share = first.float().mean(axis)
        error = (p * (1 - p) / first.shape[axis]) ** 0.5
        assert 0.8 < float(share.std()) / error < 1.2


def test_a_mask_is_named_by_seed_worker_and_step():
    def mask(seed, worker, step):
        with Draws(Streams(seed), worker, step):
            return F.dropout(torch.ones(50, 8), 0.5)

    assert torch.equal(mask(0, 1, 2), mask(0, 1, 2))
    for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3), (0, 2, 1)):
        assert not torch.equal(mask(0, 1, 2), mask(*other))


@pytest.mark.parametrize(
    "drop", [F.dropout, F.alpha_dropout, torch.bernoulli], ids=lambda f: f.__name__
)
def test_many_workers_draw_what_each_draws_alone(drop):
    x = torch.full((3, 4, 5), 0.5)
    workers, steps = np.array([4, 0, 2]), np.array([1, 9, 1])

    def call(row):
        return drop(row) if drop is torch.bernoulli else drop(row, 0.5, training=True)

    with Draws(Streams(0), workers, steps):
        together = vmap(call, randomness="different")(x)
    for row, worker, step in zip(together, workers, steps, strict=True):
        with Draws(Streams(0), int(worker), int(step)):
            assert torch.equal(call(x[0]), row)


def test_a_gradient_does_not_depend_on_what_is_computed_with_it():
    given = task(module, FLAT)
    rows = models(given)
    together = batched(given, rows)
    for worker in range(len(BATCHES)):  # whose batches are padded in the call for all
        alone = batched(given, rows, only=worker)
        torch.testing.assert_close(together[worker : worker + 1], alone, rtol=0, atol=1e-6)


class LengthFirst(nn.Module):
    """Drops numbers of a tensor whose samples aren't its first dimension."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(2, 4), nn.Linear(4, 3)

    def forward(self, x):
        steps = x.unflatten(1, (3, 2)).transpose(0, 1).contiguous()
        return self.b(F.dropout(self.a(steps), 0.5, self.training)).mean(0)


def test_padding_changes_no_mask_wherever_the_samples_stand():
    given = task(LengthFirst, FLAT)
    rows = models(given)
    torch.testing.assert_close(batched(given, rows), autograd(given, rows), rtol=0, atol=1e-6)


def test_evaluations_have_no_dropout():
    given = task(module, FLAT)
    row = given.objective.pack()
    trained = given.objective.module
    plain = nn.Sequential(trained[0], trained[2])
    with torch.no_grad():
        expected = float(F.cross_entropy(plain(given.train_x), given.train_y))
        test = float(F.cross_entropy(plain(given.test_x), given.test_y))
    assert evaluation.training_loss(given, row) == pytest.approx(expected, rel=1e-6)
    assert evaluation.tested(given, row)[0] == pytest.approx(test, rel=1e-6)
    assert all(layer.training for layer in trained.modules())  # for the next gradient


def test_torchs_own_generator_is_left_alone():
    given = task(module, FLAT)
    rows = models(given)
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    batched(given, rows)
    task(module, FLAT)
    assert torch.equal(torch.random.get_rng_state(), before)
