"""Labelled data and the distances between their classes."""

import warnings

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from lib.seeds import Seeds
from lib.transport.kernels import squared_distances
from lib.transport.labels import METHODS, LabelledData, label_distances, labelled, pool

LAWS = settings(max_examples=20, deadline=None)
COUNTS = st.lists(st.integers(2, 6), min_size=1, max_size=3)


def cloud(counts, d=3, *path, names=None, dtype=torch.float64):
    """Normal samples around a centre of each class."""
    generator = Seeds(6).child(*path).torch()
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    centres = torch.randn(len(counts), d, generator=generator, dtype=dtype)
    features = centres[labels] + torch.randn(len(labels), d, generator=generator, dtype=dtype)
    return labelled(features, labels if names is None else [names[c] for c in labels])


# what labels may be


@pytest.mark.parametrize(
    ("labels", "names", "numbers"),
    [
        ([7, -2, 7], (-2, 7), [1, 0, 1]),
        (torch.tensor([3, 1, 3]), (1, 3), [1, 0, 1]),
        (torch.tensor([3, 1, 3], dtype=torch.uint8), (1, 3), [1, 0, 1]),
        (np.array([2.0, 1.0, 2.0]), (1, 2), [1, 0, 1]),
        (torch.tensor([2.0, 1.0, 2.0]), (1, 2), [1, 0, 1]),
        (["shoe", "bag", "shoe"], ("bag", "shoe"), [1, 0, 1]),
        (np.array(["shoe", "bag", "shoe"], dtype=object), ("bag", "shoe"), [1, 0, 1]),
        ([True, False, True], (False, True), [1, 0, 1]),
    ],
)
def test_labels_are_numbered_in_the_order_of_their_names(labels, names, numbers):
    data = labelled(torch.zeros(3, 2), labels)
    assert data.names == names
    assert data.labels.tolist() == numbers
    assert data.classes == 2
    assert data.counts.tolist() == [1, 2]
    assert data.one_hot.tolist() == [[0, 1], [1, 0], [0, 1]]


@pytest.mark.parametrize("labels", [[0.5, 1.0, 1.0], torch.tensor([0.0, float("nan"), 1.0]), [1j, 2, 3], [None, "a", 3]])
def test_labels_that_are_no_names(labels):
    with pytest.raises(TypeError):
        labelled(torch.zeros(3, 2), labels)


@pytest.mark.parametrize("labels", [[None, "a", 3], [None, 1, 2], ["a", 1, "b"], ["a", float("nan"), "b"], ["1", 1, 2]])
def test_labels_of_mixed_kinds_are_refused_by_name(labels):
    with pytest.raises(TypeError, match="labels: got"):
        labelled(torch.zeros(3, 2), labels)


def test_whole_numbers_too_large_for_an_integer_are_refused_by_name():
    with pytest.raises((TypeError, ValueError), match="labels: got"):
        labelled(torch.zeros(3, 2), [1e300, 1e200, 2.0])


# bad input


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(3), r"features: got shape \(3,\), allowed is \(n, d\)"),
        (torch.zeros(0, 2), r"features: got shape \(0, 2\)"),
        (torch.zeros(3, 0), r"features: got shape \(3, 0\)"),
        (torch.zeros(3, 2, 2), r"features: got shape \(3, 2, 2\)"),
        (torch.zeros(3, 2, dtype=torch.uint8), r"features: got torch.uint8, allowed are torch.float32"),
        (torch.tensor([[0.0], [1.0], [float("nan")]]), r"features: got nan at row 2, column 0"),
        (torch.tensor([[0.0, float("inf")]] * 3), r"features: got inf at row 0, column 1"),
        (torch.full((3, 1), 1e19), r"features: got 1e\+19, allowed is up to 2.31e\+18"),
    ],
)
def test_features_that_are_none(features, message):
    with pytest.raises(ValueError, match=message):
        labelled(features, [0, 1, 1])


