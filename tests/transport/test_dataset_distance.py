"""Oracles 2-5, 11 and 12 of the dataset-geodesics spec for the distance of labelled data sets, and its laws."""

import itertools

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch.utils._python_dispatch import TorchDispatchMode

import lib.transport.dataset_distance
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings, augmented_features, dataset_distance, ground_cost
from lib.transport.gaussian import class_gaussians
from lib.transport.geodesics import project, soft_cloud
from lib.transport.kernels import squared_distances
from lib.transport.labels import METHODS, LabelledData, label_distances, labelled

LAWS = settings(max_examples=15, deadline=None)
COUNTS = st.lists(st.integers(2, 5), min_size=1, max_size=3)
CORNERS = torch.tensor([[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]], dtype=torch.float64)
EXACT = {"method": "exact"}


def cloud(counts, d=3, *path, dtype=torch.float64):
    """Normal samples around a centre of each class."""
    generator = Seeds(7).child(*path).torch()
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    centres = torch.randn(len(counts), d, generator=generator, dtype=dtype)
    features = centres[labels] + torch.randn(len(labels), d, generator=generator, dtype=dtype)
    return labelled(features, labels)


def moved(data, function):
    return labelled(function(data.features), data.labels)


def value(left, right, **choices):
    return dataset_distance(left, right, Settings(**choices), method="exact").value.item()


# oracle 2


@pytest.mark.parametrize(
    ("features", "labels", "expected"),
    [
        (CORNERS, [0, 0, 1, 1], 0),
        (CORNERS + torch.tensor([1.0, 3.0]), [0, 0, 1, 1], 20),
        (CORNERS, [1, 1, 0, 0], 0),
        (CORNERS, ["b", "b", "a", "a"], 0),
        (CORNERS, [0, 1, 0, 1], 15),
    ],
)
def test_tiny_data_sets(features, labels, expected):
    left, right = labelled(CORNERS, [0, 0, 1, 1]), labelled(features, labels)
    assert value(left, right) == pytest.approx(expected, rel=1e-14, abs=1e-14)
    assert value(left, right, half=True) == pytest.approx(expected / 2, rel=1e-14, abs=1e-14)


def test_tables_of_tiny_data_sets():
    left = labelled(CORNERS, [0, 0, 1, 1])
    shifted = dataset_distance(left, moved(left, lambda x: x + torch.tensor([1.0, 3.0])))
    torch.testing.assert_close(shifted.table, torch.tensor([[10.0, 34.0], [18.0, 10.0]], dtype=torch.float64))
    crossed = dataset_distance(left, labelled(CORNERS, [0, 1, 0, 1]))
    torch.testing.assert_close(crossed.table, torch.full((2, 2), 15.0, dtype=torch.float64))
    assert (ground_cost(left, left, None, Settings(lam_y=0.0)).diagonal() == 0).all()


# identity: the reference's users met distances above zero


@pytest.mark.parametrize("method", [method for method in METHODS if method != "bound"])
@pytest.mark.parametrize("half", [False, True])
def test_a_data_set_is_at_distance_zero_from_itself(method, half):
    data = cloud([2, 9, 40, 3], 5)
    choices = {"label_method": method, "half": half}
    assert value(data, data, **choices) == 0
    assert value(data, moved(data, torch.clone), **choices) == 0
    shuffled = data.take(torch.randperm(54, generator=Seeds(0).torch()))
    assert value(data, shuffled, **choices) < 1e-24
    found = dataset_distance(data, data, Settings(**choices))  # by the solver that `couple` would choose
    assert found.value <= found.coupling.certificate.gap + 1e-12


def test_float32_data_set_is_at_distance_zero_from_itself():
    data = cloud([20, 30], 50, dtype=torch.float32)
    found = dataset_distance(data, data, **EXACT)
    assert found.value == 0
    assert found.value.dtype == found.table.dtype == torch.float32


# oracle 3


@LAWS
@given(counts=COUNTS, others=COUNTS, d=st.integers(1, 4), seed=st.integers(0, 99), method=st.sampled_from(["gaussian", "exact"]))
def test_joint_motions_change_nothing_and_scaling_squares(counts, others, d, seed, method):
    left, right = cloud(counts, d, seed), cloud(others, d, seed, "right")
    generator = Seeds(seed).torch()
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
    shift = 5 * torch.randn(d, generator=generator, dtype=torch.float64)
    plain = value(left, right, label_method=method)
    rigid = value(moved(left, lambda x: x @ turn + shift), moved(right, lambda x: x @ turn + shift), label_method=method)
    assert rigid == pytest.approx(plain, rel=1e-9, abs=1e-12)
    for scale in (1e-4, 3.0, 1e5):
        scaled = value(moved(left, lambda x, s=scale: s * x), moved(right, lambda x, s=scale: s * x), label_method=method)
        assert scaled == pytest.approx(scale**2 * plain, rel=1e-9)


