"""Bins of difficulty: every class cut evenly from its easiest images to its hardest."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.distillation.selection import check_bins, difficulty_bins, draw_from_bins
from lib.seeds import Seeds

SEEDS = Seeds(0).child("selection")
CASES = st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(0, 9), st.integers(0, 10_000))


def case(classes, bins, more, seed):
    """Losses, a few of them equal, and labels with at least `bins` of each class."""
    rng = Seeds(seed).numpy()
    labels = torch.from_numpy(rng.permutation(list(range(classes)) * bins + rng.integers(0, classes, more).tolist()))
    return torch.from_numpy(rng.integers(0, 5, len(labels)) / 4), labels


@settings(deadline=None)
@given(CASES)
def test_bins_partition_every_class_evenly_from_easy_to_hard(numbers):
    losses, labels = case(*numbers)
    found = difficulty_bins(losses, labels, numbers[1])
    assert sorted(torch.cat(found).tolist()) == list(range(len(labels)))
    for c in range(numbers[0]):
        mine = [rows[labels[rows] == c] for rows in found]
        sizes = [len(rows) for rows in mine]
        assert max(sizes) - min(sizes) <= 1
        in_order = losses[torch.cat(mine)]
        assert (in_order.diff() >= 0).all(), "bin 0 is the easiest"
    for rows in found:
        assert (labels[rows].diff() >= 0).all(), "grouped by class"


@settings(deadline=None)
@given(CASES)
def test_of_equal_losses_the_first_row_is_the_easier(numbers):
    _, labels = case(*numbers)
    found = difficulty_bins(torch.zeros(len(labels)), labels, numbers[1])
    for c in range(numbers[0]):
        assert (torch.cat([rows[labels[rows] == c] for rows in found]).diff() > 0).all()


@settings(deadline=None, max_examples=20)
@given(CASES)
def test_only_the_order_of_losses_counts(numbers):
    losses, labels = case(*numbers)
    for one, other in zip(*(difficulty_bins(x, labels, numbers[1]) for x in (losses, losses.exp() * 3 - 1)), strict=True):
        assert torch.equal(one, other)


def test_by_hand():
    losses, labels = torch.tensor([0.9, 0.1, 0.5, 0.2, 0.3, 0.4, 0.8]), torch.tensor([0, 0, 1, 1, 0, 0, 0])
    easy, hard = difficulty_bins(losses, labels, 2)
    assert easy.tolist() == [1, 4, 5, 3]
    assert hard.tolist() == [6, 0, 2]
    assert torch.equal(*(difficulty_bins(losses, labels, 1)[0] for _ in range(2)))


def test_draws_are_of_their_bins_and_of_each_class():
    losses, labels = case(3, 4, 60, 5)
    found = draw_from_bins(losses, labels, 4, 2, SEEDS)
    assert found.shape == (4, 6)
    for rows, allowed in zip(found, difficulty_bins(losses, labels, 4), strict=True):
        assert set(rows.tolist()) <= set(allowed.tolist())
        assert labels[rows].tolist() == [0, 0, 1, 1, 2, 2]
        assert len(set(rows.tolist())) == 6
    assert torch.equal(found, draw_from_bins(losses, labels, 4, 2, SEEDS))
    assert not torch.equal(found, draw_from_bins(losses, labels, 4, 2, SEEDS.child("other")))
    fewer = draw_from_bins(losses, labels, 4, 1, SEEDS)
    assert torch.equal(fewer, found[:, ::2]), "nested, as random draws are"


ONE, TWO = torch.zeros(4), torch.tensor([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("losses", "labels", "bins", "why"),
    [
        (ONE[:3], TWO, 1, "losses: got 3 for 4 labels"),
        (ONE[:0], TWO[:0], 1, "losses: got 0 for 0 labels"),
        (torch.tensor([0, 1, float("nan"), 0]), TWO, 1, "losses: got nan, allowed are finite"),
        (torch.tensor([0, 1, float("inf"), 0]), TWO, 1, "losses: got inf"),
        (ONE, TWO.float(), 1, "labels: got torch.float32"),
        (ONE, TWO - 1, 1, "labels: got torch.int64 from -1"),
        (ONE, TWO, 0, "bins: got 0, allowed are 1 to 2"),
        (ONE, TWO, 3, "bins: got 3, allowed are 1 to 2"),
        (ONE, 2 * TWO, 1, "bins: got 1, allowed are 1 to 0"),  # class 1 has no image
    ],
)
def test_bad_input(losses, labels, bins, why):
    with pytest.raises(ValueError, match=why):
        difficulty_bins(losses, labels, bins)


@pytest.mark.parametrize("bins", [0, 3])
def test_bins_too_small_for_the_budget(bins):
    with pytest.raises(ValueError, match=f"bins: got {bins}, allowed with 2 of each class out of a bin are 1 to 2"):
        check_bins(torch.tensor([0] * 5 + [1] * 4), bins, 2)
    with pytest.raises(ValueError, match=f"bins: got {bins}, allowed with 1 of each class out of a bin are 1 to 2"):
        draw_from_bins(ONE, TWO, bins, 1, SEEDS)
