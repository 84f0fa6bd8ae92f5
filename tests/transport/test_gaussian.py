"""Bures distances against closed forms, POT, 50-digit arithmetic and their laws."""

import mpmath
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lib.seeds import Seeds
from lib.transport import gaussian
from lib.transport.gaussian import (
    Gaussians,
    class_gaussians,
    gaussians_of,
    squared_bound,
    squared_bures,
    squared_diagonal,
    squared_means,
)

ORACLES = settings(max_examples=25, deadline=None)
COUNTS = st.lists(st.integers(2, 7), min_size=1, max_size=4)


def samples(counts, d, *path):
    """Normal samples [n, d] of classes with these counts, and their labels."""
    generator = Seeds(4).child(*path).torch()
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    spread = torch.rand(len(counts), d, generator=generator, dtype=torch.float64)[labels] + 0.1
    centre = torch.randn(len(counts), d, generator=generator, dtype=torch.float64)[labels]
    return centre + spread * torch.randn(len(labels), d, generator=generator, dtype=torch.float64), labels


def laws(counts, d, *path, unbiased=True):
    x, labels = samples(counts, d, *path)
    return class_gaussians(x, labels, len(counts), unbiased=unbiased)


def rotation(d, *path):
    return torch.linalg.qr(torch.randn(d, d, generator=Seeds(5).child(*path).torch(), dtype=torch.float64)).Q


def covariances(law):
    return torch.stack([factor @ factor.T for factor in law.factors])


def to_50_digits(x, y):
    """W2^2 of the Gaussians with the unbiased moments of two samples, in 50-digit arithmetic."""
    with mpmath.workdps(50):
        means, centred = [], []
        for values in (x, y):
            exact = mpmath.matrix(values.tolist())
            n, d = exact.rows, exact.cols
            mean = [mpmath.fsum(exact[i, j] for i in range(n)) / n for j in range(d)]
            means.append(mean)
            centred.append(mpmath.matrix(n, d))
            for i in range(n):
                for j in range(d):
                    centred[-1][i, j] = (exact[i, j] - mean[j]) / mpmath.sqrt(n - 1)
        nuclear = mpmath.fsum(mpmath.svd_r(centred[0] * centred[1].T, compute_uv=False))
        squares = mpmath.fsum((p - q) ** 2 for p, q in zip(*means, strict=True))
        return float(squares + mpmath.fsum(v**2 for c in centred for v in c) - 2 * nuclear)


# oracle 1


def test_diagonal_matrices():
    zero = torch.zeros(1, 2)
    first, second = (gaussians_of(zero, torch.diag(torch.tensor(v))[None]) for v in ([1.0, 4.0], [9.0, 16.0]))
    assert squared_bures(first, second).item() == pytest.approx((1 - 3) ** 2 + (2 - 4) ** 2, rel=1e-14)
    assert squared_diagonal(first, second).item() == pytest.approx(8, rel=1e-14)


def test_full_matrices_agree_with_the_known_value_and_with_pot():
    means = torch.tensor([[0.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    a = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.3], [-0.3, 3.0]], dtype=torch.float64)
    centred, moved = (squared_bures(gaussians_of(m[:1], a[None]), gaussians_of(m[1:], b[None])) for m in (means * 0, means))
    assert centred.item() == pytest.approx(0.9293118550, abs=1e-10)
    assert moved.item() == pytest.approx(5.9293118550, abs=1e-10)
    assert moved.item() == pytest.approx(ot.gaussian.bures_wasserstein_distance(*means, a, b).item() ** 2, rel=1e-12)


def test_tables_agree_with_pot_pair_by_pair():
    left, right = laws([9, 8, 12], 4, "left"), laws([7, 10], 4, "right")
    table, ours, theirs = squared_bures(left, right), covariances(left), covariances(right)
    for c in range(3):
        for k in range(2):
            expected = ot.gaussian.bures_wasserstein_distance(left.means[c], right.means[k], ours[c], theirs[k]) ** 2
            assert table[c, k].item() == pytest.approx(expected.item(), rel=1e-9)


# accuracy


@pytest.mark.parametrize(("counts", "d"), [((3, 5), 6), ((2, 2), 5), ((9, 4), 3), ((8, 9), 2), ((6, 6), 6)])
def test_value_holds_in_50_digit_arithmetic(counts, d):
    x, labels = samples(counts, d, "digits")
    law = class_gaussians(x, labels, 2)
    expected = to_50_digits(x[labels == 0], x[labels == 1])
    assert squared_bures(law, law)[0, 1].item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("counts", [(4, 5), (9, 8)])