def test_another_number_of_labels():
    with pytest.raises(ValueError, match=r"labels: got 2, allowed is one for each of 3 rows"):
        labelled(torch.zeros(3, 2), [0, 1])
    with pytest.raises(ValueError, match=r"labels: got shape \(3, 1\)"):
        labelled(torch.zeros(3, 2), [[0], [1], [1]])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.5], r"weights: got shape \(2,\)"),
        ([0.5, 0.7, -0.2], r"weights: got -0.2, allowed are numbers >= 0"),
        ([0.5, 0.25, 0.25 + 2e-8], r"weights: got sum 1.00000002, allowed is 1 within 1e-08"),
        ([0.5, float("nan"), 0.5], r"weights: got nan"),
        ([0.0, 0.5, 0.5], r"weights: class 'a' has none"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(ValueError, match=message):
        labelled(torch.zeros(3, 2, dtype=torch.float64), ["a", "b", "b"], torch.tensor(weights, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"torch.float32 on cpu, allowed is \(3,\), torch.float64 on cpu"):
        labelled(torch.zeros(3, 2, dtype=torch.float64), ["a", "b", "b"], torch.ones(3) / 3)


def test_data_sets_that_do_not_fit():
    left = cloud([3, 3])
    with pytest.raises(ValueError, match="right: got number of features 4, the left data set has 3, allowed is the same"):
        label_distances(left, cloud([3], 4))
    with pytest.raises(ValueError, match=r"right: got dtype torch.float32, the left data set has torch.float64"):
        label_distances(left, cloud([3], dtype=torch.float32))
    elsewhere = LabelledData(left.features.to("meta"), left.labels.to("meta"), left.names)
    with pytest.raises(ValueError, match="right: got device meta, the left data set has cpu"):
        label_distances(left, elsewhere)


def test_unknown_method():
    with pytest.raises(ValueError, match="method: got 'sinkhorn', allowed are gaussian, diagonal, exact, bound, means"):
        label_distances(cloud([3]), cloud([3]), "sinkhorn")


# classes of one sample


@pytest.mark.parametrize("method", ["gaussian", "diagonal", "bound"])
def test_a_class_of_one_sample_is_dropped_by_name(method):
    data, other = cloud([3, 1, 4, 1], names=["ant", "bee", "cat", "dog"]), cloud([2, 2], 3, "other")
    with pytest.warns(UserWarning, match=f"dropped: class 'bee', 'dog' with fewer than 2 samples, which '{method}' needs"):
        table = label_distances(data, other, method)
    kept = data.take((data.labels % 2 == 0).nonzero()[:, 0])
    assert kept.names == ("ant", "cat")
    assert torch.equal(table, label_distances(kept, other, method))
    with pytest.warns(UserWarning, match="'bee', 'dog'"):
        itself = label_distances(data, data, "gaussian")
    assert (itself.diagonal() == 0).all()


@pytest.mark.parametrize("method", ["gaussian", "diagonal", "bound"])
def test_no_class_of_two_samples(method):
    with pytest.raises(ValueError, match=r"labels: every class \(0, 1\) has fewer than 2 samples"):
        label_distances(cloud([1, 1]), cloud([3, 3]), method)


@pytest.mark.parametrize("method", ["exact", "means"])
def test_one_sample_is_enough(method):
    data, other = cloud([1, 1]), cloud([1, 1], 3, "other")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = label_distances(data, other, method)
    torch.testing.assert_close(table, torch.cdist(data.features, other.features).square())


# values


def test_exact_distance_is_the_best_assignment_and_pots():
    left, right = cloud([5, 5]), cloud([5, 7], 3, "right")
    table = label_distances(left, right, "exact")
    for c in range(2):
        x = left.features[left.labels == c].numpy()
        for k in range(2):
            cost = ot.dist(x, right.features[right.labels == k].numpy())
            assert table[c, k].item() == pytest.approx(ot.emd2([], [], cost), rel=1e-12)
            if k == 0:
                assert table[c, k].item() == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-12)


@LAWS
@given(n=st.integers(2, 9), d=st.integers(1, 4), seed=st.integers(0, 99))
def test_gaussian_is_exact_where_one_class_is_the_image_of_the_other_under_a_positive_matrix(n, d, seed):
    """x -> A x + t is the gradient of a convex function, so it is optimal for the samples and for their Gaussians."""
    left = cloud([n], d, seed)
    generator = Seeds(seed).torch()
    root, shift = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((d, d), (d,)))
    image = left.features @ (root @ root.T) + shift
    expected = (left.features - image).square().sum(1).mean().item()
    for method, unbiased in (("exact", True), ("gaussian", False)):
        found = label_distances(left, labelled(image, left.labels), method, unbiased=unbiased)
        assert found.item() == pytest.approx(expected, rel=1e-9)


