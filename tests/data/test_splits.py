"""Laws of disjoint splits."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.data import split_indices
from lib.seeds import Seeds

SEEDS = Seeds(3).child("split")


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(12, 300),
    parts=st.lists(st.floats(0.34, 1), min_size=1, max_size=3),
    whole=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_splits_are_disjoint_of_the_asked_size_and_repeatable(n, parts, whole, seed):
    fractions = [part / max(1.0, sum(parts)) for part in parts]
    sizes = {f"part{i}": max(1, int(f * n)) if whole else f for i, f in enumerate(fractions)}
    splits = split_indices(n, sizes, Seeds(seed))
    assert list(splits) == list(sizes)
    together = torch.cat(list(splits.values()))
    assert len(together.unique()) == len(together)
    assert together.min() >= 0
    assert together.max() < n
    for name, size in sizes.items():
        wanted = size if whole else size * n
        assert wanted - 1 < len(splits[name]) <= wanted + 1e-6
        assert torch.equal(splits[name], splits[name].sort().values)
    again = split_indices(n, sizes, Seeds(seed))
    assert all(torch.equal(splits[name], again[name]) for name in sizes)


def test_fractions_that_add_to_one_and_exact_counts_use_everything():
    assert [len(s) for s in split_indices(10, {"a": 0.7, "b": 0.3}, SEEDS).values()] == [7, 3]
    counts = split_indices(1797, {"train": 900, "val": 400, "test": 497}, SEEDS)
    assert torch.cat(list(counts.values())).sort().values.tolist() == list(range(1797))


def test_another_seed_gives_another_split():
    one, other = (split_indices(100, {"a": 50}, SEEDS.child(k))["a"] for k in range(2))
    assert not torch.equal(one, other)


def test_stratified_splits_keep_class_proportions():
    labels = torch.tensor([0] * 600 + [1] * 300 + [2] * 100)
    splits = split_indices(1000, {"train": 0.5, "val": 200, "test": 0.3}, SEEDS, stratify=labels)
    for name, size in (("train", 500), ("val", 200), ("test", 300)):
        shares = labels[splits[name]].bincount(minlength=3) / size
        assert torch.allclose(shares, torch.tensor([0.6, 0.3, 0.1]), atol=1.01 / size)


@pytest.mark.parametrize("size", [0, -3, True, 0.0, 1.5, float("nan"), 0.001])
def test_bad_sizes_are_refused(size):
    with pytest.raises(ValueError, match=r"sizes: test got .* allowed are counts >= 1 or fractions"):
        split_indices(100, {"test": size}, SEEDS)


@pytest.mark.parametrize("sizes", [{}, {"a": 60, "b": 41}, {"a": 0.6, "b": 41}, {"a": 101}])
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(ValueError, match="add to at most 100"):
        split_indices(100, sizes, SEEDS)


def test_classes_of_one_member_each_can_be_stratified():
    splits = split_indices(10, {"a": 5, "b": 4}, SEEDS, stratify=torch.arange(10))
    assert [len(s) for s in splits.values()] == [5, 4]


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"stratify: got shape \(3,\), allowed is one label for each of 10 items"):
        split_indices(10, {"a": 5}, SEEDS, stratify=torch.zeros(3))