def test_value_holds_where_small_singular_values_make_the_difference(counts):
    """Roots of eigenvalues of the Gram matrix would be off by 1e-8 here."""
    x, labels = samples(counts, 5, "steep")
    x = (x - x.mean(0)) * 10.0 ** -torch.tensor([0, 3, 6, 6, 7], dtype=torch.float64)
    law = class_gaussians(x, labels, 2)
    expected = to_50_digits(x[labels == 0], x[labels == 1])
    assert squared_bures(law, law)[0, 1].item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("distance", [1e-2, 1e-5, 1e-9])
@pytest.mark.parametrize(("n", "d"), [(5, 7), (9, 4)])
def test_nearly_equal_laws_keep_their_digits(n, d, distance):
    x, labels = samples((n, n), d, "near")
    x[n:] = x[:n] + distance * x[n:]
    law = class_gaussians(x, labels, 2)
    expected = to_50_digits(x[:n], x[n:])
    assert expected < 10 * distance**2 * d
    assert squared_bures(law, law)[0, 1].item() == pytest.approx(expected, rel=1e-10)


# special classes


def test_two_samples_of_many_features():
    """Rank one on both sides: |m - k|^2 + |a|^2 + |b|^2 - 2 |a.b|."""
    x, labels = samples((2, 2), 50, "pairs")
    law = class_gaussians(x, labels, 2)
    a, b = (x[0] - x[1]) / 2**0.5, (x[2] - x[3]) / 2**0.5
    squares = (law.means[0] - law.means[1]).square().sum()
    expected = squares + a @ a + b @ b - 2 * (a @ b).abs()
    assert squared_bures(law, law)[0, 1].item() == pytest.approx(expected.item(), rel=1e-13)


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e9 + 0.1])
def test_equal_samples_are_a_dirac_to_the_bit(value):
    x = torch.cat([torch.full((7, 3), value, dtype=torch.float64), samples((4,), 3, "other")[0]])
    law = class_gaussians(x, torch.tensor([0] * 7 + [1] * 4), 2)
    assert (law.factors[0] == 0).all()
    assert (law.means[0] == value).all()
    expected = (law.means[1] - value).square().sum() + law.traces[1]
    assert squared_bures(law, law)[0, 1].item() == pytest.approx(expected.item(), rel=1e-14)
    assert squared_bures(law, law)[0, 0] == 0


def test_one_sample_has_covariance_zero():
    x, labels = samples((1, 1), 4, "single")
    law = class_gaussians(x, labels, 2)
    assert squared_bures(law, law).tolist() == squared_means(law, law).tolist()


@pytest.mark.parametrize("counts", [(2, 3), (40, 2), (30, 35)])
def test_classes_without_spread_in_some_features_are_finite(counts):
    x, labels = samples(counts, 8, "flat")
    x[:, 3:] = 0.25
    law = class_gaussians(x, labels, 2)
    assert squared_bures(law, law).isfinite().all()
    narrow = class_gaussians(x[:, :3], labels, 2)
    assert squared_bures(law, law)[0, 1].item() == pytest.approx(squared_bures(narrow, narrow)[0, 1].item(), rel=1e-12)


def test_moments_are_those_of_torch():
    x, labels = samples((5, 20), 6, "moments")
    for correction, unbiased in ((1, True), (0, False)):
        law = class_gaussians(x, labels, 2, unbiased=unbiased)
        for c in range(2):
            torch.testing.assert_close(covariances(law)[c], torch.cov(x[labels == c].T, correction=correction))
            torch.testing.assert_close(law.means[c], x[labels == c].mean(0))
            torch.testing.assert_close(law.deviations[c], x[labels == c].std(0, correction=correction))


def test_factors_are_never_wider_than_the_class_or_the_features():
    assert [tuple(factor.shape) for factor in laws([3, 6, 50], 6, "shapes").factors] == [(6, 3), (6, 6), (6, 6)]


# laws


