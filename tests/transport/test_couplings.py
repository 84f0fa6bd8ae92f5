"""Laws and known answers of couplings: every solver against POT, scipy, brute force, and its own certificate."""

import warnings
from itertools import pairwise, permutations

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, minimize

from lib.seeds import Seeds
from lib.transport import column_generation, exact
from lib.transport.certificates import Certificate, Coupling
from lib.transport.couplings import couple, sinkhorn_divergence
from lib.transport.entropic import rounded
from lib.transport.kernels import squared_distances

LAWS = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 10**6)
sizes = st.integers(1, 12)


def draw(seed, *shape):
    return torch.rand(*shape, generator=Seeds(seed).torch(), dtype=torch.float64)


def weights(seed, n):
    w = draw(seed, n) ** 2 + 1e-3
    return w / w.sum()


def problem(seed, n, m):
    return draw(seed, n, m), weights(seed + 1, n), weights(seed + 2, m)


def clouds(seed, n, m, d=3):
    return draw(seed, n, d), 1.5 * draw(seed + 1, m, d) + 0.2


def w2(x, y, a=None, b=None, **how):
    return float(couple(squared_distances(x, y), a, b, **how).value)


@pytest.fixture
def by_columns(monkeypatch):
    """Column generation at every size, in blocks of few rows and with few arcs, so that all its rounds are used."""
    monkeypatch.setattr(exact, "MANY", 1)
    monkeypatch.setattr(exact, "FEW_POINTS", 1)
    monkeypatch.setattr(column_generation, "BLOCK", 200)
    monkeypatch.setattr(column_generation, "ARCS", 2)


class TestExact:
    @LAWS
    @given(seeds, sizes, sizes)
    def test_equals_pot_and_its_potentials_are_feasible(self, seed, n, m):
        cost, a, b = problem(seed, n, m)
        found = couple(cost, a, b)
        assert float(found.value) == pytest.approx(ot.emd2(a.numpy(), b.numpy(), cost.numpy()), abs=1e-12)
        u, v = found.potentials
        assert (cost - u[:, None] - v).min() >= -1e-13
        assert found.plan.sum(1) == pytest.approx(a, abs=1e-13)
        assert found.plan.sum(0) == pytest.approx(b, abs=1e-13)
        assert found.certificate.ok
        assert found.certificate.method == "exact, network simplex"
        assert abs(found.certificate.gap) < 1e-12

    @pytest.mark.parametrize("n", [2, 4, 6])
    def test_equals_brute_force_over_permutations(self, n):
        cost = draw(n, n, n)
        best = min(float(cost[range(n), list(order)].mean()) for order in permutations(range(n)))
        assert float(couple(cost).value) == pytest.approx(best, abs=1e-14)

    def test_equals_the_assignment_solver_and_is_a_permutation(self):
        cost = squared_distances(*clouds(3, 60, 60))
        rows, columns = linear_sum_assignment(cost)
        found = couple(cost)
        assert float(found.value) == pytest.approx(float(cost[rows, columns].mean()), abs=1e-13)
        assert found.sparse()[1].tolist() == columns.tolist()
        assert torch.allclose(found.row_conditional().sum(1), torch.ones(60, dtype=torch.float64))

    def test_weights_of_zero(self):
        cost, a, b = problem(5, 7, 8)
        a[2], b[[0, 7]] = 0, 0
        a, b = a / a.sum(), b / b.sum()
        found = couple(cost, a, b)
        kept = couple(cost[a > 0][:, b > 0], a[a > 0], b[b > 0])
        assert float(found.value) == pytest.approx(float(kept.value), abs=1e-14)
        assert found.plan[2].sum() == 0
        assert (cost - found.potentials[0][:, None] - found.potentials[1]).min() >= -1e-13
        with pytest.raises(ValueError, match="plan: row 2 has no mass"):
            found.row_conditional()

    @pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1)])
    def test_one_point_on_a_side_sends_all(self, shape):
        cost = draw(1, *shape)
        assert float(couple(cost).value) == pytest.approx(float(cost.mean()), abs=1e-15)

    @pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e12, 1e300])
    def test_huge_and_tiny_costs(self, scale):
        cost, a, b = problem(4, 30, 20)
        found = couple(cost * scale, a, b)
        assert float(found.value) / scale == pytest.approx(float(couple(cost, a, b).value), rel=1e-12)
        assert found.certificate.ok

    def test_float32_is_solved_in_float64(self):
        cost = draw(0, 20, 20).float()
        found, wide = couple(cost), couple(cost.double())
        assert found.plan.dtype == found.value.dtype == found.potentials[0].dtype == torch.float32
        assert float(found.value) == pytest.approx(float(wide.value), rel=1e-7)
        assert abs(found.certificate.gap) < 1e-13

    @pytest.mark.parametrize("n", [50, 300])
    def test_the_pivot_limit_is_named(self, n):
        with pytest.warns(UserWarning, match=r"network simplex: not converged; marginal violation .*raise max_iterations"):
            found = couple(draw(0, n, n), max_iterations=2)
        assert not found.certificate.ok
        assert found.certificate.bound is None


