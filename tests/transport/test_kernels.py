"""Laws and known answers of squared distances, MMD, energy distance and sliced distance."""

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import energy_distance as scipy_energy_distance

from lib.seeds import Seeds
from lib.transport.kernels import Gaussian, Linear, Riesz, energy_distance, sliced_distance, squared_distances, squared_mmd

LAWS = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 10**6)
KERNELS = pytest.mark.parametrize("kernel", [Riesz(), Riesz(1.5), Gaussian((0.5, 2.0)), Linear()], ids=str)


def draw(seed, *shape):
    return torch.randn(*shape, generator=Seeds(seed).torch(), dtype=torch.float64)


def weights(seed, n):
    return draw(seed, n).softmax(0)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


class TestSquaredDistances:
    @LAWS
    @given(seeds, st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.sampled_from([0.0, 1e3, 1e6]))
    def test_equal_those_from_differences_at_any_place(self, seed, n, m, d, place):
        x, y = draw(seed, n, d) + place, draw(seed + 1, m, d) + place
        expected = (x[:, None] - y).square().sum(2)
        assert squared_distances(x, y) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_of_identical_rows_are_zero_and_of_close_rows_exact(self, dtype):
        x = draw(0, 200, 50).to(dtype) * 100 + 1e4
        found = squared_distances(x, x)
        assert found.diagonal().abs().max() == 0
        assert found.dtype == dtype
        near = x.clone()
        near[:, 0] += 2**-5
        assert squared_distances(x, near).diagonal() == pytest.approx(torch.full((200,), 2.0**-10, dtype=dtype), rel=1e-6)

    def test_stacks(self):
        x, y = draw(0, 2, 3, 5, 4), draw(1, 2, 3, 6, 4)
        y[0, 0, 0] = x[0, 0, 0]
        found = squared_distances(x, y)
        assert found[1, 2] == pytest.approx(squared_distances(x[1, 2], y[1, 2]), rel=1e-12)
        assert found[0, 0, 0, 0] == 0

    def test_gradients_equal_finite_differences(self):
        x, y = draw(0, 4, 3).requires_grad_(), draw(1, 2, 3).requires_grad_()
        assert torch.autograd.gradcheck(squared_distances, (x, y))
        assert torch.autograd.gradgradcheck(squared_distances, (x, y))

    def test_dimensions_that_differ_are_named(self):
        with pytest.raises(ValueError, match="y: got points of dimension 3, allowed is 2, that of x"):
            squared_distances(draw(0, 4, 2), draw(0, 4, 3))


