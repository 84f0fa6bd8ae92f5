"""Oracle 9 of the dataset-geodesics spec: the quadratic programme on the simplex."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import lib.transport.weights as weights_module
from lib.seeds import Seeds
from lib.transport.weights import best_weights, check_weights, curvature, predicted_distance, simplex_grid

QUICK = settings(max_examples=25, deadline=None)
SEED = st.integers(0, 10_000)


def hull(members, seed, dimension=4):
    """The programme of a random polytope's point nearest to the origin."""
    corners = torch.randn(members, dimension, generator=Seeds(seed).torch(), dtype=torch.float64) + 0.7
    return corners.square().sum(1), torch.cdist(corners, corners).square(), corners


def programme(linear, pairwise):
    return torch.tensor(linear, dtype=torch.float64), torch.tensor(pairwise, dtype=torch.float64)


class TestOracle9:
    def test_three_translates(self):
        best = best_weights(*programme([9, 5, 5], [[0, 20, 20], [20, 0, 16], [20, 16, 0]]))
        assert best.weights.tolist() == pytest.approx([0.25, 0.375, 0.375])
        assert best.value.item() == pytest.approx(0, abs=1e-12)
        assert (best.support, best.method, best.status) == ((0, 1, 2), "enumeration", "global")

    @given(st.floats(0, 10), st.floats(0, 10), st.floats(0.01, 20))
    @QUICK
    def test_two_sources_have_a_closed_form(self, first, second, apart):
        best = best_weights(*programme([first, second], [[0, apart], [apart, 0]]))
        assert best.weights[0].item() == pytest.approx(min(max(0.5 + (second - first) / (2 * apart), 0), 1), abs=1e-9)


