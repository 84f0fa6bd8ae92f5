"""Targets at every place of a sequence: their loss is torch's, and a population learns them as each member would alone."""

import pytest
import torch
from torch.nn.functional import cross_entropy as peer

from lib.nets import MLP, Decoder
from lib.population import IGNORED, Hyperparameters, evaluate, predict, stack, train, unstack
from lib.population.losses import cross_entropy
from lib.seeds import Seeds

GENERATOR = torch.Generator().manual_seed(0)
K, B, T, C = 3, 4, 5, 6
LOGITS = torch.randn(K, B, T, C, generator=GENERATOR, dtype=torch.float64)
TARGETS = torch.randint(-1, C, (K, B, T), generator=GENERATOR)
SMOOTHING = torch.tensor([[0.0], [0.1], [1.0]], dtype=torch.float64)
NONE = torch.zeros(K, 1, dtype=torch.float64)
NET = Decoder(7, 6, width=8, heads=2, layers=1, rotary_share=0.5)
X = torch.randint(7, (30, 6), generator=GENERATOR)
Y = torch.randint(-1, 7, (30, 6), generator=GENERATOR)


def each(smoothing):
    """Every member's loss by torch."""
    lanes = zip(LOGITS, TARGETS, smoothing.flatten().tolist(), strict=True)
    return torch.stack([peer(z.mT, y, ignore_index=IGNORED, label_smoothing=s) for z, y, s in lanes])


@pytest.mark.parametrize("smoothing", [NONE, SMOOTHING], ids=["no smoothing", "each its own"])
def test_loss_is_torchs_mean_over_the_targets_that_are_not_ignored(smoothing):
    torch.testing.assert_close(cross_entropy(LOGITS, TARGETS, smoothing), each(smoothing))


@pytest.mark.parametrize("smoothing", [NONE, SMOOTHING], ids=["no smoothing", "each its own"])
def test_no_gradient_comes_from_ignored_places_and_the_closed_form_from_the_others(smoothing):
    z = LOGITS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cross_entropy(z, TARGETS, smoothing).sum(), z)
    kept = TARGETS.ne(IGNORED)
    assert slope[~kept].eq(0).all()
    aim = torch.nn.functional.one_hot(TARGETS.clamp(min=0), C).double()
    aim = aim.lerp(torch.full_like(aim, 1 / C), smoothing.view(K, 1, 1, 1))
    counts = kept.sum((1, 2)).view(K, 1, 1).expand_as(kept)
    torch.testing.assert_close(slope[kept], ((LOGITS.softmax(-1) - aim) / counts.unsqueeze(-1))[kept])


@pytest.mark.parametrize("smoothing", [NONE, SMOOTHING], ids=["no smoothing", "each its own"])
def test_a_member_without_targets_has_loss_0_and_no_gradient_and_touches_no_other(smoothing):
    targets, z = TARGETS.clone(), LOGITS.clone().requires_grad_()
    targets[1] = IGNORED
    losses = cross_entropy(z, targets, smoothing)
    (slope,) = torch.autograd.grad(losses.sum(), z)
    assert losses[1] == 0
    assert slope[1].eq(0).all()
    torch.testing.assert_close(losses[[0, 2]], each(smoothing)[[0, 2]])


def test_a_member_whose_logits_are_not_finite_touches_no_other():
    broken = LOGITS.clone()
    broken[1, 0] = torch.nan
    z = broken.requires_grad_()
    losses = cross_entropy(z, TARGETS, SMOOTHING)
    (slope,) = torch.autograd.grad(losses.sum(), z)
    assert losses.isfinite().tolist() == [True, False, True]
    assert slope[[0, 2]].isfinite().all()


def run(members=3, y=Y, net=NET, x=X, **options):
    start = stack([net.init(Seeds(k)) for k in range(members)])
    start = {name: value.double() for name, value in start.items()}
    hyper = Hyperparameters(lr=1e-2, label_smoothing=0.1, dropout=0.1, clip=0.5)
    shared = {"members": members, "steps": 6, "batch_size": 4, "hyper": hyper, "seeds": Seeds(1), "optimiser": "adamw"}
    return train(net, start, x, y, **(shared | options))