class TestLaws:
    @LAWS
    @given(seeds, sizes)
    def test_identity(self, seed, n):
        x, _ = clouds(seed, n, 1)
        assert w2(x, x.flip(0)) == 0

    @LAWS
    @given(seeds, sizes, sizes)
    def test_symmetry(self, seed, n, m):
        cost, a, b = problem(seed, n, m)
        assert float(couple(cost, a, b).value) == pytest.approx(float(couple(cost.T, b, a).value), abs=1e-13)

    @LAWS
    @given(seeds, sizes, sizes, sizes)
    def test_triangle(self, seed, n, m, k):
        x, y, z = draw(seed, n, 2), draw(seed + 1, m, 2), draw(seed + 2, k, 2)
        xy, yz, xz = (w2(*pair) ** 0.5 for pair in ((x, y), (y, z), (x, z)))
        assert xz <= xy + yz + 1e-10

    @LAWS
    @given(seeds, st.floats(0.1, 10), st.sampled_from([{}, {"epsilon": 0.1}]))
    def test_scaling_the_points_scales_the_cost_by_the_square(self, seed, scale, how):
        x, y = clouds(seed, 6, 7)
        scaled = {name: value * scale**2 for name, value in how.items()}
        assert w2(scale * x, scale * y, **scaled) == pytest.approx(scale**2 * w2(x, y, **how), rel=1e-8)

    @LAWS
    @given(seeds)
    def test_translations_and_rotations_of_both_change_nothing(self, seed):
        x, y = clouds(seed, 6, 8)
        rotation, _ = torch.linalg.qr(draw(seed + 5, 3, 3) - 0.5)
        assert w2(x @ rotation + 3, y @ rotation + 3) == pytest.approx(w2(x, y), rel=1e-10)

    @LAWS
    @given(seeds)
    def test_a_translation_costs_its_squared_length(self, seed):
        x, _ = clouds(seed, 9, 1)
        assert w2(x, x + torch.tensor([1.0, -2, 2])) == pytest.approx(9, rel=1e-12)

    @LAWS
    @given(seeds, st.sampled_from([{}, {"epsilon": 0.05}, {"epsilon": 0.05, "reach": 0.5}]))
    def test_order_changes_nothing(self, seed, how):
        cost, a, b = problem(seed, 7, 9)
        rows, columns = (torch.randperm(k, generator=Seeds(seed).torch()) for k in (7, 9))
        moved, found = couple(cost[rows][:, columns], a[rows], b[columns], **how), couple(cost, a, b, **how)
        assert moved.plan == pytest.approx(found.plan[rows][:, columns], abs=1e-8)

    @LAWS
    @given(seeds)
    def test_points_twice_with_half_the_weight_change_nothing(self, seed):
        x, y = clouds(seed, 5, 6)
        assert w2(x.repeat(2, 1), y.repeat(2, 1)) == pytest.approx(w2(x, y), rel=1e-11)

    @LAWS
    @given(seeds, st.integers(1, 20))
    def test_in_one_dimension_order_statistics_are_matched(self, seed, n):
        x, y = draw(seed, n, 1), draw(seed + 1, n, 1) * 2
        assert w2(x, y) == pytest.approx(float((x.sort(0).values - y.sort(0).values).square().mean()), abs=1e-13)

    def test_diracs(self):
        assert w2(torch.tensor([[0.0, 0]]).double(), torch.tensor([[3.0, 4]]).double()) == 25

    @LAWS
    @given(seeds, st.integers(1, 12))
    def test_a_dirac_sends_its_mass_to_all(self, seed, m):
        x, y = clouds(seed, 1, m)
        assert w2(x, y) == pytest.approx(float((x - y).square().sum(1).mean()), rel=1e-13)

    def test_a_gaussian_s_linear_image_by_a_positive_matrix_is_its_optimal_image(self):
        x, a = draw(1, 40, 2) - 0.5, torch.tensor([[2.0, 0.5], [0.5, 1]], dtype=torch.float64)
        y = x @ a  # the gradient of a convex function
        assert w2(x, y) == pytest.approx(float((x - y).square().sum(1).mean()), rel=1e-12)