@LAWS
@given(counts=COUNTS, d=st.integers(1, 4), seed=st.integers(0, 99))
def test_translation_by_t_costs_both_terms(counts, d, seed):
    """Moving a data set by t is at most lam_x |t|^2 + lam_y |t|^2 away, and exactly that far for one class."""
    data, t = cloud(counts, d, seed), torch.linspace(-1, 2, d, dtype=torch.float64)
    found = value(data, moved(data, lambda x: x + t), lam_x=0.5, lam_y=3.0)
    limit = 3.5 * t.square().sum().item()
    assert found <= limit * (1 + 1e-12)
    if len(counts) == 1:
        assert found == pytest.approx(limit, rel=1e-12)


@LAWS
@given(counts=COUNTS, others=COUNTS, seed=st.integers(0, 99), method=st.sampled_from(["gaussian", "diagonal", "exact"]))
def test_order_and_names_change_nothing(counts, others, seed, method):
    left, right = cloud(counts, 3, seed), cloud(others, 3, seed, "right")
    order = torch.randperm(len(left.labels), generator=Seeds(seed).torch())
    renamed = labelled(left.features[order], [f"class {9 - c}" for c in left.labels[order].tolist()])
    expected = value(left, right, label_method=method)
    assert value(renamed, right, label_method=method) == pytest.approx(expected, rel=1e-10)


@LAWS
@given(counts=COUNTS, others=COUNTS, seed=st.integers(0, 99), method=st.sampled_from(METHODS))
def test_duplicates_change_nothing_in_the_population(counts, others, seed, method):
    left, right = cloud(counts, 3, seed), cloud(others, 3, seed, "right")
    twice = labelled(left.features.repeat(2, 1), left.labels.repeat(2))
    choices = {"label_method": method, "unbiased": False}
    expected = value(left, right, **choices)
    assert value(twice, right, **choices) == pytest.approx(expected, rel=1e-10)
    mass = torch.full((len(left.labels),), 1 / len(left.labels), dtype=torch.float64)
    assert value(labelled(left.features, left.labels, mass), right, **choices) == pytest.approx(expected, rel=1e-10)


@LAWS
@given(classes=st.integers(1, 4), others=st.integers(1, 4), seed=st.integers(0, 99), method=st.sampled_from(METHODS))
def test_classes_that_are_diracs_have_their_points_distances(classes, others, seed, method):
    """The label term repeats the features': the distance is (lam_x + lam_y) W2^2 of the points."""
    x, y = (cloud([n], 3, seed, k).features for k, n in enumerate((classes, others)))
    left, right = (labelled(z.repeat(3, 1), torch.arange(len(z)).repeat(3)) for z in (x, y))
    expected = 2.5 * ot.emd2([], [], ot.dist(x.numpy(), y.numpy()))
    assert value(left, right, lam_x=0.5, lam_y=2.0, label_method=method) == pytest.approx(expected, rel=1e-9)


def test_weights_are_duplicates():
    left, right = cloud([3, 3]), cloud([4, 4], 3, "right")
    rows = torch.tensor([0, 1, 1, 2, 3, 4, 5, 5, 5])
    weights = torch.bincount(rows).double() / 9
    weighted = labelled(left.features, left.labels, weights)
    for method in METHODS:
        expected = value(left.take(rows), right, label_method=method, unbiased=False)
        assert value(weighted, right, label_method=method, unbiased=False) == pytest.approx(expected, rel=1e-10)


# a metric


@LAWS
@given(
    seed=st.integers(0, 99), counts=st.tuples(COUNTS, COUNTS, COUNTS), method=st.sampled_from(["gaussian", "diagonal", "exact"])
)
def test_symmetry_and_triangle_inequality_of_the_root(seed, counts, method):
    sets = [cloud(each, 2, seed, k) for k, each in enumerate(counts)]
    d = [[value(a, b, label_method=method) ** 0.5 for b in sets] for a in sets]
    assert d[0][1] == pytest.approx(d[1][0], rel=1e-10)
    assert d[0][2] <= d[0][1] + d[1][2] + 1e-9


