"""The optimisers are torch's own, row by row."""

import pytest
import torch

from lib.population.optimisers import OPTIMISERS

PEERS = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


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