def test_exact_distance_of_weighted_classes():
    x, y = cloud([2, 3]).features, cloud([4], 3, "right")
    weights = torch.tensor([0.1, 0.3, 0.2, 0.0, 0.4], dtype=torch.float64)
    table = label_distances(labelled(x, [0, 0, 1, 1, 1], weights), y, "exact")
    a, cost = (weights[2:] / 0.6).numpy(), ot.dist(x[2:].numpy(), y.features.numpy())
    assert table[1, 0].item() == pytest.approx(ot.emd2(a, [], cost), rel=1e-12)


@LAWS
@given(counts=COUNTS, others=COUNTS, d=st.integers(1, 5), seed=st.integers(0, 99))
def test_gaussian_is_a_lower_bound_of_exact(counts, others, d, seed):
    """Gelbrich's bound, for the moments of the samples themselves; the reference's users met its violation."""
    left, right = cloud(counts, d, seed), cloud(others, d, seed, "right")
    means, gaussian, exact, bound = (
        label_distances(left, right, method, unbiased=False) for method in ("means", "gaussian", "exact", "bound")
    )
    slack = 1e-10 * (1 + bound)
    assert (means <= gaussian + slack).all()
    assert (gaussian <= exact + slack).all()
    assert (exact <= bound + slack).all()


@LAWS
@given(n=st.integers(2, 6), d=st.integers(1, 4), seed=st.integers(0, 99))
def test_unbiased_gaussian_exceeds_exact_by_no_more_than_its_divisor(n, d, seed):
    left, right = cloud([n, n], d, seed), cloud([n], d, seed, "right")
    assert (label_distances(left, right) <= label_distances(left, right, "exact") * n / (n - 1) + 1e-10).all()


def test_unbiased_gaussian_does_exceed_exact():
    left, right = (labelled(torch.tensor(x, dtype=torch.float64), [0, 0]) for x in ([[0.0], [0.0]], [[-1.0], [1.0]]))
    assert label_distances(left, right, "exact").item() == pytest.approx(1)
    assert label_distances(left, right, "gaussian").item() == pytest.approx(2)
    assert label_distances(left, right, "gaussian", unbiased=False).item() == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_half_halves(method):
    left, right = cloud([3, 4]), cloud([5], 3, "right")
    whole = label_distances(left, right, method)
    assert torch.equal(label_distances(left, right, method, half=True), whole / 2)


@pytest.mark.parametrize("method", [method for method in METHODS if method != "bound"])
def test_a_class_is_at_distance_zero_from_itself(method):
    data = cloud([3, 9, 2], 4)
    itself = label_distances(data, data, method)
    assert (itself.diagonal() == 0).all()
    assert torch.equal(itself, itself.T)
    copy = labelled(data.features.clone(), data.labels.clone())
    assert (label_distances(data, copy, method).diagonal() == 0).all()
    order = torch.randperm(14, generator=Seeds(0).torch())
    shuffled = label_distances(data, data.take(order), method)
    assert (shuffled.diagonal() < 1e-25).all()
    torch.testing.assert_close(shuffled, itself, rtol=1e-11, atol=1e-25)


@LAWS
@given(
    counts=COUNTS,
    d=st.integers(1, 4),
    seed=st.integers(0, 99),
    method=st.sampled_from(["gaussian", "diagonal", "exact", "means"]),
)
def test_roots_obey_the_triangle_inequality(counts, d, seed, method):
    data = cloud([*counts, 3, 4], d, seed)
    root = label_distances(data, data, method).sqrt()
    assert (root[:, None] <= root[:, :, None] + root[None] + 1e-7).all()