class TestOptimality:
    @given(SEED, st.integers(1, 6))
    @QUICK
    def test_no_point_of_a_grid_and_no_vertex_is_better(self, seed, members):
        w, matrix, _ = hull(members, seed)
        best = best_weights(w, matrix)
        assert best.value <= predicted_distance(simplex_grid(members, 5), w, matrix).min() + 1e-12
        assert best.weights.sum().item() == pytest.approx(1)
        assert (best.weights >= 0).all()
        assert best.gap <= 1e-10 * w.max()

    @given(SEED, st.integers(2, 12))
    @QUICK
    def test_agrees_with_a_general_solver(self, seed, members):
        w, matrix, corners = hull(members, seed)
        best = best_weights(w, matrix)
        points = corners.numpy()
        peer = minimize(
            lambda a: ((a @ points) ** 2).sum(),
            [1 / members] * members,
            jac=lambda a: 2 * points @ (a @ points),
            bounds=[(0, 1)] * members,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert best.value.item() == pytest.approx(peer.fun, rel=1e-6, abs=1e-9)
        assert best.status == "global"

    @given(SEED, st.integers(2, 6))
    @QUICK
    def test_both_methods_agree(self, seed, members):
        w, matrix, _ = hull(members, seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weights_module, "MOST_ENUMERATED", 0)
            descended = best_weights(w, matrix)
        enumerated = best_weights(w, matrix)
        assert descended.method == "projected gradient"
        assert descended.value.item() == pytest.approx(enumerated.value.item(), rel=1e-9, abs=1e-12)

    @given(SEED)
    @QUICK
    def test_scaling_everything_moves_no_weight(self, seed):
        w, matrix, _ = hull(4, seed)
        one, other = best_weights(w, matrix), best_weights(1e6 * w, 1e6 * matrix)
        torch.testing.assert_close(one.weights, other.weights, atol=1e-7, rtol=0)
        assert other.value.item() == pytest.approx(1e6 * one.value.item(), rel=1e-9, abs=1e-6)

    def test_equal_sources_share_their_weight(self):
        best = best_weights(*programme([1, 1, 20], [[0, 0, 10], [0, 0, 10], [10, 10, 0]]))
        assert best.weights.tolist() == pytest.approx([0.5, 0.5, 0])
        assert best.support == (0, 1)

    def test_a_single_member_takes_all(self):
        best = best_weights(*programme([3], [[0]]))
        assert best.weights.tolist() == [1.0]
        assert best.value.item() == 3.0

    def test_all_zero(self):
        assert best_weights(*programme([0, 0], [[0, 0], [0, 0]])).weights.tolist() == pytest.approx([0.5, 0.5])

    def test_types_follow_the_input(self):
        best = best_weights(torch.tensor([9.0, 5.0]), torch.tensor([[0.0, 20.0], [20.0, 0.0]]))
        assert best.weights.dtype == best.value.dtype == torch.float32


class TestCurvature:
    @given(SEED, st.integers(2, 6))
    @QUICK
    def test_squared_distances_are_never_concave(self, seed, members):
        w, matrix, _ = hull(members, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert best_weights(w, matrix).curvature >= -1e-10 * matrix.max()

    def test_rounding_of_float32_is_no_concavity(self):
        """Six points of a line: all directions but one are flat."""
        corners = torch.linspace(0, 1, 6, dtype=torch.float64)[:, None] + 3
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            best_weights(corners.square().sum(1).float(), torch.cdist(corners, corners).square().float())

    def test_known_values(self):
        assert curvature(torch.tensor([[0.0, 6.0], [6.0, 0.0]]).double()) == pytest.approx(6)
        assert curvature(4 * (torch.ones(3, 3) - torch.eye(3)).double()) == pytest.approx(4)

    def test_a_metric_that_breaks_the_triangle_is_named_and_still_solved_globally(self):
        """Members 0 and 1 lie far apart, member 2 close to both: f is concave towards it."""
        w, matrix = programme([5, 5, 5.1], [[0, 40, 1], [40, 0, 1], [1, 1, 0]])
        with pytest.warns(UserWarning, match="curvature -"):
            best = best_weights(w, matrix)
        assert best.value <= predicted_distance(simplex_grid(3, 60), w, matrix).min() + 1e-12
        assert best.status == "global"

    def test_above_the_enumeration_such_a_one_is_only_local(self):
        far = (torch.ones(8, 8) - torch.eye(8)).double() * 10
        far[0, 1:] = far[1:, 0] = 0.1
        with pytest.warns(UserWarning, match="not convex"):
            assert best_weights(torch.full((8,), 5.0).double(), far).status == "local"

    def test_too_few_iterations_are_named(self):
        w, matrix, _ = hull(13, 4)
        assert best_weights(w, matrix, max_iterations=1).status == "not converged"


class TestGrid:
    @given(st.integers(1, 5), st.integers(1, 7))
    @QUICK
    def test_every_point_once(self, members, segments):
        grid = simplex_grid(members, segments)
        assert len({tuple(row) for row in grid.tolist()}) == len(grid)
        torch.testing.assert_close(grid.sum(1), torch.ones(len(grid)).double())
        check_weights(grid, members)

    def test_six_segments_of_a_triangle(self):
        grid = simplex_grid(3, 6)
        assert len(grid) == 28
        assert grid[0].tolist() == [1, 0, 0]
        assert grid[-1].tolist() == [0, 0, 1]


class TestBadInput:
    def test_matrix(self):
        w = torch.ones(2).double()
        for matrix, words in [
            (torch.zeros(2, 3), r"pairwise: got shape \(2, 3\)"),
            (torch.zeros(3, 3), r"pairwise: got shape \(3, 3\), allowed is \(m, m\) for the m = 2"),
            (torch.tensor([[0.0, 1.0], [2.0, 0.0]]), "differs from its transpose by 1"),
            (torch.tensor([[1.0, 2.0], [2.0, 0.0]]), "got 1 on the diagonal"),
            (torch.tensor([[0.0, float("inf")], [float("inf"), 0.0]]), "pairwise: .*not finite"),
        ]:
            with pytest.raises(ValueError, match=words):
                best_weights(w, matrix.double())

    def test_linear(self):
        with pytest.raises(ValueError, match=r"linear: .*not finite"):
            best_weights(*programme([1, float("nan")], [[0, 1], [1, 0]]))
        with pytest.raises(ValueError, match="m = 0 >= 1"):
            best_weights(torch.zeros(0), torch.zeros(0, 0))

    def test_iterations(self):
        with pytest.raises(ValueError, match="max_iterations: got 0"):
            best_weights(*programme([1], [[0]]), max_iterations=0)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            ([0.5, 0.6], "sum of 1.1"),
            ([-1e-9, 1.0], "got -1e-09"),
            ([float("nan"), 1.0], "got nan"),
            ([1.0, 0.0, 0.0], r"shape \(3,\)"),
        ],
    )
    def test_weights(self, values, words):
        with pytest.raises(ValueError, match=words):
            check_weights(torch.tensor(values, dtype=torch.float64), 2)

    @pytest.mark.parametrize("off", [-5e-9, 5e-9])
    def test_weights_may_miss_one_by_a_hundred_millionth(self, off):
        check_weights(torch.tensor([0.5, 0.5 + off], dtype=torch.float64), 2)
        with pytest.raises(ValueError, match="weights: got a sum of"):
            check_weights(torch.tensor([0.5, 0.5 + 3 * off], dtype=torch.float64), 2)

    @pytest.mark.parametrize(("members", "segments"), [(0, 3), (3, 0)])
    def test_grid(self, members, segments):
        with pytest.raises(ValueError, match="got 0, allowed"):
            simplex_grid(members, segments)
