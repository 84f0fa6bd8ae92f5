"""Each member's gradient is clipped by its own norm, as torch.nn.utils.clip_grad_norm_ clips one model's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lib.nets import MLP
from lib.population import Hyperparameters, train, unstack
from lib.population.optimisers import SGD, Clipped
from lib.population.streams import Feed
from lib.seeds import Seeds

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(40, 6, generator=GENERATOR, dtype=torch.float64)
Y = torch.randint(4, (40,), generator=GENERATOR)
NET = MLP((6, 9, 4))
START = {name: value.double() for name, value in NET.init(Seeds(0)).items()}
CLIPS = [0.0, 0.05, 0.3, 1e6]


def clipped(gradient, limits):
    """What reaches the optimiser: SGD at rate 1 moves rows at 0 to minus the gradient."""
    rows = torch.zeros_like(gradient)
    ones = torch.ones(len(rows))
    pieces = [rows[:, :10].clone(), rows[:, 10:].clone().view(len(rows), 4, -1)]
    slopes = [gradient[:, :10], gradient[:, 10:].reshape(len(rows), 4, -1)]
    Clipped(SGD(pieces, ones, 0 * ones), torch.tensor(limits).to(rows)).step(slopes)
    return -torch.cat([piece.flatten(1) for piece in pieces], dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_clipped_as_torch_clips_a_model(dtype):
    gradient = torch.randn(4, 30, generator=GENERATOR, dtype=dtype)
    for row, limit, ours in zip(gradient, CLIPS, clipped(gradient, CLIPS), strict=True):
        parts = [nn.Parameter(torch.zeros(n, dtype=dtype)) for n in (10, 20)]
        for part, slope in zip(parts, row.split([10, 20]), strict=True):
            part.grad = slope.clone()
        nn.utils.clip_grad_norm_(parts, limit or torch.inf)
        torch.testing.assert_close(ours, torch.cat([part.grad for part in parts]))


def test_norms_are_at_most_the_limit_and_short_gradients_keep_every_bit():
    gradient = torch.randn(4, 30, generator=GENERATOR)
    ours = clipped(gradient, CLIPS)
    assert (ours[1:3].norm(dim=1) <= torch.tensor(CLIPS[1:3])).all()
    assert torch.equal(ours[[0, 3]], gradient[[0, 3]])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_row_that_is_not_finite_spoils_itself_alone(bad):
    gradient = torch.randn(4, 30, generator=GENERATOR)
    expected = clipped(gradient, CLIPS)
    gradient[2, 3] = bad
    ours = clipped(gradient, CLIPS)
    assert not ours[2].isfinite().all()
    assert torch.equal(ours[[0, 1, 3]], expected[[0, 1, 3]])


def test_without_a_limit_a_huge_gradient_passes():
    gradient = torch.full((2, 30), 1e30)  # whose norm is infinite in float32
    assert torch.equal(clipped(gradient, [0.0, 1.0])[0], gradient[0])


def run(clip, members=4, **options):
    hyper = Hyperparameters(lr=torch.tensor([1e-2, 2e-2, 1e-2, 3e-2])[:members], weight_decay=0.1, clip=clip)
    shared = {"members": members, "steps": 20, "batch_size": 8, "hyper": hyper, "seeds": Seeds(3), "optimiser": "adamw"}
    return train(NET, START, X, Y, **(shared | options))


def plain_loop(k, clip, lr):
    """Member k alone: torch's modules, loss, clipping and AdamW under a falling rate."""
    layers = [nn.Linear(i, o).double() for i, o in ((6, 9), (9, 4))]
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1])
    model.load_state_dict(dict(zip(model.state_dict(), START.values(), strict=True)))
    update = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.1)
    fall = torch.optim.lr_scheduler.StepLR(update, 6, 0.3)
    feed = Feed(X, Y, [torch.arange(40)], 8, torch.zeros(1), [Seeds(3).child("member", k)])
    for step in range(20):
        (x,), (y,) = feed.at(step)
        update.zero_grad()
        F.cross_entropy(model(x), y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip or torch.inf)
        update.step()
        fall.step()
    return dict(zip(NET.layout(), model.parameters(), strict=True))


@pytest.mark.parametrize("at_once", [1, 3, None])
def test_clipped_adamw_equals_plain_torch_loops(at_once):
    population = run(torch.tensor(CLIPS), members_at_once=at_once, schedule=lambda step: 0.3 ** (step // 6))
    for k, params in enumerate(unstack(population.params)):
        theirs = plain_loop(k, CLIPS[k], [1e-2, 2e-2, 1e-2, 3e-2][k])
        assert all(torch.allclose(params[name], theirs[name], atol=1e-9) for name in params)


def test_no_limit_changes_no_bit():
    plain, unlimited = run(0.0), run(torch.tensor([0.0, 0.0, 0.3, 0.0]))
    for k in (0, 1, 3):
        assert all(torch.equal(plain.params[name][k], unlimited.params[name][k]) for name in plain.params)
    assert not torch.equal(plain.params["layer0.weight"][2], unlimited.params["layer0.weight"][2])


def test_a_limit_out_of_bounds_is_named():
    with pytest.raises(ValueError, match=r"clip: got \[-1.0\], allowed is \[0, inf\)"):
        Hyperparameters(clip=-1.0)
