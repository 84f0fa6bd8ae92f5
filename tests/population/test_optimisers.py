"""The optimisers are torch's own, row by row."""

import pytest
import torch

from lib.population.optimisers import OPTIMISERS, make_optimiser

PEERS = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_row_follows_torch_with_its_own_rate_and_decay(name, dtype):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(4, 30, generator=generator, dtype=dtype)
    lr, decay = [1e-3, 1e-3, 1e-2, 0.5], [0.0, 0.1, 0.1, 1e-4]
    peers = [row.clone().requires_grad_() for row in rows]
    theirs = [PEERS[name]([row], lr=a, weight_decay=b) for row, a, b in zip(peers, lr, decay, strict=True)]
    ours = OPTIMISERS[name](rows, torch.tensor(lr).double(), torch.tensor(decay).double())
    for _ in range(50):
        gradient = torch.randn(4, 30, generator=generator, dtype=dtype)
        for row, slope, optimiser in zip(peers, gradient, theirs, strict=True):
            row.grad = slope.clone()
            optimiser.step()
        ours.step(gradient)
    torch.testing.assert_close(rows, torch.stack(peers).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_row_follows_torch_with_its_own_momentum_while_the_rate_falls(dtype):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(4, 30, generator=generator, dtype=dtype)
    hyper = {"lr": [0.01, 0.01, 0.1, 0.5], "weight_decay": [0.0, 0.1, 0.1, 1e-4], "momentum": [0.0, 0.9, 0.5, 0.99]}
    peers = [row.clone().requires_grad_() for row in rows]
    each = [dict(zip(hyper, values, strict=True)) for values in zip(*hyper.values(), strict=True)]
    theirs = [torch.optim.SGD([row], **settings) for row, settings in zip(peers, each, strict=True)]
    falls = [torch.optim.lr_scheduler.StepLR(optimiser, 10, 0.3) for optimiser in theirs]
    ours = make_optimiser("sgd", rows, {name: torch.tensor(value).double() for name, value in hyper.items()})
    for step in range(50):
        gradient = torch.randn(4, 30, generator=generator, dtype=dtype)
        for row, slope, optimiser, fall in zip(peers, gradient, theirs, falls, strict=True):
            row.grad = slope.clone()
            optimiser.step()
            fall.step()
        ours.step(gradient, 0.3 ** (step // 10))
    torch.testing.assert_close(rows, torch.stack(peers).detach(), rtol=1e-5, atol=1e-5)
