"""Experts: kept after the epochs that were asked for, labelling what they are given as it is."""

from dataclasses import replace

import pytest
import torch

from lib.distillation.labels import entropy, soften
from lib.nets import MLP
from lib.population import Hyperparameters, train, unstack
from lib.seeds import Seeds


def equal(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_epoch_nought_is_the_start_and_each_has_its_own(experts, net):
    for i, params in enumerate(unstack(experts.after(0))):
        assert equal(params, net.init(Seeds(0).child("expert", i, "start")))


def test_an_epoch_is_one_pass_of_plain_sgd(experts, digits, net):
    """1000 rows in batches of 64: the second epoch ends nearest to step 31.25."""
    assert experts.epochs == (0, 1, 2, 4, 8, 16, 40)
    node = Seeds(0).child("expert", 1)
    alone = train(
        net, net.init(node.child("start")), digits.x_train, digits.y_train,
        members=1, steps=31, batch_size=64, hyper=Hyperparameters(lr=0.05), seeds=[node], optimiser="sgd",
    )  # fmt: skip
    ours, (theirs,) = unstack(experts.after(2))[1], unstack(alone.params)
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)


def test_they_do_not_depend_on_how_many_there_are_nor_on_which_epochs_are_kept(experts, make_experts):
    alone = make_experts(experts=1, epochs=[4, 8])
    assert alone.epochs == (4, 8)
    for name, value in experts.after(8).items():
        torch.testing.assert_close(alone.after(8)[name][0], value[0], rtol=0, atol=1e-6)


def test_same_seed_same_bits(make_experts):
    one, again, other = (make_experts(epochs=[2], seeds=Seeds(seed)) for seed in (3, 3, 4))
    assert equal(one.after(2), again.after(2))
    assert not equal(one.after(2), other.after(2))


def test_no_expert_sees_validation_or_test_images(digits, make_experts):
    blank = {
        "x_test": torch.full_like(digits.x_test, torch.nan),
        "y_test": 9 - digits.y_test,
        "y_validation": 9 - digits.y_validation,
    }
    one, other = (make_experts(task, epochs=[2]) for task in (digits, replace(digits, **blank)))
    assert equal(one.after(2), other.after(2))


def test_accuracy_is_in_per_cent_of_the_validation_part(experts, digits, net):
    assert experts.accuracy.shape == (7, 2)
    for e, epoch in enumerate(experts.epochs):
        for i, params in enumerate(unstack(experts.after(epoch))):
            right = net.apply(params, digits.x_validation).argmax(1) == digits.y_validation
            assert experts.accuracy[e, i].item() == pytest.approx(100 * right.double().mean().item())
    torch.testing.assert_close(experts.accuracy_on(digits.x_validation, digits.y_validation), experts.accuracy)


def test_they_learn_and_their_labels_harden(experts, digits):
    assert (experts.accuracy[0] < 30).all()
    assert (experts.accuracy[-1] > 90).all()
    softness = torch.stack([entropy(soften(experts.logits(epoch, digits.x_train)[0])).mean() for epoch in experts.epochs])
    assert (softness.diff() < 0).all()


def test_logits_are_each_experts_own_float64_and_the_same_row_by_row(experts, digits, net):
    x = digits.x_train[:40]
    logits = experts.logits(4, x)
    assert (logits.shape, logits.dtype) == ((2, 40, 10), torch.float64)
    for z, params in zip(logits, unstack(experts.after(4)), strict=True):
        torch.testing.assert_close(z, net.apply(params, x).double(), rtol=1e-5, atol=1e-6)
    assert torch.equal(logits, experts.logits(4, x))
    torch.testing.assert_close(logits[:, 7:8], experts.logits(4, x[7:8]), rtol=1e-5, atol=1e-5)


def test_losses_are_cross_entropies_of_every_row(experts, digits, monkeypatch):
    x, y = digits.x_train[:40], digits.y_train[:40]
    expected = -experts.logits(4, x).log_softmax(-1)[:, torch.arange(40), y]
    torch.testing.assert_close(experts.losses(4, x, y), expected)
    monkeypatch.setattr("lib.distillation.experts.ROWS_AT_ONCE", 7)
    torch.testing.assert_close(experts.losses(4, x, y), expected, rtol=1e-5, atol=1e-6)


def test_one_alone_is_that_expert(experts, digits):
    alone = experts.only(1)
    assert alone.epochs == experts.epochs
    assert torch.equal(alone.accuracy, experts.accuracy[:, 1:])
    x = digits.x_train[:9]
    torch.testing.assert_close(alone.logits(8, x), experts.logits(8, x)[1:], rtol=1e-5, atol=1e-6)
    for i in (-1, 2):
        with pytest.raises(ValueError, match=f"i: got {i}, allowed are 0 to 1, the experts"):
            experts.only(i)


@pytest.mark.parametrize("epoch", [3, 41, -1])
def test_epochs_that_are_not_stored(experts, digits, epoch):
    with pytest.raises(ValueError, match=f"epoch: got {epoch}, stored are 0, 1, 2, 4, 8, 16, 40"):
        experts.logits(epoch, digits.x_train)


@pytest.mark.parametrize("outputs", [9, 11])
def test_outputs_that_are_not_the_classes(make_experts, outputs):
    with pytest.raises(ValueError, match=f"net: got {outputs} outputs, allowed are 10, one for each class of 'digits'"):
        make_experts(net=MLP((64, outputs)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": []}, r"epochs: got \[\], allowed are ascending whole numbers >= 0 that end above 0"),
        ({"epochs": [0]}, r"epochs: got \[0\]"),
        ({"epochs": [-1, 2]}, r"epochs: got \[-1, 2\]"),
        ({"epochs": [2, 2]}, r"epochs: got \[2, 2\]"),
        ({"epochs": [4, 2]}, r"epochs: got \[4, 2\]"),
        ({"batch_size": 0}, "batch_size: got 0, allowed are 1 to 1000"),
        ({"batch_size": 1001}, "batch_size: got 1001"),
        ({"experts": 0}, "experts: got 0"),
        ({"lr": -1.0}, r"lr: got \[-1.0\]"),
        ({"momentum": 1.0}, r"momentum: got \[1.0\]"),
    ],
)
def test_bad_arguments(make_experts, changes, message):
    with pytest.raises(ValueError, match=message):
        make_experts(**changes)


def test_divergence_is_an_error_that_names_the_expert(make_experts):
    with pytest.raises(RuntimeError, match=r"experts: expert 0 diverged at step \d+ of 16; lower lr = 1e\+30"):
        make_experts(lr=1e30, epochs=[1])


def test_progress_counts_experts_times_steps(make_experts):
    seen = []
    make_experts(epochs=[1], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (32, 32)
