"""The optimisers are torch's own, member by member."""

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
    ours = OPTIMISERS[name]([rows], torch.tensor(lr).double(), torch.tensor(decay).double())
    for _ in range(50):
        gradient = torch.randn(4, 30, generator=generator, dtype=dtype)
        for row, slope, optimiser in zip(peers, gradient, theirs, strict=True):
            row.grad = slope.clone()
            optimiser.step()
        ours.step([gradient])
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
    ours = make_optimiser("sgd", [rows], {name: torch.tensor(value).double() for name, value in hyper.items()})
    for step in range(50):
        gradient = torch.randn(4, 30, generator=generator, dtype=dtype)
        for row, slope, optimiser, fall in zip(peers, gradient, theirs, falls, strict=True):
            row.grad = slope.clone()
            optimiser.step()
            fall.step()
        ours.step([gradient], 0.3 ** (step // 10))
    torch.testing.assert_close(rows, torch.stack(peers).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_pieces_of_any_shape_and_stride_move_as_their_rows_would(name):
    generator = torch.Generator().manual_seed(0)
    rows, gradient = torch.randn(2, 5, 42, generator=generator, dtype=torch.float64)
    settings = {"lr": [1e-2, 1e-2, 1e-3, 1e-2, 1e-2], "weight_decay": [0.1] * 5, "momentum": [0.9 * (name == "sgd")] * 5}
    hyper = {key: torch.tensor(value, dtype=torch.float64) for key, value in settings.items()}
    pieces = [rows[:, :30].clone().view(5, 5, 6), rows[:, 30:].clone()]
    slopes = [gradient[:, :30].reshape(5, 5, 6).mT.contiguous().mT, gradient[:, 30:]]
    before = [slope.clone() for slope in slopes]
    whole, parts = make_optimiser(name, [rows], hyper), make_optimiser(name, pieces, hyper)
    for _ in range(3):
        whole.step([gradient])
        parts.step(slopes)
    torch.testing.assert_close(torch.cat([piece.flatten(1) for piece in pieces], dim=1), rows)
    assert all(torch.equal(slope, old) for slope, old in zip(slopes, before, strict=True))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_members_with_equal_settings_move_alike_to_the_last_bit(name):
    """With pieces that fill whole registers of the processor and pieces that do not, at every place among the members."""
    generator = torch.Generator().manual_seed(0)
    pieces = [torch.randn(1, *shape, generator=generator).repeat(7, *(1 for _ in shape)) for shape in ((8, 12), (5, 7), (3,))]
    rates = torch.full((7,), 1e-2).double()
    ours = OPTIMISERS[name](pieces, rates, 0.1 * rates)
    for _ in range(20):
        ours.step([torch.randn(1, *piece.shape[1:], generator=generator).expand_as(piece) for piece in pieces])
    assert all((piece == piece[0]).all() for piece in pieces)