@pytest.mark.usefixtures("by_columns")
class TestColumnGeneration:
    @pytest.mark.parametrize("kind", ["random", "whole numbers", "one dimension", "zero", "tiny", "skewed weights"])
    @pytest.mark.parametrize("shape", [(1, 9), (23, 40), (57, 31)])
    def test_equals_the_network_simplex(self, kind, shape, monkeypatch):
        cost, a, b = problem(len(kind), *shape)
        if kind == "whole numbers":
            cost = (cost * 4).floor() - 2
        elif kind == "one dimension":
            cost = (cost[:, :1] - cost[:1]).square()
        elif kind in ("zero", "tiny"):
            cost = cost * (0 if kind == "zero" else 1e-12)
        elif kind == "skewed weights":
            a, b = a**6 / (a**6).sum(), b**6 / (b**6).sum()
        found = couple(cost, a, b, tolerance=1e-11)
        monkeypatch.setattr(exact, "MANY", 10**9)
        scale = max(float(cost.abs().max()), 1e-300)
        assert found.certificate.method == "exact, column generation"
        assert found.certificate.ok
        assert found.certificate.gap / scale <= 1e-11
        assert float(found.value) / scale == pytest.approx(float(couple(cost, a, b).value) / scale, abs=1e-12)
        u, v = found.potentials
        assert (cost - u[:, None] - v).min() / scale >= -1e-12

    def test_is_what_auto_takes_for_many_points(self, monkeypatch):
        monkeypatch.undo()
        cost = squared_distances(*clouds(0, 1000, 1000, 5))
        found = couple(cost)
        assert found.certificate.method == "exact, column generation"
        assert float(found.value) == pytest.approx(ot.emd2([], [], cost.numpy(), numItermax=10**7), rel=1e-12)

    def test_its_pivot_limit_is_named(self):
        with pytest.warns(UserWarning, match="column generation: not converged"):
            found = couple(draw(0, 60, 60), max_iterations=2)
        assert not found.certificate.ok