@LAWS
@given(counts=COUNTS, others=COUNTS, seed=st.integers(0, 99))
def test_gaussian_labels_give_a_lower_bound(counts, others, seed):
    """The reference's users met a bound above the exact value."""
    left, right = cloud(counts, 3, seed), cloud(others, 3, seed, "right")
    means, gaussian, exact, bound = (
        value(left, right, label_method=method, unbiased=False) for method in ("means", "gaussian", "exact", "bound")
    )
    assert means <= gaussian * (1 + 1e-12)
    assert gaussian <= exact * (1 + 1e-12)
    assert exact <= bound * (1 + 1e-12)


# oracle 4


def test_without_labels_it_is_plain_transport():
    left, right = cloud([5, 1, 4]), cloud([7], 3, "right")
    found = dataset_distance(left, right, Settings(lam_x=2.5, lam_y=0.0), **EXACT)
    assert found.value.item() == pytest.approx(2.5 * ot.emd2([], [], ot.dist(left.features.numpy(), right.features.numpy())))
    assert found.table is None
    assert len(found.left.labels) == 10


def test_without_features_it_is_transport_of_label_histograms():
    left, right = cloud([5, 2, 4]), cloud([7, 3], 3, "right")
    found = dataset_distance(left, right, Settings(lam_x=0.0, lam_y=0.5), **EXACT)
    cost = 0.5 * label_distances(left, right).numpy()
    assert found.value.item() == pytest.approx(ot.emd2(np.array([5, 2, 4]) / 11, np.array([0.7, 0.3]), cost))


# oracle 5


@LAWS
@given(counts=COUNTS, others=COUNTS, d=st.integers(1, 4), seed=st.integers(0, 99), half=st.booleans())
def test_augmented_points_have_the_ground_cost_as_plain_distances(counts, others, d, seed, half):
    left, right = cloud(counts, d, seed), cloud(others, d, seed, "right")
    chosen = Settings(lam_x=0.7, lam_y=2.0, label_method="diagonal", half=half)
    x, y = augmented_features(left, chosen), augmented_features(right, chosen)
    assert x.shape == (len(left.labels), 3 * d)
    found, plain = dataset_distance(left, right, chosen, **EXACT), torch.cdist(x, y).square()
    torch.testing.assert_close(ground_cost(left, right, found.table, chosen), plain, rtol=1e-10, atol=1e-10)
    assert found.value.item() == pytest.approx(ot.emd2([], [], plain.numpy()), rel=1e-10)


def test_full_covariances_have_no_augmented_points():
    with pytest.raises(ValueError, match="label_method: got 'gaussian', allowed is diagonal"):
        augmented_features(cloud([3]), Settings())


# oracles 11 and 12


def test_entropic_value_falls_to_the_exact_one():
    left, right = cloud([10, 12]), cloud([9, 14], 3, "right")
    exact = value(left, right)
    scale = exact * 0.5 ** torch.arange(1, 9, 2)
    off = []
    for epsilon in scale.tolist():
        found = dataset_distance(left, right, method="entropic", epsilon=epsilon)
        assert found.coupling.certificate.ok
        cost = ground_cost(left, right, found.table, Settings())
        off.append((found.coupling.plan * cost).sum().item() - exact)
    assert all(earlier > later > -1e-9 for earlier, later in itertools.pairwise(off))
    assert off[-1] < 0.02 * exact


def test_entropic_plan_tends_to_the_independent_one():
    left, right = cloud([4, 5]), cloud([3, 4], 3, "right")
    plan = dataset_distance(left, right, method="entropic", epsilon=1e6).coupling.plan
    torch.testing.assert_close(plan, torch.full_like(plan, 1 / 63), rtol=1e-4, atol=0)


def plain_cost(left, right):
    """The Gaussian ground cost, pair by pair with POT's Bures distance (to 1e-7 for singular classes)."""
    ours, theirs = (class_gaussians(data.features, data.labels, data.classes) for data in (left, right))
    cost = ot.dist(left.features.numpy(), right.features.numpy())
    for i, c in enumerate(left.labels.tolist()):
        for j, k in enumerate(right.labels.tolist()):
            a, b = ours.factors[c] @ ours.factors[c].T, theirs.factors[k] @ theirs.factors[k].T
            cost[i, j] += ot.gaussian.bures_wasserstein_distance(ours.means[c], theirs.means[k], a, b).item() ** 2
    return cost


def test_value_is_that_of_pot_and_scipy():
    left, right = cloud([8, 7]), cloud([9, 6], 3, "right")
    cost, found = plain_cost(left, right), dataset_distance(left, right, **EXACT)
    assert found.value.item() == pytest.approx(ot.emd2([], [], cost), rel=1e-9)
    assert found.value.item() == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-9)
    torch.testing.assert_close(found.coupling.plan.sum(1), torch.full((15,), 1 / 15, dtype=torch.float64))
    assert found.coupling.certificate.ok