@ORACLES
@given(counts=COUNTS, d=st.integers(1, 6), seed=st.integers(0, 99))
def test_identity_symmetry_and_triangle(counts, d, seed):
    law = laws(counts, d, seed)
    table = squared_bures(law, law)
    assert (table.diagonal() == 0).all()
    assert (table == table.T).all()
    root = table.sqrt()
    assert (root[:, None] <= root[:, :, None] + root[None] + 1e-7).all()


@ORACLES
@given(counts=COUNTS, others=COUNTS, d=st.integers(1, 6), seed=st.integers(0, 99))
def test_swapping_the_sides_transposes(counts, others, d, seed):
    left, right = laws(counts, d, seed), laws(others, d, seed, "other")
    torch.testing.assert_close(squared_bures(left, right), squared_bures(right, left).T, rtol=1e-12, atol=1e-13)


@ORACLES
@given(counts=COUNTS, others=COUNTS, d=st.integers(1, 6), seed=st.integers(0, 99), scale=st.floats(1e-6, 1e6))
def test_motions_leave_it_and_scaling_squares(counts, others, d, seed, scale):
    (x, ours), (y, theirs) = samples(counts, d, seed), samples(others, d, seed, "other")
    turn, shift = rotation(d, seed), samples((1,), d, seed, "shift")[0] * 3
    plain, moved = (
        squared_bures(class_gaussians(a, ours, len(counts)), class_gaussians(b, theirs, len(others)))
        for a, b in ((x, y), (scale * (x @ turn + shift), scale * (y @ turn + shift)))
    )
    torch.testing.assert_close(moved, scale**2 * plain, rtol=1e-9, atol=1e-11 * scale**2)