class TestSquaredMMD:
    @KERNELS
    @pytest.mark.parametrize("unbiased", [False, True])
    def test_equals_a_double_loop(self, kernel, unbiased):
        x, y = draw(0, 4, 3), draw(1, 6, 3)

        def within(points):
            pairs = [(i, j) for i in range(len(points)) for j in range(len(points)) if i != j or not unbiased]
            return np.mean([float(kernel(points[i : i + 1], points[j : j + 1])) for i, j in pairs])

        across = np.mean([float(kernel(x[i : i + 1], y[j : j + 1])) for i in range(4) for j in range(6)])
        expected = within(x) + within(y) - 2 * across
        assert float(squared_mmd(x, y, kernel=kernel, unbiased=unbiased)) == pytest.approx(expected, rel=1e-10, abs=1e-12)

    @KERNELS
    @LAWS
    @given(seed=seeds)
    def test_is_symmetric_zero_on_equal_sets_and_not_negative(self, kernel, seed):
        x, y, a, b = draw(seed, 5, 2), draw(seed + 1, 7, 2), weights(seed, 5), weights(seed + 1, 7)
        value = float(squared_mmd(x, y, a, b, kernel=kernel))
        assert value == pytest.approx(float(squared_mmd(y, x, b, a, kernel=kernel)), abs=1e-12)
        assert value > -1e-12
        order = torch.randperm(5, generator=Seeds(seed).torch())
        assert float(squared_mmd(x, x[order], a, a[order], kernel=kernel)) == pytest.approx(0, abs=1e-12)

    @pytest.mark.parametrize("kernel", [Riesz(), Gaussian((0.7,))], ids=str)
    @LAWS
    @given(seed=seeds)
    def test_ignores_a_common_translation_and_rotation(self, kernel, seed):
        x, y = draw(seed, 5, 3), draw(seed + 1, 7, 3)
        rotation, _ = torch.linalg.qr(draw(seed + 2, 3, 3))
        moved = squared_mmd(x @ rotation + 5, y @ rotation + 5, kernel=kernel)
        assert float(moved) == pytest.approx(float(squared_mmd(x, y, kernel=kernel)), abs=1e-10)

    @KERNELS
    def test_of_weights_that_are_counts_is_that_of_repeated_points(self, kernel):
        x, y, counts = draw(0, 3, 2), draw(1, 5, 2), torch.tensor([1, 2, 4])
        repeated = squared_mmd(x.repeat_interleave(counts, 0), y, kernel=kernel)
        assert float(squared_mmd(x, y, counts / 7.0, kernel=kernel)) == pytest.approx(float(repeated), abs=1e-6)

    @KERNELS
    def test_of_padded_stacks_is_that_of_each_cloud(self, kernel):
        x, y = draw(0, 2, 5, 3), draw(1, 2, 4, 3)
        a = torch.tensor([[0.5, 0.5, 0, 0, 0], [0.2, 0.2, 0.2, 0.2, 0.2]], dtype=torch.float64)
        found = squared_mmd(x, y, a, kernel=kernel)
        assert float(found[0]) == pytest.approx(float(squared_mmd(x[0, :2], y[0], kernel=kernel)), abs=1e-12)
        assert float(found[1]) == pytest.approx(float(squared_mmd(x[1], y[1], kernel=kernel)), abs=1e-12)

    def test_of_diracs_under_a_gaussian(self):
        value = squared_mmd(column(0.0), column(3.0), kernel=Gaussian((2.0,)))
        assert float(value) == pytest.approx(2 - 2 * np.exp(-9 / 8), rel=1e-12)

    def test_of_gaussian_samples_is_near_its_closed_form(self):
        b2, d, means, variances = 1.5**2, 3, (0.0, 0.7), (1.0, 0.4)

        def expected(m1, m2, v1, v2):
            total = b2 + v1 + v2
            return (b2 / total) ** (d / 2) * np.exp(-d * (m1 - m2) ** 2 / (2 * total))

        (m1, m2), (v1, v2) = means, variances
        exact = expected(m1, m1, v1, v1) + expected(m2, m2, v2, v2) - 2 * expected(m1, m2, v1, v2)
        values = [
            squared_mmd(
                m1 + v1**0.5 * draw(2 * k, 60, d), m2 + v2**0.5 * draw(2 * k + 1, 50, d), kernel=Gaussian((1.5,)), unbiased=True
            )
            for k in range(60)
        ]
        values = torch.stack(values)
        assert abs(values.mean() - exact) < 4 * values.std() / 60**0.5

    def test_unbiased_is_sometimes_negative_and_zero_on_average_for_one_law(self):
        values = torch.stack([squared_mmd(draw(2 * k, 20, 2), draw(2 * k + 1, 30, 2), unbiased=True) for k in range(100)])
        assert values.min() < 0
        assert abs(values.mean()) < 4 * values.std() / 10

    def test_linear_is_the_squared_distance_of_the_means(self):
        x, y = draw(0, 8, 3), draw(1, 5, 3)
        expected = (x.mean(0) - y.mean(0)).square().sum()
        assert float(squared_mmd(x, y, kernel=Linear())) == pytest.approx(float(expected), rel=1e-12)

    @KERNELS
    def test_gradients_equal_finite_differences(self, kernel):
        x, y = draw(0, 4, 2).requires_grad_(), draw(1, 3, 2).requires_grad_()
        w = draw(2, 4).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, y, w: squared_mmd(x, y, w.softmax(0), kernel=kernel), (x, y, w))

    def test_riesz_has_the_gradient_of_the_witness_and_zero_at_equal_points(self):
        z, y = draw(0, 6, 2).requires_grad_(), draw(1, 5, 2)
        y[0] = z[0].detach()
        (slope,) = torch.autograd.grad(squared_mmd(z, y) / 2, z)

        def unit(v):
            return torch.where(v == 0, 0, v / v.norm(dim=-1, keepdim=True).clamp(min=1e-300))

        with torch.no_grad():
            witness = unit(z[:, None] - y).mean(1) - unit(z[:, None] - z).mean(1)
        assert 6 * slope == pytest.approx(witness, abs=1e-12)


class TestEnergyDistance:
    @LAWS
    @given(seeds)
    def test_in_one_dimension_equals_scipy_s_squared(self, seed):
        u, v, a, b = draw(seed, 7), draw(seed + 1, 9) + 1, weights(seed, 7), weights(seed + 1, 9)
        expected = scipy_energy_distance(u.numpy(), v.numpy(), a.numpy(), b.numpy()) ** 2
        assert float(energy_distance(u[:, None], v[:, None], a, b)) == pytest.approx(expected, abs=1e-10)

    def test_known_answers(self):
        assert float(energy_distance(column(0.0), column(-3.0))) == 6
        assert float(energy_distance(column(0.0, 2.0), column(1.0))) == 1