class TestEntropic:
    @LAWS
    @given(seeds, sizes, sizes, st.sampled_from([1.0, 0.1, 0.01, 1e-4]))
    def test_is_certified_at_every_epsilon(self, seed, n, m, epsilon):
        cost, a, b = problem(seed, n, m)
        found, best = couple(cost, a, b, epsilon=epsilon), float(couple(cost, a, b).value)
        certificate = found.certificate
        assert certificate.ok
        assert certificate.marginal_violation <= 1e-9
        assert -1e-12 <= certificate.gap <= 1e-8
        assert -1e-9 <= float(found.value) - best <= certificate.bound + 1e-9
        assert found.plan.sum(1) == pytest.approx(a, abs=2e-9)
        assert found.plan.sum(0) == pytest.approx(b, abs=2e-9)

    @pytest.mark.parametrize("epsilon", [0.05, 0.5])
    def test_equals_pot_in_plan_and_value(self, epsilon):
        cost, a, b = problem(8, 12, 15)
        found = couple(cost, a, b, method="entropic", epsilon=epsilon)
        plan = torch.from_numpy(ot.sinkhorn(a.numpy(), b.numpy(), cost.numpy(), epsilon, numItermax=10**5, stopThr=1e-14))
        relative = (plan * (plan / (a[:, None] * b)).log()).sum()
        assert found.plan == pytest.approx(plan, abs=1e-9)
        assert float(found.value) == pytest.approx(float((cost * plan).sum() + epsilon * relative), abs=1e-9)

    def test_rises_from_the_exact_value_to_that_of_the_independent_plan(self):
        cost, a, b = problem(2, 20, 25)
        values = [float(couple(cost, a, b, epsilon=e).value) for e in (1e-5, 1e-3, 1e-2, 1e-1, 1.0, 1e4)]
        assert values == sorted(values)
        assert values[0] == pytest.approx(float(couple(cost, a, b).value), abs=1e-4)
        assert values[-1] == pytest.approx(float(a @ cost @ b), abs=1e-4)

    @LAWS
    @given(seeds, sizes, sizes)
    def test_value_falls_to_the_exact_one_with_epsilon(self, seed, n, m):
        cost, a, b = problem(seed, n, m)
        exact_value = float(couple(cost, a, b).value)
        above = {e: float(couple(cost, a, b, epsilon=e).value) - exact_value for e in (1.0, 0.1, 0.01, 1e-4)}
        assert all(later <= earlier + 1e-8 for earlier, later in pairwise(above.values()))
        for epsilon, excess in above.items():  # the mutual information KL(P | a b^T) is at most the entropy of either side
            assert -1e-8 <= excess <= epsilon * np.log(min(n, m)) + 1e-8

    def test_infinite_epsilon_sends_every_point_to_the_mean(self):
        (x, y), how = clouds(0, 10, 12), {"epsilon": 1e8}
        projected = couple(squared_distances(x, y), **how).row_conditional() @ y
        assert projected == pytest.approx(y.mean(0).expand_as(projected), abs=1e-6)

    def test_vanishing_epsilon_gives_the_exact_plan(self):
        cost = squared_distances(*clouds(3, 15, 15))
        assert couple(cost, epsilon=1e-5).plan == pytest.approx(couple(cost).plan, abs=1e-9)

    def test_no_underflow_at_a_ten_thousandth_of_the_median_cost(self):
        cost = squared_distances(*clouds(1, 150, 120, 20))
        found = couple(cost, epsilon=1e-4 * float(cost.median()))
        assert found.certificate.ok
        assert float(found.value) == pytest.approx(float(couple(cost).value), rel=1e-3)

    def test_weights_of_zero_get_potentials_and_no_mass(self):
        cost, a, b = problem(5, 7, 8)
        a[2], b[0] = 0, 0
        a, b = a / a.sum(), b / b.sum()
        found = couple(cost, a, b, epsilon=0.1)
        kept = couple(cost[a > 0][:, b > 0], a[a > 0], b[b > 0], epsilon=0.1)
        assert float(found.value) == pytest.approx(float(kept.value), abs=1e-9)
        assert found.plan[2].sum() == found.plan[:, 0].sum() == 0
        assert all(part.isfinite().all() for part in found.potentials)

    def test_tolerance_that_is_not_reached_is_named(self):
        with pytest.warns(UserWarning, match="entropic, Sinkhorn and Newton: not converged; marginal violation"):
            found = couple(draw(0, 40, 40), epsilon=1e-3, max_iterations=3)
        assert not found.certificate.ok

    def test_rounding_gives_the_marginals(self):
        plan, a, b = problem(1, 6, 5)
        plan /= plan.sum()
        near = rounded(plan, a, b)
        assert near.sum(1) == pytest.approx(a, abs=1e-15)
        assert near.sum(0) == pytest.approx(b, abs=1e-15)
        assert near.min() >= 0
        error = (plan.sum(1) - a).abs().sum() + (plan.sum(0) - b).abs().sum()
        assert (near - plan).abs().sum() <= 2 * error