@pytest.mark.parametrize("method", METHODS)
def test_dtype_follows_the_features(method):
    left, right = cloud([3, 4], dtype=torch.float32), cloud([5], 3, "right", dtype=torch.float32)
    table = label_distances(left, right, method)
    assert table.dtype == torch.float32
    exact = label_distances(
        labelled(left.features.double(), left.labels), labelled(right.features.double(), right.labels), method
    )
    assert torch.equal(table, exact.float())


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_finite_differences(method):
    left, right = cloud([3, 6], 4), cloud([4], 4, "right")

    def table(x):
        return label_distances(LabelledData(x, left.labels, left.names), right, method)

    assert torch.autograd.gradcheck(table, left.features.clone().requires_grad_())


# subsets and unions


def test_take_forgets_absent_classes_and_scales_weights():
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    data = labelled(cloud([4]).features, ["a", "b", "c", "b"], weights).take(torch.tensor([3, 2]))
    assert data.names == ("b", "c")
    assert data.labels.tolist() == [0, 1]
    torch.testing.assert_close(data.weights, torch.tensor([4 / 7, 3 / 7], dtype=torch.float64))


@pytest.mark.parametrize("balanced", [False, True])
def test_subsample_is_a_subset_that_its_seed_determines(balanced):
    data = cloud([10, 40, 5])
    part = data.subsample(30, Seeds(3), balanced)
    rows = squared_distances(part.features, data.features).argmin(1)
    assert torch.equal(data.features[rows], part.features)
    assert torch.equal(data.labels[rows], part.labels)
    assert (rows.diff() > 0).all()
    assert torch.equal(part.features, data.subsample(30, Seeds(3), balanced).features)
    assert not torch.equal(part.features, data.subsample(30, Seeds(4), balanced).features)
    assert torch.equal(data.subsample(55, Seeds(0), balanced).features, data.features)


@pytest.mark.parametrize(("n", "counts"), [(12, [4, 4, 4]), (30, [10, 15, 5]), (45, [10, 30, 5]), (3, [1, 1, 1])])
def test_balanced_subsample_shares_what_small_classes_lack(n, counts):
    assert cloud([10, 40, 5]).subsample(n, Seeds(0), balanced=True).counts.tolist() == counts


def test_balanced_subsample_draws_who_gives_the_odd_sample():
    """Each class alike, whatever its size: 20 of 60 draws are expected, with standard deviation 3.7."""
    parts = [tuple(cloud([10, 40, 5]).subsample(7, Seeds(seed), balanced=True).counts.tolist()) for seed in range(60)]
    assert all(8 <= parts.count(part) <= 32 for part in [(3, 2, 2), (2, 3, 2), (2, 2, 3)])


@pytest.mark.parametrize("n", [0, -1, 56])
def test_subsample_of_another_size(n):
    with pytest.raises(ValueError, match=f"n: got {n}, allowed are 1 to 55"):
        cloud([10, 40, 5]).subsample(n, Seeds(0))


def test_pooled_sets_keep_their_classes_apart():
    first, second = cloud([3, 4], names=["a", "b"]), cloud([2, 5], 3, "second", names=["b", "c"])
    both = pool([first, second])
    assert both.names == ((0, "a"), (0, "b"), (1, "b"), (1, "c"))
    table = label_distances(both, both)
    torch.testing.assert_close(table[:2, 2:], label_distances(first, second), rtol=1e-12, atol=0)
    torch.testing.assert_close(table[2:, 2:], label_distances(second, second), rtol=1e-12, atol=1e-20)


def test_sets_that_cannot_be_pooled():
    with pytest.raises(ValueError, match="sets: got none or weighted ones"):
        pool([])
    with pytest.raises(ValueError, match="sets: got none or weighted ones"):
        pool([labelled(torch.zeros(2, 1), [0, 0], torch.tensor([0.5, 0.5]))])
    with pytest.raises(ValueError, match="number of features"):
        pool([cloud([3]), cloud([3], 2)])