class TestSlicedDistance:
    @pytest.mark.parametrize("order", [1.0, 2.0])
    @pytest.mark.parametrize("shape", [(20, 20), (15, 20)])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_equals_pot_on_the_same_directions(self, order, shape, weighted):
        x, y = draw(0, shape[0], 3), draw(1, shape[1], 3) + 1
        a, b = (weights(k, n) if weighted else None for k, n in enumerate(shape))
        directions = torch.randn(3, 50, generator=Seeds(4).torch(), dtype=torch.float64)
        directions = directions / directions.norm(dim=0)
        expected = ot.sliced_wasserstein_distance(x, y, a, b, projections=directions, p=order)
        found = sliced_distance(x, y, a, b, seeds=Seeds(4), projections=50, order=order)
        assert float(found) == pytest.approx(float(expected), rel=1e-9)

    def test_in_one_dimension_is_transport(self):
        x, y = draw(0, 30, 1), draw(1, 30, 1) * 2
        expected = (x.sort(0).values - y.sort(0).values).square().mean().sqrt()
        assert float(sliced_distance(x, y, seeds=Seeds(0))) == pytest.approx(float(expected), rel=1e-12)

    def test_a_translation_costs_its_length_over_the_root_of_the_dimension(self):
        x, shift = draw(0, 10, 4), torch.tensor([1.0, 2, 2, 4])
        found = sliced_distance(x, x + shift, seeds=Seeds(0), projections=20_000)
        assert float(found) == pytest.approx(5 / 2, rel=0.02)

    def test_is_zero_with_gradient_zero_on_equal_sets(self):
        x = draw(0, 6, 3).requires_grad_()
        value = sliced_distance(x, x.detach(), seeds=Seeds(0))
        value.backward()
        assert value.item() == 0
        assert x.grad.abs().max() == 0

    @pytest.mark.parametrize("shape", [(5, 5), (4, 6)])
    def test_gradients_equal_finite_differences(self, shape):
        x, y = draw(0, shape[0], 3).requires_grad_(), draw(1, shape[1], 3).requires_grad_()
        assert torch.autograd.gradcheck(lambda *z: sliced_distance(*z, seeds=Seeds(0), projections=8), (x, y))


class TestBadInput:
    X, Y = draw(0, 3, 2), draw(1, 4, 2)

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"a": torch.tensor([0.5, 0.5]).double()}, r"a: got weights of shape \(2,\), allowed is \(3,\)"),
            ({"a": torch.tensor([0.5, 0.5, 0.5]).double()}, "a: got weights of sum 1.5, allowed is 1"),
            ({"b": torch.tensor([0.5, 0.5, 0.5, -0.5]).double()}, "b: got weight -0.5, allowed are finite weights >= 0"),
        ],
    )
    def test_weights(self, how, said):
        for distance in (squared_mmd, energy_distance):
            with pytest.raises(ValueError, match=said):
                distance(self.X, self.Y, **how)
        with pytest.raises(ValueError, match=said):
            sliced_distance(self.X, self.Y, **how, seeds=Seeds(0))

    @pytest.mark.parametrize("distance", [squared_mmd, energy_distance, lambda x, y: sliced_distance(x, y, seeds=Seeds(0))])
    def test_points(self, distance):
        with pytest.raises(ValueError, match="x: got no points"):
            distance(self.X[:0], self.Y)
        with pytest.raises(ValueError, match="y: got nan, allowed are finite coordinates"):
            distance(self.X, self.Y * float("nan"))
        with pytest.raises(ValueError, match="y: got points of dimension 1, allowed is 2"):
            distance(self.X, self.Y[:, :1])

    def test_unbiased(self):
        with pytest.raises(ValueError, match="unbiased: got 1 point for b"):
            squared_mmd(self.X, self.Y[:1], unbiased=True)
        with pytest.raises(ValueError, match="a: got weights, allowed for unbiased is None"):
            squared_mmd(self.X, self.Y, weights(0, 3), unbiased=True)

    @pytest.mark.parametrize("bandwidths", [(), (0.0,), (1.0, -1.0), (float("nan"),)])
    def test_bandwidths(self, bandwidths):
        with pytest.raises(ValueError, match="bandwidths: got"):
            Gaussian(bandwidths)

    @pytest.mark.parametrize("exponent", [0.0, 2.0, -1.0, float("nan")])
    def test_exponent(self, exponent):
        with pytest.raises(ValueError, match="exponent: got"):
            energy_distance(self.X, self.Y, exponent=exponent)

    def test_slices(self):
        with pytest.raises(ValueError, match="projections: got 0"):
            sliced_distance(self.X, self.Y, seeds=Seeds(0), projections=0)
        with pytest.raises(ValueError, match=r"order: got 0\.5"):
            sliced_distance(self.X, self.Y, seeds=Seeds(0), order=0.5)