def same(ours, theirs):
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-10) for name in ours)


@pytest.mark.parametrize("at_once", [1, 2, None])
def test_label_sets_of_sequences_are_separate_runs(at_once):
    sets, which = torch.stack([Y, (Y + 1) % 7]), [1, 0, 1]
    together = run(y=sets, label_sets=which, members_at_once=at_once)
    for k, g in enumerate(which):
        same(unstack(together.params)[k], unstack(run(y=sets[g]).params)[k])


def test_narrow_types_of_targets_are_class_numbers_too():
    same(run().params, run(y=Y.to(torch.int8)).params)


def test_rows_without_targets_teach_nothing():
    empty = torch.full_like(Y, IGNORED)
    empty[0] = 0  # the only row with targets is in no member's bag
    population = run(y=empty, subsets=[torch.arange(1, 30)] * 3)
    assert population.losses.eq(0).all()
    same(population.params, run(y=empty, subsets=[torch.arange(1, 30)] * 3, steps=1).params)
    assert not population.diverged.any()


def test_predictions_are_logits_at_every_place():
    pool = [NET.init(Seeds(k)) for k in range(2)]
    logits = predict(NET, stack(pool), X, batch=7)
    assert logits.shape == (2, 30, 6, 7)
    torch.testing.assert_close(logits[1], NET.apply(pool[1], X))


def test_correct_tokens_are_counted_where_there_is_a_target():
    pool = stack([NET.init(Seeds(k)) for k in range(2)])
    right = predict(NET, pool, X).argmax(-1)
    y = right[0].where(Y.ne(IGNORED), IGNORED)
    counts = evaluate(NET, pool, X, y, batch=7)
    assert counts.tolist() == [int(Y.ne(IGNORED).sum()), int((right[1] == y).sum())]
    with pytest.raises(ValueError, match=r"y: got shape \(30, 5\), allowed is \(30, 6\)"):
        evaluate(NET, pool, X, y[:, :5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"y": Y[:, :5]},
            r"y: got torch.int64 of shape \(30, 5\), .* allowed are whole numbers of shape \(n, 6\), 0 to 6, and -1",
        ),
        ({"y": Y[:, 0].clamp(min=0)}, r"shape \(30,\), 0 to \d, allowed are whole numbers of shape \(n, 6\)"),
        ({"y": Y - 1}, r"shape \(30, 6\), -2 to 5, allowed"),
        ({"y": Y + 1}, r"shape \(30, 6\), 0 to 7, allowed"),
        ({"y": torch.full_like(Y, IGNORED)}, r"-1 to -1, allowed are whole numbers .* 0 to 6, and -1 at some places"),
        ({"y": torch.full((30, 7), 1 / 7).double()}, r"y: got torch.float64 of shape \(30, 7\), .* allowed are whole numbers"),
        ({"y": Y[:29]}, "y: got 29 labels for 30 rows"),
        ({"y": Y, "label_sets": [0, 0, 0]}, "y: got 6 labels for 30 rows"),
        (
            {"y": Y[:, :5].expand(2, 30, 5), "label_sets": [0, 1, 0]},
            r"shape \(60, 5\), .* allowed are whole numbers of shape \(n, 6\)",
        ),
        ({"y": Y.expand(2, 30, 6), "label_sets": [0, 1, 2]}, "label_sets: got 0 to 2, allowed are 0 to 1"),
        ({"net": MLP((6, 5, 7)), "x": X.double()}, r"y: shape \(30, 6\), -1 to 6, allowed is \(n,\), 0 to 6"),
        ({"hyper": Hyperparameters(clip=torch.ones(2))}, "clip: got 2 values, allowed are 1 or members = 3"),
        ({"hyper": Hyperparameters(momentum=0.9)}, "momentum: got 0.9 for optimiser adamw, allowed is 0 there"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        run(**change)
