"""A small real pool: one hidden layer, eight members fine-tuned from one start on blobs, with a shifted copy as OOD."""

import pandas as pd
import pytest
import torch
from hypothesis import settings

from lib.ensembles.soups import Evaluator, Pool
from lib.seeds import Seeds

settings.register_profile("ensembles", deadline=None)  # the machine is shared: a slow example is not a failure
settings.load_profile("ensembles")

SIZES = (4, 16, 3)  # inputs, hidden units, classes


def parts(flat):
    """Weights [S, p] of the tiny network as its four stacked tensors."""
    d, h, c = SIZES
    w1, b1, w2, b2 = flat.split([d * h, h, h * c, c], dim=1)
    return w1.view(-1, d, h), b1[:, None], w2.view(-1, h, c), b2[:, None]


def hidden(flat, x):
    w1, b1, _, _ = parts(flat)
    return torch.tanh(x.to(flat.dtype) @ w1 + b1)


def forward(flat, x):
    """Logits [S, n, C]."""
    _, _, w2, b2 = parts(flat)
    return hidden(flat, x) @ w2 + b2


def blobs(n, shift, generator):
    """Three overlapping classes in four dimensions, each two opposite blobs, so that no line tells them apart."""
    centres = torch.tensor([[2.5, 0, 0, 0.5], [0, 2.5, 0, -0.5], [0, 0, 2.5, 0.5]])
    y = torch.randint(0, 3, (n,), generator=generator)
    side = torch.randint(0, 2, (n, 1), generator=generator) * 2 - 1
    return side * centres[y] + shift + torch.randn(n, 4, generator=generator), y


def fine_tune(start, x, y, steps, rates):
    """Full-batch Adam on each member's own resampled data; rows of `start` are members."""
    flat = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([flat], lr=1.0)
    for _ in range(steps):
        logits = torch.stack([forward(flat[k : k + 1], x[k])[0] for k in range(len(flat))])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / y.shape[1]
        (gradient,) = torch.autograd.grad(loss, flat)
        flat.grad = gradient
        before = flat.detach().clone()
        optimiser.step()
        with torch.no_grad():
            flat.copy_(before + rates[:, None] * (flat - before))
    return flat.detach()


@pytest.fixture(scope="session")
def pool():
    generator = Seeds(0).child("test pool").torch()
    p = sum((SIZES[0] * SIZES[1], SIZES[1], SIZES[1] * SIZES[2], SIZES[2]))
    x, y = blobs(150, 0.0, generator)
    theta0 = fine_tune(0.3 * torch.randn(1, p, generator=generator), x[None], y[None], 30, torch.tensor([0.02]))
    bags = torch.randint(0, 150, (8, 60), generator=generator)
    rates = torch.tensor([0.01, 0.02, 0.03, 0.01, 0.02, 0.03, 0.01, 0.02])
    flat = fine_tune(theta0.repeat(8, 1), x[bags], y[bags], 60, rates)
    splits = [("id_val", 200, 0.0), ("id_test", 300, 0.0), ("ood", 250, 0.7)]
    data = {name: blobs(n, shift, generator) for name, n, shift in splits}
    return Pool(
        flat=flat,
        theta0=theta0[0],
        labels={name: labels for name, (_, labels) in data.items()},
        n_classes=3,
        predict=lambda weights, split: forward(weights, data[split][0]),
        features=lambda weights, split: hidden(weights, data[split][0]),
        table=pd.DataFrame({"lr": rates}),
        layers=(SIZES[0] * SIZES[1] + SIZES[1], SIZES[1] * SIZES[2] + SIZES[2]),
        batch=5,
    )


@pytest.fixture(scope="session")
def permuted():
    """A function that gives the same network with its hidden units in another, random order."""

    def permute(flat, seed):
        order = torch.randperm(SIZES[1], generator=Seeds(seed).torch())
        w1, b1, w2, b2 = parts(flat[None])
        return torch.cat([part.flatten() for part in (w1[..., order], b1[..., order], w2[:, order], b2)])

    return permute


@pytest.fixture
def evaluator(pool):
    return Evaluator(pool)
