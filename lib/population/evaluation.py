"""Predictions and scores of many networks at once."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lib.nets import Net, Params
from lib.population.layout import check_finite

NUMBERS_AT_ONCE = 2**26
MOST_ROWS = 512


def predict(net: Net, params: Params, x: Tensor, *, batch: int | None = None) -> Float[Tensor, "K n *T C"]:
    """Logits of K stacked networks on the same rows x [n, ...], computed `batch` rows at a time (by default as memory allows).

    A net of sequences gives them at each of T places.

    Errors: ValueError naming the first member with non-finite parameters; for no rows; for a batch below 1.
    """
    return torch.cat(_logits(net, params, x, _batch(params, x, batch)), dim=1)


def evaluate(net: Net, params: Params, x: Tensor, y: Int[Tensor, "n *T"], *, batch: int | None = None) -> Int[Tensor, "K"]:
    """Correct predictions of K stacked networks: #{i : argmax_c z_kic = y_i}, as whole numbers, so that ties are ties.

    Of a net of sequences, correct tokens (i, t); IGNORED ones are never correct.
    Errors: ValueError as in `predict`, and for labels that are not one for each of the net's answers.
    """
    if len(x) != len(y):
        raise ValueError(f"y: got {len(y)} labels, allowed is one for each of {len(x)} rows")
    size = _batch(params, x, batch)
    answers = [logits.argmax(-1) for logits in _logits(net, params, x, size)]
    if answers[0].shape[2:] != y.shape[1:]:
        raise ValueError(f"y: got shape {tuple(y.shape)}, allowed is {(len(x), *answers[0].shape[2:])}")
    pieces = zip(answers, y.split(size), strict=True)
    return torch.stack([(answer == labels).flatten(1).sum(1) for answer, labels in pieces]).sum(0)


def _logits(net: Net, params: Params, x: Tensor, batch: int) -> list[Float[Tensor, "K _ *T C"]]:
    check_finite(params)
    with torch.no_grad():
        return [net.apply(params, rows) for rows in x.split(batch)]


def _batch(params: Params, x: Tensor, batch: int | None) -> int:
    """The rows at once that were asked for, else as many as keep all members' inputs within NUMBERS_AT_ONCE."""
    if len(x) == 0:
        raise ValueError("x: got no rows, allowed is one or more")
    if batch is None:
        members = len(next(iter(params.values())))
        return min(MOST_ROWS, max(1, NUMBERS_AT_ONCE // (members * x[0].numel())))
    if batch < 1:
        raise ValueError(f"batch: got {batch}, allowed are whole numbers >= 1")
    return batch
