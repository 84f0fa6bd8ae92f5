"""Counts and logits of many networks at once."""

import pytest
import torch

from lib.nets import MLP
from lib.population import evaluate, predict, stack
from lib.seeds import Seeds

NET = MLP((6, 5, 4))
POOL = [NET.init(Seeds(k)) for k in range(3)]
GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(50, 6, generator=GENERATOR), torch.randint(4, (50,), generator=GENERATOR)


@pytest.mark.parametrize("batch", [None, 1, 7, 50, 512])
def test_counts_and_logits_are_those_of_each_network_alone(batch):
    logits = predict(NET, stack(POOL), X, batch=batch)
    torch.testing.assert_close(logits, torch.stack([NET.apply(params, X) for params in POOL]))
    counts = evaluate(NET, stack(POOL), X, Y, batch=batch)
    manual = [sum(int(row.argmax()) == int(label) for row, label in zip(NET.apply(p, X), Y, strict=True)) for p in POOL]
    assert counts.tolist() == manual
    assert not counts.is_floating_point()


def test_nothing_is_kept_for_gradients():
    assert not predict(NET, {name: value.requires_grad_() for name, value in stack(POOL).items()}, X).requires_grad


def test_a_network_with_non_finite_parameters_is_named():
    broken = [POOL[0], POOL[1], POOL[2] | {"layer0.bias": torch.full((5,), torch.inf)}]
    for call in (lambda: predict(NET, stack(broken), X), lambda: evaluate(NET, stack(broken), X, Y)):
        with pytest.raises(ValueError, match=r"params: member 2 has non-finite values in 'layer0.bias'"):
            call()


def test_missing_rows_labels_and_batches_are_named():
    with pytest.raises(ValueError, match="y: got 49 labels, allowed is one for each of 50 rows"):
        evaluate(NET, stack(POOL), X, Y[:49])
    with pytest.raises(ValueError, match="x: got no rows"):
        evaluate(NET, stack(POOL), X[:0], Y[:0])
    with pytest.raises(ValueError, match="batch: got 0"):
        predict(NET, stack(POOL), X, batch=0)