class TestSinkhornDivergence:
    def divergence(self, x, y, **how):
        return sinkhorn_divergence(*(squared_distances(*pair) for pair in ((x, y), (x, x), (y, y))), **how)

    def test_is_zero_for_equal_sets_and_positive_for_others(self):
        x, y = clouds(0, 8, 8)
        assert float(self.divergence(x, x.flip(0), epsilon=0.1)) == pytest.approx(0, abs=1e-9)
        assert float(self.divergence(x, y, epsilon=0.1)) > 0.01

    @pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
    def test_epsilon_must_be_positive(self, epsilon):
        x, y = clouds(0, 3, 4)
        with pytest.raises(ValueError, match=f"epsilon: got {epsilon}, allowed are finite numbers > 0"):
            self.divergence(x, y, epsilon=epsilon)

    def test_a_translation_costs_its_squared_length_at_every_epsilon(self):
        x, _ = clouds(1, 8, 1)
        for epsilon in (0.01, 1.0, 100.0):
            assert float(self.divergence(x, x + 2, epsilon=epsilon)) == pytest.approx(12, rel=1e-7)


class TestUnbalanced:
    @pytest.mark.parametrize(("epsilon", "reach"), [(0.1, 1.0), (0.05, 0.3)])
    def test_equals_pot(self, epsilon, reach):
        cost, a, b = problem(3, 9, 11)
        a, b = 2 * a, 0.5 * b
        found = couple(cost, a, b, epsilon=epsilon, reach=reach)
        arrays = (x.numpy() for x in (a, b, cost))
        plan = ot.unbalanced.sinkhorn_unbalanced(*arrays, epsilon, reach, reg_type="kl", numItermax=10**5, stopThr=1e-15)
        assert found.plan == pytest.approx(torch.from_numpy(plan), abs=1e-9)
        assert found.certificate.ok
        assert found.certificate.bound is None
        assert abs(found.certificate.gap) < 1e-9

    def test_equals_a_general_optimiser_at_one_point_each(self):
        cost, a, b, epsilon, reach = 0.7, 2.0, 0.5, 0.2, 0.9

        def kl(p, q):
            return p * np.log(p / q) - p + q

        def objective(log_p):
            p = np.exp(log_p[0])
            return cost * p + epsilon * kl(p, a * b) + reach * (kl(p, a) + kl(p, b))

        best = minimize(objective, [0.0], tol=1e-14)
        tensors = (torch.tensor([x], dtype=torch.float64) for x in (a, b))
        found = couple(torch.tensor([[cost]], dtype=torch.float64), *tensors, epsilon=epsilon, reach=reach)
        assert float(found.value) == pytest.approx(best.fun, abs=1e-9)
        assert float(found.plan) == pytest.approx(np.exp(best.x[0]), abs=1e-6)

    def test_far_reach_is_balanced(self):
        cost, a, b = problem(6, 8, 9)
        far, balanced = couple(cost, a, b, epsilon=0.05, reach=1e6), couple(cost, a, b, epsilon=0.05)
        assert far.plan == pytest.approx(balanced.plan, abs=1e-6)

    def test_far_points_are_left_alone(self):
        cost = torch.tensor([[0.0, 100], [100, 100]], dtype=torch.float64)
        plan = couple(cost, epsilon=0.01, reach=1.0).plan
        assert float(plan[0, 0]) > 0.4
        assert plan.sum() - plan[0, 0] < 1e-6


class TestGradients:
    METHODS = pytest.mark.parametrize("how", [{}, {"epsilon": 0.05}, {"epsilon": 0.05, "reach": 0.3}], ids=str)

    def inputs(self, seed):
        cost, a, b = problem(seed, 4, 6)
        return [x.requires_grad_() for x in (cost, a.log(), b.log())]

    def solve(self, how, cost, log_a, log_b):
        free = "reach" in how
        return couple(cost, *(x.exp() if free else x.softmax(0) for x in (log_a, log_b)), tolerance=1e-13, **how)

    @METHODS
    def test_of_the_value_equal_finite_differences(self, how):
        assert torch.autograd.gradcheck(lambda *x: self.solve(how, *x).value, self.inputs(0), eps=1e-5, atol=1e-6)

    @pytest.mark.parametrize("how", [{"epsilon": 0.05}, {"epsilon": 0.05, "reach": 0.3}], ids=str)
    def test_of_the_plan_equal_finite_differences(self, how):
        assert torch.autograd.gradcheck(lambda *x: self.solve(how, *x).plan, self.inputs(1), eps=1e-5, atol=1e-6)

    def test_of_the_exact_value_in_the_cost_is_the_plan(self):
        cost = draw(2, 6, 6).float().requires_grad_()
        found = couple(cost)
        found.value.backward()
        assert cost.grad == pytest.approx(found.plan)

    def test_none_is_kept_where_nobody_asks(self):
        assert not couple(draw(0, 3, 3), epsilon=0.1).plan.requires_grad


