"""Oracles 8, 9 and 10 of the dataset-geodesics spec: the (2, Q)-metric and its variance identity."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.seeds import Seeds
from lib.transport.couplings import couple
from lib.transport.geodesics import SoftCloud, interpolate, project, soft_cloud
from lib.transport.kernels import squared_distances
from lib.transport.labels import labelled
from lib.transport.metric import transport_metric
from lib.transport.weights import predicted_distance, simplex_grid

QUICK = settings(max_examples=25, deadline=None)
SEED = st.integers(0, 10_000)


def random_maps(members, n=6, d=3, seed=0):
    """A base and the images of its points under arbitrary maps, with arbitrary masses."""
    generator = Seeds(seed).torch()
    base = soft_cloud(labelled(torch.randn(n, d, generator=generator, dtype=torch.float64), torch.arange(n) % 2))
    mass = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1
    mass = mass / mass.sum()

    def soft(classes):
        return torch.rand(n, classes, generator=generator, dtype=torch.float64).softmax(1)

    def image(classes):
        return SoftCloud(torch.randn(n, d, generator=generator, dtype=torch.float64) * 3, soft(classes), mass, (classes,))

    return SoftCloud(base.features, base.labels, mass, (2,)), [image(2 + i % 3) for i in range(members)]


def means_table(sizes, seed=0):
    """Squared distances between random class means: a label cost that is squared Euclidean."""
    means = torch.randn(sum(sizes), 2, generator=Seeds(seed).torch(), dtype=torch.float64)
    return torch.cdist(means, means).square(), means


def random_weights(members, seed):
    a = torch.rand(members, generator=Seeds(seed).torch(), dtype=torch.float64)
    return a / a.sum()


def feature_distance(left, right):
    return left.mass @ (left.features - right.features).square().sum(1)


def coupled(base, *sources):
    """Base and sources, all of one class, as clouds; and the base's images under exact couplings."""
    clouds = [soft_cloud(labelled(x, [0] * len(x))) for x in (base, *sources)]
    plans = [couple(squared_distances(base, x)).plan for x in sources]
    return clouds[0], [project(plan, source) for plan, source in zip(plans, clouds[1:], strict=True)]


class TestOracle8ThroughTheBase:
    def test_two_dimensions(self):
        """Through the base 9.25, not the 1.25 of direct transport."""
        rows = [[10.0, 0.1], [-10.0, -0.1]], [[0.0, 1.0], [0.0, -1.0]], [[0.5, -2.0], [-0.5, 2.0]]
        base, *sources = (torch.tensor(points, dtype=torch.float64) for points in rows)
        assert transport_metric(*coupled(base, *sources), lam_y=0).pairwise[0, 1].item() == pytest.approx(9.25, rel=1e-13)
        assert couple(squared_distances(*sources)).value.item() == pytest.approx(1.25, rel=1e-13)