@LAWS
@given(seed=st.integers(0, 99), n=st.integers(4, 6))
def test_value_is_the_best_of_all_permutations(seed, n):
    left, right = cloud([2, n - 2], 2, seed), cloud([n - 2, 2], 2, seed, "right")
    cost = plain_cost(left, right)
    best = min(sum(cost[i, j] for i, j in enumerate(order)) for order in itertools.permutations(range(n)))
    assert value(left, right) == pytest.approx(best / n, rel=1e-6)


# other properties


@pytest.mark.parametrize("method", METHODS)
def test_gradient_is_that_of_finite_differences(monkeypatch, method):
    monkeypatch.setattr(lib.transport.dataset_distance, "AT_ONCE", 15)  # two rows at a time
    left, right = cloud([3, 4], 4), cloud([5, 2], 4, "right")

    def distance(x):
        return dataset_distance(LabelledData(x, left.labels, left.names), right, Settings(label_method=method), **EXACT).value

    assert torch.autograd.gradcheck(distance, left.features.clone().requires_grad_())


def test_gradient_of_the_entropic_plan_is_that_of_finite_differences():
    """Through cost and label distances to the projection, which is what a map between data sets is."""
    left, right = cloud([3, 4], 2), cloud([3, 2], 2, "right")

    def image(x):
        found = dataset_distance(LabelledData(x, left.labels, left.names), right, method="entropic", epsilon=0.5)
        return project(found.coupling.plan, soft_cloud(right)).features

    assert torch.autograd.gradcheck(image, left.features.clone().requires_grad_(), eps=1e-5, atol=1e-6)


def test_given_table_stands_in_for_label_distances():
    left, right = cloud([5, 6]), cloud([4, 7, 3], 3, "right")
    full = label_distances(left, right)
    for half in (False, True):
        chosen = Settings(half=half)
        found = dataset_distance(left, right, chosen, table=full, **EXACT)
        assert found.value == dataset_distance(left, right, chosen, **EXACT).value
        torch.testing.assert_close(found.table, full / 2 if half else full)
    part = left.subsample(6, Seeds(0))
    assert dataset_distance(part, right, table=full[: part.classes], **EXACT).value > 0


def test_dropped_classes_are_missing_from_the_coupling():
    left, right = cloud([4, 1, 3]), cloud([5, 1], 3, "right")
    with pytest.warns(UserWarning, match="dropped: class 1"):
        found = dataset_distance(left, right, **EXACT)
    assert found.left.names == (0, 2)
    assert found.coupling.plan.shape == (7, 5) == (len(found.left.labels), len(found.right.labels))
    with pytest.warns(UserWarning, match="dropped: class 1"):
        assert dataset_distance(left, left, **EXACT).value == 0
    assert dataset_distance(left, right, Settings(label_method="exact"), **EXACT).coupling.plan.shape == (8, 6)


def test_many_small_classes_of_unequal_size():
    counts = [2 + k % 5 for k in range(60)]
    left, right = cloud(counts, 4), cloud([9], 4, "right")
    assert dataset_distance(left, right, **EXACT).table.shape == (60, 1)
    assert value(left, left.take(torch.arange(len(left.labels)).flip(0))) < 1e-24


class LargeStorages(TorchDispatchMode):
    """Collects the storages of `entries` numbers or more that come into being."""

    def __init__(self, entries):
        super().__init__()
        self.entries, self.seen = entries, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for each in out if isinstance(out, (list, tuple)) else [out]:
            if isinstance(each, torch.Tensor) and each.untyped_storage().nbytes() >= each.element_size() * self.entries:
                self.seen[each.untyped_storage().data_ptr()] = each  # kept, so that no address comes twice
        return out