class TestCoupling:
    def test_sparse_lists_the_positive_entries_row_by_row(self):
        rows, columns, mass = couple(torch.tensor([[0.0, 1], [1, 0]]), method="exact").sparse()
        assert (rows.tolist(), columns.tolist(), mass.tolist()) == ([0, 1], [0, 1], [0.5, 0.5])

    def test_a_certificate_with_numbers_that_are_not_finite_is_not_ok(self):
        assert not Certificate("exact", float("nan"), None, 0.0, 1, True).ok

    def test_sparse_plans_have_sparse_conditionals(self):
        plan = torch.tensor([[0.25, 0.25], [0, 0.5]]).to_sparse()
        coupling = Coupling(torch.tensor(0.0), plan, (torch.zeros(2), torch.zeros(2)), Certificate("", 0.0, 0.0, 0.0, 1, True))
        assert coupling.row_conditional().to_dense().tolist() == [[0.5, 0.5], [0, 1]]
        assert coupling.sparse()[2].tolist() == [0.25, 0.25, 0.5]

    def test_same_input_same_bits(self):
        cost, a, b = problem(0, 30, 40)
        for how in ({}, {"epsilon": 0.01}):
            assert torch.equal(couple(cost, a, b, **how).plan, couple(cost, a, b, **how).plan)


class TestBadInput:
    COST = torch.ones(2, 3, dtype=torch.float64)

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"a": [0.5, 0.2]}, "a: got weights of sum 0.7, allowed is 1"),
            ({"b": [0.5, 0.5, 0.5]}, "b: got weights of sum 1.5, allowed is 1"),
            ({"a": [1.5, -0.5]}, "a: got weight -0.5 at 1, allowed are finite weights >= 0"),
            ({"a": [float("nan"), 1]}, "a: got weight nan at 0"),
            ({"b": [0.5, 0.5]}, "b: got 2 weights, allowed are 3"),
            ({"a": [0.0, 0], "method": "unbalanced", "epsilon": 1.0, "reach": 1.0}, "a: got weights of sum 0"),
            ({"epsilon": 0.0}, "epsilon: got 0.0, allowed are finite numbers > 0"),
            ({"epsilon": -1.0}, "epsilon: got -1.0"),
            ({"epsilon": float("inf")}, "epsilon: got inf"),
            ({"epsilon": 1.0, "reach": -2.0}, "reach: got -2.0, allowed are finite numbers > 0"),
            ({"tolerance": 0.0}, "tolerance: got 0.0"),
            ({"max_iterations": 0}, "max_iterations: got 0"),
            ({"method": "sinkhorn"}, "method: got 'sinkhorn', allowed are auto, exact, entropic, unbalanced"),
            ({"method": "entropic"}, "epsilon: got None, allowed for method entropic is a number > 0"),
            ({"method": "exact", "epsilon": 0.1}, "epsilon: got 0.1, allowed for method exact is None"),
            ({"reach": 1.0}, "epsilon: got None, allowed for method unbalanced is a number > 0"),
        ],
    )
    def test_is_named(self, how, said):
        how = {name: torch.tensor(value, dtype=torch.float64) if name in "ab" else value for name, value in how.items()}
        with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(".", r"\.")):
            couple(self.COST, **how)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_costs_that_are_not_finite(self, value):
        cost = self.COST.clone()
        cost[1, 2] = value
        with pytest.raises(ValueError, match=f"cost: got {value} at row 1, column 2, allowed are finite numbers"):
            couple(cost)

    def test_empty(self):
        with pytest.raises(ValueError, match=r"cost: got shape \(0, 3\)"):
            couple(torch.ones(0, 3))

    def test_mixed_devices(self):
        with pytest.raises(ValueError, match="a: got weights on meta, allowed is cpu"):
            couple(self.COST, torch.ones(2, device="meta"))

    def test_float32_weights_may_miss_one_by_rounding(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert couple(torch.ones(3, 3), torch.full((3,), 1 / 3), torch.tensor([0.3, 0.3, 0.4])).certificate.ok
