"""Per-sample losses: values by hand, and closed-form gradients against autograd."""

from math import exp, log

import pytest
import torch
from builders import examples, label

from desim.tensors.losses.base import Loss
from desim.tensors.losses.binary_cross_entropy import BinaryCrossEntropy
from desim.tensors.losses.cross_entropy import CrossEntropy
from desim.tensors.losses.half_squared import HalfSquared
from desim.tensors.losses.logistic import Logistic


def batch(loss):
    """Outputs and targets that suit a loss."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(40, 6, generator=generator).double() * 4
    weights = torch.rand(40, generator=generator).double()
    match loss.table()["kind"]:
        case "half-squared":
            return outputs, torch.randn(40, 6, generator=generator).double(), weights
        case "logistic":
            return outputs[:, 0], torch.randint(0, 2, (40,), generator=generator), weights
        case _:
            return outputs, torch.randint(0, 6, (40,), generator=generator), weights


@pytest.mark.parametrize("loss", examples("losses"), ids=label)
def test_the_gradient_is_that_of_the_weighted_sum(loss):
    outputs, targets, weights = batch(loss)
    leaf = outputs.clone().requires_grad_()
    losses = loss(leaf, targets)
    assert losses.shape == (40,)
    (losses * weights).sum().backward()
    before = outputs.clone()
    found = loss.gradient(outputs, targets, weights)
    torch.testing.assert_close(found, leaf.grad, rtol=0, atol=1e-14)
    assert torch.equal(outputs, before)


def forms():
    """Losses with the outputs and the targets in each form that they take."""
    generator = torch.Generator().manual_seed(1)

    def floats(*shape):
        return torch.randn(*shape, generator=generator).double()

    def whole(below, *shape):
        return torch.randint(0, below, shape, generator=generator)

    yes = whole(2, 8, 6).double()
    images, of_pixels = floats(8, 4, 3, 2), whole(4, 8, 3, 2)
    return {
        "classes": (CrossEntropy(), floats(8, 6), whole(6, 8)),
        "probabilities": (CrossEntropy(), floats(8, 6), floats(8, 6).softmax(1)),
        "pixels": (CrossEntropy(), images, of_pixels),
        "pixels' probabilities": (CrossEntropy(), images, floats(8, 4, 3, 2).softmax(1)),
        "bce classes": (BinaryCrossEntropy(), floats(8, 6), whole(6, 8)),
        "bce labels": (BinaryCrossEntropy(), floats(8, 6), yes),
        "bce shares": (BinaryCrossEntropy(), floats(8, 6), floats(8, 6).sigmoid()),
        "bce pixels": (BinaryCrossEntropy(), images, floats(8, 4, 3, 2).sigmoid()),
        "logistic": (Logistic(), floats(8), whole(2, 8)),
        "logistic shares": (Logistic(), floats(8), floats(8).sigmoid()),
        "logistic column": (Logistic(), floats(8, 1), whole(2, 8, 1)),
        "squares": (HalfSquared(), floats(8, 6), floats(8, 6)),
        "squares of pixels": (HalfSquared(), images, floats(8, 4, 3, 2)),
    }


@pytest.mark.parametrize("form", forms())
def test_every_form_of_targets_has_its_gradient_alone_and_for_many_workers(form):
    loss, outputs, targets = forms()[form]
    assert torch.equal(loss.prepared(targets, outputs), targets)
    weights = torch.linspace(0.1, 1, 8).double()
    leaf = outputs.clone().requires_grad_()
    losses = loss(leaf, targets)
    assert losses.shape == (8,)
    (losses * weights).sum().backward()
    torch.testing.assert_close(loss.gradient(outputs, targets, weights), leaf.grad)

    def total(outputs, targets, weights):
        return (loss(outputs, targets) * weights).sum()

    def pairs(x):
        return x.unflatten(0, (2, 4))

    batched = torch.func.vmap(torch.func.grad(total))(*map(pairs, (outputs, targets, weights)))
    torch.testing.assert_close(batched.flatten(0, 1), leaf.grad)
    correct = loss.correct(outputs, targets)
    assert correct is None or correct.shape == (8,)


def test_classes_are_the_same_as_their_rows_of_one():
    outputs, classes = torch.randn(8, 6).double(), torch.arange(8) % 6
    one_hot = torch.eye(6).double()[classes]
    for loss in (CrossEntropy(), BinaryCrossEntropy()):
        torch.testing.assert_close(loss(outputs, classes), loss(outputs, one_hot))
    found = (CrossEntropy().correct(outputs, targets) for targets in (classes, one_hot))
    assert torch.equal(*found)


def test_labels_are_right_when_all_are_and_pixels_by_their_share():
    outputs = torch.tensor([[1.0, -1, 2], [1, -1, -2]])
    labels = torch.tensor([[1.0, 0, 1], [1, 0, 1]])
    assert BinaryCrossEntropy().correct(outputs, labels).tolist() == [True, False]
    pixels = torch.stack([torch.ones(1, 4), torch.zeros(1, 4)], 1)  # class 0 everywhere
    right = CrossEntropy().correct(pixels, torch.tensor([[0, 1, 1, 1]]))
    assert right.tolist() == [0.25]


def test_multi_label_cross_entropy_by_hand():
    # Probabilities 1/2, 2/3 and 1/4; the first two apply.
    outputs = torch.tensor([[0.0, log(2), -log(3)]]).double()
    losses = BinaryCrossEntropy()(outputs, torch.tensor([[1.0, 1, 0]]).double())
    assert losses.tolist() == pytest.approx([log(2) - log(2 / 3) - log(3 / 4)])


@pytest.mark.parametrize("loss", examples("losses"), ids=label)
def test_a_samples_loss_does_not_depend_on_the_others(loss):
    outputs, targets, _ = batch(loss)
    together = loss(outputs, targets)
    alone = torch.stack([loss(outputs[i : i + 1], targets[i : i + 1])[0] for i in range(40)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-14)


def test_cross_entropy_by_hand():
    outputs = torch.tensor([[0.0, 0, 0], [log(2), 0, 0]]).double()
    losses = CrossEntropy()(outputs, torch.tensor([1, 0]))
    assert losses.tolist() == pytest.approx([log(3), log(2)])
    gradient = CrossEntropy().gradient(
        outputs, torch.tensor([1, 0]), torch.tensor([1.0, 0.5]).double()
    )
    assert gradient.tolist()[0] == pytest.approx([1 / 3, -2 / 3, 1 / 3])
    assert gradient.tolist()[1] == pytest.approx([-0.25, 0.125, 0.125])


def test_cross_entropy_of_large_outputs_does_not_overflow():
    outputs = torch.tensor([[1000.0, 0.0], [0.0, 1000.0]])
    assert CrossEntropy()(outputs, torch.tensor([0, 0])).tolist() == [0, 1000]
    gradient = CrossEntropy().gradient(outputs, torch.tensor([0, 0]), torch.ones(2))
    assert gradient.tolist() == [[0, 0], [-1, 1]]


def test_binary_cross_entropy_by_hand():
    # Class 1 is right: no, yes, no with probabilities 1/2, 2/3, 1/4.
    outputs = torch.tensor([[0.0, log(2), -log(3)]]).double()
    losses = BinaryCrossEntropy()(outputs, torch.tensor([1]))
    assert losses.tolist() == pytest.approx([log(2) + log(3 / 2) + log(4 / 3)])
    gradient = BinaryCrossEntropy().gradient(
        outputs, torch.tensor([1]), torch.tensor([2.0]).double()
    )
    assert gradient.tolist()[0] == pytest.approx([1, -2 / 3, 1 / 2])
    far = torch.tensor([[800.0, -800.0]])
    assert BinaryCrossEntropy()(far, torch.tensor([0])).tolist() == [0]
    assert BinaryCrossEntropy()(far, torch.tensor([1])).tolist() == [1600]


def test_logistic_by_hand():
    losses = Logistic()(torch.tensor([0.0, 2.0, 2.0, -800.0]).double(), torch.tensor([1, 1, 0, 1]))
    expected = [log(2), log(1 + exp(-2)), log(1 + exp(2)), 800]
    assert losses.tolist() == pytest.approx(expected)


def test_half_squared_by_hand():
    losses = HalfSquared()(torch.tensor([[1.0, 2], [0, 0]]), torch.tensor([[0.0, 0], [3, 4]]))
    assert losses.tolist() == [2.5, 12.5]


def test_the_largest_output_or_the_sign_names_the_class():
    outputs = torch.tensor([[1.0, 2, 0], [5, 1, 2]])
    assert CrossEntropy().correct(outputs, torch.tensor([1, 2])).tolist() == [True, False]
    assert Logistic().correct(torch.tensor([0.3, -0.3]), torch.tensor([1, 1])).tolist() == [
        True,
        False,
    ]
    assert HalfSquared().correct(outputs, outputs) is None


def test_a_function_is_a_loss():
    loss = Loss.parse(lambda outputs, targets: (outputs - targets).abs().sum(-1))
    outputs, targets = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 0.0]])
    assert loss(outputs, targets).tolist() == [3]
    assert loss.gradient(outputs, targets, torch.tensor([2.0])).tolist() == [[2, -2]]
    assert loss.correct(outputs, targets) is None