@pytest.mark.parametrize("lam_x", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ground_cost_makes_one_matrix(monkeypatch, lam_x, dtype):
    left, right = cloud([50, 70, 80], dtype=dtype), cloud([90, 160], 3, "right", dtype=dtype)
    table = label_distances(left, right)
    at_once = ground_cost(left, right, table, Settings(lam_x=lam_x))
    monkeypatch.setattr(lib.transport.dataset_distance, "AT_ONCE", 3000)
    with LargeStorages(200 * 250 // 2) as large:
        cost = ground_cost(left, right, table, Settings(lam_x=lam_x))
    assert len(large.seen) == 1
    assert cost.dtype == dtype
    gathered = lam_x * squared_distances(left.features, right.features) + table[left.labels][:, right.labels]
    torch.testing.assert_close(cost, gathered)
    torch.testing.assert_close(cost, at_once)


@pytest.mark.parametrize(
    "chosen", [Settings(), Settings(half=True, lam_x=0.5, lam_y=3.0), Settings(lam_y=0.0), Settings(lam_x=0.0)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_data_sets_take_the_route_without_a_matrix(monkeypatch, chosen, dtype):
    """The reference's users met failures on large samples."""
    weights = torch.rand(70, generator=Seeds(0).torch(), dtype=torch.float64)
    left, right = cloud([30, 40], dtype=dtype), cloud([50, 3, 45], 3, "right", dtype=dtype)
    left = labelled(left.features, left.labels, (weights / weights.sum()).to(dtype))
    dense = dataset_distance(left, right, chosen)
    monkeypatch.setattr(lib.transport.dataset_distance, "LARGE", 70 * 98 - 1)
    large = dataset_distance(left, right, chosen)
    assert large.coupling.plan.is_sparse
    assert not dense.coupling.plan.is_sparse
    assert large.coupling.certificate.ok
    assert large.value.dtype == dtype
    torch.testing.assert_close(large.value, dense.value)
    assert dataset_distance(left, left, chosen).value <= 1e-12


def test_large_data_sets_have_the_same_gradient(monkeypatch):
    left, right = cloud([6, 7]), cloud([5, 3, 4], 3, "right")
    slopes = []
    for limit in (10**9, 10):
        monkeypatch.setattr(lib.transport.dataset_distance, "LARGE", limit)
        x = left.features.clone().requires_grad_()
        dataset_distance(LabelledData(x, left.labels, left.names), right).value.backward()
        slopes.append(x.grad)
    torch.testing.assert_close(slopes[0], slopes[1])


# bad input


@pytest.mark.parametrize("name", ["lam_x", "lam_y"])
@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_weights_of_the_terms(name, bad):
    with pytest.raises(ValueError, match=f"{name}: got {bad}, allowed are finite numbers >= 0"):
        Settings(**{name: bad})


def test_both_terms_off():
    with pytest.raises(ValueError, match="lam_x, lam_y: got 0 for both"):
        Settings(lam_x=0.0, lam_y=0.0)


def test_unknown_label_method():
    with pytest.raises(ValueError, match="label_method: got 'bures', allowed are gaussian, diagonal, exact, bound, means"):
        Settings(label_method="bures")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (torch.ones(2, 3), r"table: got shape \(2, 3\), allowed is \(2, 1\)"),
        (torch.tensor([[1.0], [-1.0]]), "table: got -1.0, allowed are finite squared distances >= 0"),
        (torch.tensor([[float("nan")], [1.0]]), "table: got nan, allowed"),
        (torch.tensor([[float("inf")], [1.0]]), "table: got inf, allowed"),
    ],
)
def test_table_that_is_none(table, message):
    with pytest.raises(ValueError, match=message):
        dataset_distance(cloud([3, 3]), cloud([4], 3, "right"), table=table)


def test_data_sets_that_do_not_fit():
    left = cloud([3, 3])
    with pytest.raises(ValueError, match="right: got number of features 4, the left data set has 3"):
        dataset_distance(left, cloud([3, 3], 4))
    with pytest.raises(ValueError, match=r"right: got dtype torch.float32, the left data set has torch.float64"):
        dataset_distance(left, cloud([3, 3], dtype=torch.float32), Settings(lam_y=0.0))
    elsewhere = LabelledData(left.features.to("meta"), left.labels.to("meta"), left.names)
    with pytest.raises(ValueError, match="right: got device meta, the left data set has cpu"):
        dataset_distance(left, elsewhere)


def test_no_class_of_two_samples():
    with pytest.raises(ValueError, match=r"labels: every class \(0, 1\) has fewer than 2 samples"):
        dataset_distance(cloud([1, 1]), cloud([3, 3]))


def test_unknown_solver():
    with pytest.raises(ValueError, match="method: got 'unbalanced', allowed are auto, exact, entropic"):
        dataset_distance(cloud([3]), cloud([3]), method="unbalanced")


def test_epsilon_must_be_positive():
    for epsilon in (0.0, -1.0):
        with pytest.raises(ValueError, match="epsilon"):
            dataset_distance(cloud([3]), cloud([3]), method="entropic", epsilon=epsilon)
        with pytest.raises(ValueError, match=f"epsilon: got {epsilon}"):
            dataset_distance(cloud([3]), cloud([3]), epsilon=epsilon)
