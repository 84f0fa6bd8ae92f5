"""Oracles 6, 7, 8 and 11 of the dataset-geodesics spec: projections, mixtures and displacement."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from lib.seeds import Seeds
from lib.transport import exact as exact_solver
from lib.transport.couplings import couple
from lib.transport.geodesics import SoftCloud, displacement, interpolate, mixup, project, soft_cloud
from lib.transport.labels import labelled
from lib.transport.large import couple_clouds

QUICK = settings(max_examples=25, deadline=None)
SEED = st.integers(0, 10_000)


def cloud(n, d=3, classes=4, seed=0, dtype=torch.float64):
    """Random points with random one-hot labels; not every class need occur."""
    generator = Seeds(seed).torch()
    features = torch.randn(n, d, generator=generator, dtype=dtype)
    labels = torch.eye(classes, dtype=dtype)[torch.randint(classes, (n,), generator=generator)]
    return SoftCloud(features, labels, features.new_full((n,), 1 / n), (classes,))


def points(rows):
    x = torch.tensor(rows, dtype=torch.float64).reshape(len(rows), -1)
    return soft_cloud(labelled(x, torch.zeros(len(x), dtype=torch.long)))


def exact(left, right):
    """Optimal plan of the squared distance, by POT."""
    cost = torch.cdist(left.features, right.features).square().numpy()
    return torch.from_numpy(ot.emd(left.mass.numpy(), right.mass.numpy(), cost))


def squared_w2(left, right):
    cost = (left.features[:, None] - right.features[None]).square().sum(-1).numpy()
    return float(ot.emd2(left.mass.numpy(), right.mass.numpy(), cost))


def random_plan(n, m, seed):
    return torch.rand(n, m, generator=Seeds(seed).torch(), dtype=torch.float64)


class TestOracle6Projection:
    @given(SEED, st.integers(2, 9), st.integers(1, 9))
    @QUICK
    def test_soft_labels_are_distributions(self, seed, n, m):
        image = project(random_plan(n, m, seed), cloud(m, seed=seed))
        assert (image.labels >= 0).all()
        torch.testing.assert_close(image.labels.sum(1), torch.ones(n).double(), atol=1e-10, rtol=0)
        torch.testing.assert_close(image.mass.sum(), torch.tensor(1.0).double())

    @given(SEED)
    @QUICK
    def test_projections_lie_in_the_convex_hull_of_the_source(self, seed):
        source = cloud(6, d=2, seed=seed)
        for row in project(random_plan(3, 6, seed), source).features.numpy():
            system = np.vstack([source.features.numpy().T, np.ones(6)])
            assert linprog(np.zeros(6), A_eq=system, b_eq=[*row, 1], method="highs").success

    @given(SEED, st.integers(2, 30))
    @QUICK
    def test_a_permutation_returns_the_source_points_and_labels_exactly(self, seed, n):
        base, source, other = cloud(n, seed=seed), cloud(n, seed=seed + 1), cloud(n, seed=seed + 2)
        images = [project(exact(base, source), source), project(exact(base, other), other)]
        end = interpolate(images, torch.tensor([1.0, 0.0]).double())
        assert sorted(map(tuple, images[0].features.tolist())) == sorted(map(tuple, source.features.tolist()))
        whole = torch.cat([source.features, source.labels, torch.zeros(n, 4)], 1)
        assert sorted(map(tuple, torch.cat([end.features, end.labels], 1).tolist())) == sorted(map(tuple, whole.tolist()))

    @pytest.mark.parametrize("many", [10**9, 1], ids=["network simplex", "column generation"])
    def test_every_vertex_of_our_own_exact_couplings_is_its_source(self, many, monkeypatch):
        monkeypatch.setattr(exact_solver, "MANY", many)
        monkeypatch.setattr(exact_solver, "FEW_POINTS", 1)
        n, base, sources = 31, cloud(31), [cloud(31, seed=k) for k in (1, 2, 3)]
        plans = [couple(torch.cdist(base.features, source.features).square()).plan for source in sources]
        images = [project(plan, source) for plan, source in zip(plans, sources, strict=True)]
        for i, (plan, source) in enumerate(zip(plans, sources, strict=True)):
            assert (plan > 0).sum(0).tolist() == (plan > 0).sum(1).tolist() == [1] * n
            end = interpolate(images, torch.eye(3, dtype=torch.float64)[i])
            own = end.labels.split(end.blocks, 1)[i]
            assert end.labels.sum() == own.sum() == n
            found, whole = (torch.cat([c, y], 1).tolist() for c, y in ((end.features, own), (source.features, source.labels)))
            assert sorted(found) == sorted(whole)

    def test_hard_assignment_takes_the_heaviest_partner_and_the_first_of_several(self):
        plan = torch.tensor([[0.2, 0.3, 0.0], [0.1, 0.1, 0.3], [0.4, 0.1, 0.4]]).double()
        source = cloud(3)
        image = project(plan, source, "hard")
        assert torch.equal(image.features, source.features[[1, 2, 0]])
        assert torch.equal(image.labels, source.labels[[1, 2, 0]])
        torch.testing.assert_close(image.mass, torch.tensor([0.5, 0.5, 0.9]).double() / 1.9)

    @given(SEED, st.floats(1e-6, 1e6))
    @QUICK
    def test_scaling_a_plan_changes_nothing(self, seed, scale):
        plan, source = random_plan(4, 5, seed), cloud(5, seed=seed)
        one, other = project(plan, source), project(plan * scale, source)
        torch.testing.assert_close(one.features, other.features)
        torch.testing.assert_close(one.mass, other.mass)

    def test_types_follow_the_cloud(self):
        image = project(random_plan(4, 5, 0), cloud(5, dtype=torch.float32))
        assert image.features.dtype == image.labels.dtype == image.mass.dtype == torch.float32


class TestOracle11Entropic:
    def test_goes_to_the_exact_projection_and_to_the_mean(self):
        base, noise = cloud(8, seed=3), cloud(8, seed=4)
        source = SoftCloud(base.features.flip(0) + 0.3 * noise.features, base.labels, base.mass, base.blocks)
        cost = torch.cdist(base.features, source.features).square()

        def image(epsilon):
            plan = couple(cost, base.mass, source.mass, epsilon=epsilon).plan
            return project(plan, source).features

        best = project(exact(base, source), source).features
        apart = [(image(epsilon) - best).abs().max().item() for epsilon in (2.0, 0.5, 0.1, 0.02)]
        assert apart == sorted(apart, reverse=True)
        assert apart[-1] < 1e-6
        torch.testing.assert_close(image(1e6), source.features.mean(0).expand(8, 3), atol=1e-4, rtol=0)


class TestSoftCloud:
    def test_labelled_data_become_one_hot_with_their_weights(self):
        x = torch.zeros(3, 2).double()
        plain = soft_cloud(labelled(x, ["b", "a", "b"]))
        assert plain.labels.tolist() == [[0, 1], [1, 0], [0, 1]]
        assert plain.mass.tolist() == pytest.approx([1 / 3] * 3)
        assert plain.blocks == (2,)
        weights = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
        assert torch.equal(soft_cloud(labelled(x, [1, 2, 3], weights)).mass, weights)


class TestInterpolation:
    def test_labels_are_blocks_over_the_union_of_label_sets(self):
        base = cloud(7)
        images = [project(random_plan(7, 5, 1), cloud(5, classes=2)), project(random_plan(7, 6, 1), cloud(6, classes=3))]
        images = [SoftCloud(i.features, i.labels, base.mass, i.blocks) for i in images]
        mix = interpolate(images, torch.tensor([0.25, 0.75]).double())
        assert mix.blocks == (2, 3)
        assert torch.equal(mix.labels[:, :2], 0.25 * images[0].labels)
        assert torch.equal(mix.labels[:, 2:], 0.75 * images[1].labels)
        torch.testing.assert_close(mix.features, 0.25 * images[0].features + 0.75 * images[1].features)

    @given(SEED)
    @QUICK
    def test_one_dimensional_hulls_are_mccanns(self, seed):
        """On a line every base gives the monotone pairing."""
        base, left, right = (cloud(6, d=1, seed=seed + k) for k in range(3))
        images = [project(exact(base, other), other) for other in (left, right)]
        general = interpolate(images, torch.tensor([0.3, 0.7], dtype=torch.float64)).features
        direct = displacement(left, right, exact(left, right), 0.7).features
        torch.testing.assert_close(general.sort(0).values, direct.sort(0).values)

    def test_subsets_of_a_cloud_keep_their_relative_mass(self):
        image = project(torch.tensor([[1.0], [2.0], [3.0]]).double(), cloud(1)).take(torch.tensor([0, 2]))
        torch.testing.assert_close(image.mass, torch.tensor([0.25, 0.75]).double())


class TestOracle7ConstantSpeed:
    @pytest.mark.parametrize(("n", "m"), [(12, 12), (10, 7)], ids=["permutation", "unequal sizes"])
    def test_distance_along_the_path_is_the_difference_of_times(self, n, m):
        left, right = cloud(n, seed=1), cloud(m, seed=2)
        plan, times = exact(left, right), (0.0, 0.25, 0.5, 1.0)
        path = [displacement(left, right, plan, t) for t in times]
        whole = squared_w2(left, right) ** 0.5
        for s, start in zip(times, path, strict=True):
            for t, end in zip(times, path, strict=True):
                if s != t:
                    assert squared_w2(start, end) ** 0.5 == pytest.approx(abs(t - s) * whole, abs=1e-8)

    def test_the_base_among_the_sources_gives_the_same_path(self):
        base, source = cloud(9, seed=5), cloud(9, seed=6)
        plan = exact(base, source)
        general = interpolate([base, project(plan, source)], torch.tensor([0.6, 0.4], dtype=torch.float64))
        direct = displacement(base, source, plan, 0.4)
        order = plan.argmax(1)  # the pairs come row by row
        assert torch.equal(direct.labels[:, 4:].argmax(1), source.labels[order].argmax(1))
        torch.testing.assert_close(general.features, direct.features)
        torch.testing.assert_close(general.labels, direct.labels)

    def test_ends_are_the_data_sets(self):
        left, right = cloud(5, seed=7), cloud(8, seed=8)
        path = [displacement(left, right, exact(left, right), t) for t in (0.0, 1.0)]
        assert squared_w2(path[0], left) == pytest.approx(0, abs=1e-12)
        assert squared_w2(path[1], right) == pytest.approx(0, abs=1e-12)


class TestOracle8GeneralisedIsNotMcCann:
    def test_two_dimensions(self):
        base = points([[10.0, 0.1], [-10.0, -0.1]])
        left, right = points([[0.0, 1.0], [0.0, -1.0]]), points([[0.5, -2.0], [-0.5, 2.0]])
        images = [project(exact(base, other), other) for other in (left, right)]
        middle = interpolate(images, torch.tensor([0.5, 0.5]).double()).features
        through_base = (images[0].features - images[1].features).square().sum(1).mean()
        assert middle[0].tolist() == pytest.approx([0.25, -0.5])
        assert through_base.item() == pytest.approx(9.25)
        assert squared_w2(left, right) == pytest.approx(1.25)
        assert displacement(left, right, exact(left, right), 1.0).features[0].tolist() == pytest.approx([-0.5, 2.0])

    def test_one_dimension(self):
        base, left, right = (points(rows) for rows in ([5.0, 6, 7, 8], [0.0, 1, 2, 3], [10.0, 14, 12, 16]))
        images = [project(exact(base, other), other) for other in (left, right)]
        mix = interpolate(images, torch.tensor([0.75, 0.25]).double())
        assert mix.features.flatten().tolist() == [2.5, 3.75, 5.0, 6.25]


class TestSparsePlans:
    """Large data sets have sparse plans, which must do for all that dense ones do."""

    @pytest.fixture
    def pair(self):
        base, source = cloud(9, seed=1), cloud(6, seed=2)
        plan = couple_clouds(base.features, source.features).plan
        assert plan.is_sparse
        return base, source, plan

    @pytest.mark.parametrize("method", ["barycentric", "hard"])
    def test_project_alike(self, pair, method):
        _, source, plan = pair
        found, expected = project(plan, source, method), project(plan.to_dense(), source, method)
        torch.testing.assert_close(found.features, expected.features)
        torch.testing.assert_close(found.labels, expected.labels)
        torch.testing.assert_close(found.mass, expected.mass)

    def test_displace_alike(self, pair):
        base, source, plan = pair
        found, expected = displacement(base, source, plan, 0.25), displacement(base, source, plan.to_dense(), 0.25)
        torch.testing.assert_close(found.features, expected.features)
        torch.testing.assert_close(found.mass, expected.mass)


class TestMixup:
    def test_mixes_independent_draws_with_the_same_weights(self):
        left, right = cloud(20, classes=2, seed=1), cloud(30, classes=3, seed=2)
        mix = mixup([left, right], torch.tensor([0.3, 0.7], dtype=torch.float64), 4000, Seeds(0))
        assert len(mix) == 4000
        assert mix.blocks == (2, 3)
        assert torch.equal(mix.labels[:, :2].amax(1), torch.full((4000,), 0.3, dtype=torch.float64))
        expected = 0.3 * left.features.mean(0) + 0.7 * right.features.mean(0)
        torch.testing.assert_close(mix.features.mean(0), expected, atol=0.05, rtol=0)
        spread = 0.09 * left.features.var(0) + 0.49 * right.features.var(0)  # variances add: no coupling
        torch.testing.assert_close(mix.features.var(0), spread, atol=0.0, rtol=0.15)

    def test_same_seed_same_draws(self):
        clouds, a = [cloud(20), cloud(30, seed=2)], torch.tensor([0.5, 0.5]).double()
        one, same, other = (mixup(clouds, a, 50, Seeds(seed)).features for seed in (1, 1, 2))
        assert torch.equal(one, same)
        assert not torch.equal(one, other)


class TestBadInput:
    def bad_plan(self, change):
        plan = random_plan(3, 4, 0)
        change(plan)
        return plan

    @pytest.mark.parametrize(
        ("row", "value", "words"),
        [(1, -0.1, "plan: got -0.1"), (1, float("nan"), "not finite"), (slice(1, 2), 0.0, "row 1 has no mass")],
    )
    def test_coupling_entries(self, row, value, words):
        plan = random_plan(3, 4, 0)
        plan[row] = value
        with pytest.raises(ValueError, match=words):
            project(plan, cloud(4))

    @pytest.mark.parametrize(
        ("row", "value", "words"),
        [(1, -0.1, "plan: got -0.1"), (1, float("inf"), "plan: .*not finite"), (slice(1, 2), 0.0, "plan: row 1 has no mass")],
    )
    def test_coupling_entries_for_hard_maps_and_displacement(self, row, value, words):
        plan = random_plan(3, 4, 0)
        plan[row] = value
        for use in (lambda: project(plan, cloud(4), "hard"), lambda: displacement(cloud(3), cloud(4), plan, 0.5)):
            with pytest.raises(ValueError, match=words):
                use()

    def test_coupling_of_another_size(self):
        with pytest.raises(ValueError, match=r"plan: got shape \(3, 4\), allowed is \(3, 5\)"):
            project(random_plan(3, 4, 0), cloud(5))

    def test_unknown_method(self):
        with pytest.raises(ValueError, match="method: got 'soft', allowed are barycentric, hard"):
            project(random_plan(3, 4, 0), cloud(4), "soft")

    @pytest.mark.parametrize(
        ("weights", "words"),
        [
            ([1.5, -0.5], "got -0.5"),
            ([0.5, 0.4], "sum of 0.9"),
            ([0.5, 0.5 + 2e-8], "sum of 1"),
            ([1.0], "one weight for each of 2"),
        ],
    )
    def test_weights(self, weights, words):
        clouds, a = [cloud(4), cloud(4, seed=1)], torch.tensor(weights, dtype=torch.float64)
        for mixing in (lambda: interpolate(clouds, a), lambda: mixup(clouds, a, 3, Seeds(0))):
            with pytest.raises(ValueError, match=f"weights: .*{words}"):
                mixing()

    @pytest.mark.parametrize("t", [-0.1, 1.1, float("nan")])
    def test_t(self, t):
        with pytest.raises(ValueError, match=r"t: got .*, allowed is 0 to 1"):
            displacement(cloud(3), cloud(4), random_plan(3, 4, 0), t)

    def test_clouds_of_different_bases(self):
        half = torch.tensor([0.5, 0.5]).double()
        with pytest.raises(ValueError, match="number 1 has 5 points"):
            interpolate([cloud(4), cloud(5)], half)
        with pytest.raises(ValueError, match=r"dimensions \[3, 2\]"):
            interpolate([cloud(4), cloud(4, d=2)], half)
        with pytest.raises(ValueError, match="other masses"):
            interpolate([cloud(4), project(random_plan(4, 4, 0), cloud(4))], half)
        with pytest.raises(ValueError, match="clouds: got none"):
            interpolate([], half)

    def test_count(self):
        with pytest.raises(ValueError, match="count: got 0"):
            mixup([cloud(3)], torch.ones(1), 0, Seeds(0))