@ORACLES
@given(counts=COUNTS, d=st.integers(1, 6), seed=st.integers(0, 99))
def test_order_and_duplicates_do_not_matter(counts, d, seed):
    x, labels = samples(counts, d, seed)
    order = torch.randperm(2 * len(x), generator=Seeds(seed).torch())
    twice = class_gaussians(x.repeat(2, 1)[order], labels.repeat(2)[order], len(counts), unbiased=False)
    once = class_gaussians(x, labels, len(counts), unbiased=False)
    assert (squared_bures(once, twice).diagonal() < 1e-20).all()
    torch.testing.assert_close(squared_bures(twice, once), squared_bures(once, once), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
def test_weights_of_whole_numbers_are_duplicates_in_the_population(unbiased):
    x, labels = samples((3, 3), 4, "weights")
    weights = torch.tensor([1, 2, 3, 1, 1, 1], dtype=torch.float64)
    law = class_gaussians(x, labels, 2, weights, unbiased)
    rows = torch.tensor([0, 1, 1, 2, 2, 2])
    wanted = torch.cov(x[rows].T, correction=0) / ((1 - (1 + 4 + 9) / 36) if unbiased else 1)
    torch.testing.assert_close(covariances(law)[0], wanted)
    torch.testing.assert_close(covariances(law)[1], torch.cov(x[3:].T, correction=int(unbiased)))


def test_weight_on_a_single_sample_is_a_dirac():
    x, labels = samples((3,), 4, "dirac")
    law = class_gaussians(x, labels, 1, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(law.means[0], x[1])
    assert (law.factors[0] == 0).all()


@ORACLES
@given(counts=COUNTS, others=COUNTS, d=st.integers(1, 5), seed=st.integers(0, 99))
def test_bures_lies_between_the_means_and_the_bound(counts, others, d, seed):
    left, right = laws(counts, d, seed), laws(others, d, seed, "other")
    value = squared_bures(left, right)
    assert (squared_means(left, right) <= value + 1e-12).all()
    assert (value <= squared_bound(left, right) + 1e-12).all()


@ORACLES
@given(deviations=st.lists(st.lists(st.floats(0, 5), min_size=3, max_size=3), min_size=2, max_size=4))
def test_diagonal_covariances_need_no_root(deviations):
    s = torch.tensor(deviations, dtype=torch.float64)
    law = gaussians_of(s.flip(1), torch.diag_embed(s.square()))
    torch.testing.assert_close(squared_bures(law, law), squared_diagonal(law, law), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("at_once", [1, 500, 10**6])
def test_batches_change_nothing(monkeypatch, at_once):
    monkeypatch.setattr(gaussian, "AT_ONCE", at_once)
    counts = [2, 30, 3, 9, 2, 11, 30]
    left, right = laws(counts, 12, "left"), laws(counts[::-1], 12, "right")
    one = [Gaussians(law.means[c : c + 1], law.factors[c : c + 1]) for law in (left, right) for c in range(7)]
    pairs = [[squared_bures(a, b).item() for b in one[7:]] for a in one[:7]]
    torch.testing.assert_close(squared_bures(left, right), torch.tensor(pairs, dtype=torch.float64), rtol=1e-12, atol=0)
    cross = squared_bures(left, Gaussians(left.means, left.factors))
    torch.testing.assert_close(squared_bures(left, left), cross, rtol=1e-12, atol=1e-20)


def test_memory_of_cross_products_is_bounded(monkeypatch):
    monkeypatch.setattr(gaussian, "AT_ONCE", 2000)
    law, largest = laws([20] * 40, 20, "memory"), 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            largest = max(largest, *(each.numel() for each in tree_leaves(out) if isinstance(each, Tensor)), 0)
            return out

    with Watch():
        squared_bures(law, law)
    assert largest <= 2000


# gradients


@pytest.mark.parametrize(("counts", "d"), [((4, 3), 6), ((9, 8), 3), ((3, 9), 5)])
@pytest.mark.parametrize("measure", [squared_bures, squared_diagonal, squared_bound])
def test_gradients_are_finite_differences(counts, d, measure):
    x, labels = samples(counts, d, "gradient")

    def table(x):
        law = class_gaussians(x, labels, 2)
        return measure(law, law)

    assert torch.autograd.gradcheck(table, x.requires_grad_())


def test_gradient_of_nearly_equal_laws():
    x, labels = samples((4, 4), 6, "gradient")
    x[4:] = x[:4] + 1e-3 * x[4:]

    def value(y):
        law = class_gaussians(torch.cat([x[:4], y]), labels, 2)
        return squared_bures(law, law)[0, 1] * 1e3

    assert torch.autograd.gradcheck(value, x[4:].clone().requires_grad_(), eps=1e-8, atol=1e-4)


@pytest.mark.parametrize("counts", [(2, 2), (2, 9), (9, 9)])
@pytest.mark.parametrize("measure", [squared_bures, squared_diagonal, squared_bound, squared_means])
def test_gradients_of_singular_classes_are_finite(counts, measure):
    x, labels = samples(counts, 4, "singular")
    x[:, 2:] = 1.0
    x[labels == 0] = 0.5
    x.requires_grad_()
    law = class_gaussians(x, labels, 2)
    measure(law, law).sum().backward()
    assert x.grad.isfinite().all()


# bad input


def one(covariance, mean=(0.0, 0.0)):
    return gaussians_of(torch.tensor([mean]), torch.tensor([covariance]))


def test_asymmetric_covariance():
    with pytest.raises(ValueError, match=r"covariances: class 0 is not symmetric"):
        one([[1.0, 0.5], [0.4, 1.0]])


def test_covariance_with_a_negative_eigenvalue():
    with pytest.raises(ValueError, match=r"covariances: class 0 has eigenvalue -1, allowed are eigenvalues >= 0"):
        one([[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(ValueError, match=r"covariances: class 0 has eigenvalue -1e-05"):
        one([[1.0, 0.0], [0.0, -1e-5]])


@pytest.mark.parametrize("trace", [1e-6, 1.0, 1e6])
def test_what_counts_as_rounding_is_a_millionth_of_the_trace(trace):
    below, above = (torch.diag(torch.tensor([trace, -part * trace], dtype=torch.float64))[None] for part in (2e-6, 5e-7))
    mean = torch.zeros(1, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"covariances: class 0 has eigenvalue -"):
        gaussians_of(mean, below)
    assert gaussians_of(mean, above).traces.item() == pytest.approx(trace, rel=1e-12)


def test_covariance_negative_by_rounding_counts_as_singular():
    law = one([[1.0, 0.0], [0.0, -1e-9]])
    torch.testing.assert_close(covariances(law)[0], torch.diag(torch.tensor([1.0, 0.0], dtype=torch.float64)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_moments_that_are_not_finite(bad):
    with pytest.raises(ValueError, match=r"covariances: class 0 is not finite"):
        one([[1.0, bad], [bad, 1.0]])
    with pytest.raises(ValueError, match=r"means: class 0 is not finite"):
        one([[1.0, 0.0], [0.0, 1.0]], (0.0, bad))