class TestOracle9Translates:
    @given(SEED, st.integers(1, 8))
    @QUICK
    def test_metric_optimum_and_the_point_there(self, seed, n):
        x = torch.randn(n, 2, generator=Seeds(seed).torch(), dtype=torch.float64)
        shifts = torch.tensor([[3.0, 0.0], [-1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
        base, maps = coupled(x, *(x + shift for shift in shifts))
        metric = transport_metric(base, maps, lam_y=0)
        assert metric.linear.tolist() == pytest.approx([9, 5, 5], rel=1e-12)
        wanted = torch.tensor([[0, 20, 20], [20, 0, 16], [20, 16, 0]], dtype=torch.float64)
        torch.testing.assert_close(metric.pairwise, wanted, rtol=1e-12, atol=0)
        best = metric.best()
        assert best.weights.tolist() == pytest.approx([0.25, 0.375, 0.375], abs=1e-12)
        assert best.value.item() == pytest.approx(0, abs=1e-12)
        torch.testing.assert_close(interpolate(maps, best.weights).features, x, rtol=0, atol=1e-12)


class TestOracle10VarianceIdentity:
    @given(SEED, st.integers(1, 5))
    @QUICK
    def test_predicted_distance_is_the_measured_one(self, seed, members):
        base, maps = random_maps(members, seed=seed)
        metric, a = transport_metric(base, maps, lam_y=0), random_weights(members, seed)
        measured = feature_distance(interpolate(maps, a), base)
        torch.testing.assert_close(metric.distance(a), measured, rtol=1e-10, atol=1e-10)
        assert metric.distance(a) >= -1e-12

    @given(SEED)
    @QUICK
    def test_the_same_holds_from_any_third_member(self, seed):
        base, maps = random_maps(4, seed=seed)
        metric, a = transport_metric(base, maps, lam_y=0), random_weights(3, seed)
        predicted = predicted_distance(a, metric.pairwise[3, :3], metric.pairwise[:3, :3])
        torch.testing.assert_close(predicted, feature_distance(interpolate(maps[:3], a), maps[3]), rtol=1e-10, atol=1e-10)

    @given(SEED)
    @QUICK
    def test_vertices_have_their_own_distance(self, seed):
        base, maps = random_maps(3, seed=seed)
        table, _ = means_table([2, 2, 3, 4], seed)
        metric = transport_metric(base, maps, table, lam_x=0.7, lam_y=1.3)
        torch.testing.assert_close(metric.distance(torch.eye(3).double()), metric.linear)


class TestParts:
    def test_a_hundred_thousand_weights_at_once_equal_one_by_one(self):
        base, maps = random_maps(3)
        metric, grid = transport_metric(base, maps, lam_y=0), simplex_grid(3, 445)
        assert len(grid) > 99_000
        many = metric.distance(grid)
        assert many[12_345].item() == pytest.approx(metric.distance(grid[12_345]).item(), rel=1e-12)

    @given(SEED)
    @QUICK
    def test_the_label_term_is_bilinear(self, seed):
        base, maps = random_maps(2, seed=seed)
        table, _ = means_table([2, 2, 3], seed)
        metric = transport_metric(base, maps, table, lam_x=0, lam_y=2.0)
        slow = sum(m * (x @ table[2:4, 4:] @ y) for m, x, y in zip(base.mass, maps[0].labels, maps[1].labels, strict=True))
        torch.testing.assert_close(metric.pairwise[0, 1], 2 * slow)
        slow = sum(m * (x @ table[:2, 4:] @ y) for m, x, y in zip(base.mass, base.labels, maps[1].labels, strict=True))
        torch.testing.assert_close(metric.linear[1], 2 * slow)

    def test_diagonal_is_zero_by_definition_though_soft_labels_are_not_one_hot(self):
        base, maps = random_maps(3)
        table, _ = means_table([2, 2, 3, 4])
        metric = transport_metric(base, maps, table)
        assert torch.equal(metric.squared.diagonal(), torch.zeros(4).double())
        assert torch.equal(metric.squared, metric.squared.T)

    def test_one_hot_labels_read_the_table(self):
        x, table = torch.zeros(2, 1).double(), torch.tensor([[0.0, 3.0, 5.0], [3.0, 0.0, 7.0], [5.0, 7.0, 0.0]]).double()
        base = soft_cloud(labelled(x, [0, 0]))
        metric = transport_metric(base, [soft_cloud(labelled(x, [0, 1]))], table)
        assert metric.linear.item() == 4.0

    def test_half_halves_everything(self):
        base, maps = random_maps(3)
        table, _ = means_table([2, 2, 3, 4])
        whole, half = (transport_metric(base, maps, table, half=choice) for choice in (False, True))
        assert torch.equal(half.squared, whole.squared / 2)
        torch.testing.assert_close(half.best().weights, whole.best().weights)

    def test_equal_maps_have_distance_zero_to_the_bit(self):
        base, maps = random_maps(1)
        metric = transport_metric(base, [maps[0], maps[0], base], lam_y=0)
        assert metric.pairwise[0, 1] == 0
        assert metric.linear[2] == 0

    def test_a_coupling_costs_more_than_its_projection_by_the_conditional_variance(self):
        base, source = random_maps(1, n=4)[0], soft_cloud(labelled(random_maps(1, n=7, seed=2)[0].features, [0] * 7))
        base = soft_cloud(labelled(base.features, [0] * 4))
        plan = torch.rand(4, 7, generator=Seeds(0).torch(), dtype=torch.float64)
        plan = plan / plan.sum(1, keepdim=True) / 4
        image = project(plan, source)
        variance = (plan * torch.cdist(image.features, source.features).square()).sum()
        cost = (plan * torch.cdist(base.features, source.features).square()).sum()
        w = transport_metric(base, [image], lam_y=0).linear[0]
        torch.testing.assert_close(w + variance, cost)


class TestBadInput:
    @pytest.mark.parametrize(
        ("lam_x", "lam_y", "words"),
        [
            (-1.0, 1.0, "lam_x: got -1.0"),
            (1.0, float("nan"), "lam_y: got nan"),
            (0.0, 0.0, "both are 0"),
            (1.0, -0.1, "lam_y: got"),
        ],
    )
    def test_lambdas(self, lam_x, lam_y, words):
        base, maps = random_maps(1)
        with pytest.raises(ValueError, match=words):
            transport_metric(base, maps, lam_x=lam_x, lam_y=lam_y)

    def test_table(self):
        base, maps = random_maps(1)
        table, _ = means_table([2, 2])
        with pytest.raises(ValueError, match=r"table: got none, allowed is \(4, 4\)"):
            transport_metric(base, maps)
        with pytest.raises(ValueError, match=r"table: got \(3, 3\), allowed is \(4, 4\)"):
            transport_metric(base, maps, table[:3, :3])
        with pytest.raises(ValueError, match="table: got a negative value"):
            transport_metric(base, maps, table - 1)
        with pytest.raises(ValueError, match="table: differs from its transpose"):
            transport_metric(base, maps, table + torch.arange(4.0).double())
        with pytest.raises(ValueError, match="not finite"):
            transport_metric(base, maps, table / 0)

    def test_maps(self):
        base, maps = random_maps(1)
        with pytest.raises(ValueError, match="maps: got none"):
            transport_metric(base, [], lam_y=0)
        with pytest.raises(ValueError, match="number 1 has 5 points, number 0 6"):
            transport_metric(base, [maps[0].take(torch.arange(5))], lam_y=0)
