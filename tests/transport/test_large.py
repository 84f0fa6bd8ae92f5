"""Transport between clouds without their cost matrix equals transport with it; its memory and its certificate."""

import warnings

import pytest
import torch

from lib.seeds import Seeds
from lib.transport import column_generation, large
from lib.transport.column_generation import Dense, c_transform
from lib.transport.couplings import couple
from lib.transport.kernels import squared_distances
from lib.transport.large import Clouds, couple_clouds


def draw(seed, *shape):
    return torch.rand(*shape, generator=Seeds(seed).torch(), dtype=torch.float64)


def labelled(seed, n, m, d=4, classes=(3, 5)):
    x, y = draw(seed, n, d), draw(seed + 1, m, d) * 1.4
    labels = tuple((draw(seed + k, size) * c).long() for k, size, c in ((2, n, classes[0]), (3, m, classes[1])))
    return x, y, labels, draw(seed + 4, *classes)


@pytest.fixture(autouse=True, params=["cost kept", "cost made anew"])
def small_blocks(monkeypatch, request):
    """Several blocks and rounds even for few points, with the cost in memory and without."""
    if request.param == "cost made anew":
        monkeypatch.setattr(large, "KEPT", 0)
    monkeypatch.setattr(large, "BLOCK", 2000)
    monkeypatch.setattr(column_generation, "BLOCK", 2000)
    monkeypatch.setattr(column_generation, "ARCS", 3)


@pytest.mark.parametrize("shape", [(1, 7), (60, 60), (90, 40), (30, 120)])
@pytest.mark.parametrize("with_table", [False, True])
def test_equals_the_dense_solver(shape, with_table):
    x, y, labels, table = labelled(0, *shape)
    how = {"labels": labels, "table": table, "lam_x": 0.7, "lam_y": 2.0} if with_table else {}
    cost = squared_distances(x, y)
    if with_table:
        cost = 0.7 * cost + 2.0 * table[labels[0]][:, labels[1]]
    found, dense = couple_clouds(x, y, **how), couple(cost)
    assert float(found.value) == pytest.approx(float(dense.value), abs=1e-9)
    assert found.certificate.ok
    assert float(found.value) - found.certificate.bound <= float(dense.value) + 1e-12
    assert found.plan.is_sparse
    assert found.plan.to_dense().sum(1) == pytest.approx(torch.full((shape[0],), 1 / shape[0], dtype=torch.float64))
    u, v = found.potentials
    assert (cost - u[:, None] - v).min() >= -1e-12
    assert found.row_conditional().to_dense().sum(1) == pytest.approx(torch.ones(shape[0], dtype=torch.float64))


def test_labels_alone_decide_where_features_do_not_count():
    x, y, labels, table = labelled(3, 50, 70)
    found = couple_clouds(x, y, labels=labels, table=table, lam_x=0.0)
    assert float(found.value) == pytest.approx(float(couple(table[labels[0]][:, labels[1]]).value), abs=1e-12)


def test_weights_of_zero_take_no_part_and_get_feasible_potentials():
    x, y, labels, table = labelled(5, 40, 50)
    a, b = draw(6, 40) ** 2, draw(7, 50) ** 2
    a[:5], b[10:30] = 0, 0
    a, b = a / a.sum(), b / b.sum()
    cost = squared_distances(x, y) + table[labels[0]][:, labels[1]]
    found, dense = couple_clouds(x, y, a, b, labels=labels, table=table), couple(cost, a, b)
    assert float(found.value) == pytest.approx(float(dense.value), abs=1e-9)
    assert (cost - found.potentials[0][:, None] - found.potentials[1]).min() >= -1e-12
    assert found.plan.to_dense().sum(0) == pytest.approx(b, abs=1e-12)


def test_identical_clouds_cost_nothing():
    x = draw(1, 80, 5).float()
    assert float(couple_clouds(x, x.flip(0)).value) == 0


def test_the_value_has_the_gradients_of_the_dense_one():
    inputs = [tensor.requires_grad_() for tensor in (draw(0, 30, 2), draw(1, 20, 2), draw(2, 2, 3))]
    x, y, table = inputs
    labels = torch.arange(30) % 2, torch.arange(20) % 3
    sparse = torch.autograd.grad(couple_clouds(x, y, labels=labels, table=table).value, inputs)
    dense = torch.autograd.grad(couple(squared_distances(x, y) + table[labels[0]][:, labels[1]]).value, inputs)
    for found, expected in zip(sparse, dense, strict=True):
        assert found == pytest.approx(expected, abs=1e-10)


def test_float32_points_give_float32_results_from_float64_work():
    x, y, _, _ = labelled(9, 70, 70)
    found, wide = couple_clouds(x.float(), y.float()), couple_clouds(x, y)
    assert found.value.dtype == found.plan.dtype == torch.float32
    assert float(found.value) == pytest.approx(float(wide.value), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_units_of_the_points_do_not_matter(scale):
    x, y, _, _ = labelled(2, 60, 70)
    value = float(couple_clouds(x * scale, y * scale).value) / scale**2
    assert value == pytest.approx(float(couple_clouds(x, y).value), rel=1e-9)


def test_never_makes_the_whole_cost(monkeypatch):
    """At the real block size: no block has more entries than BLOCK, except the subsample's rows."""
    seen = []
    rows = Clouds.rows
    monkeypatch.setattr(large, "KEPT", 0)
    monkeypatch.setattr(column_generation, "BLOCK", 100_000)
    monkeypatch.setattr(Clouds, "rows", lambda self, index: seen.append((block := rows(self, index)).numel()) or block)
    x, y, _, _ = labelled(4, 1000, 1000)
    assert couple_clouds(x, y).certificate.ok
    assert sorted(seen)[-2] <= 100_000
    assert max(seen) <= 1000 * 1000 / 4


def test_c_transform_is_the_largest_feasible_potential():
    cost, u = draw(0, 70, 50), draw(1, 70)
    v = c_transform(Dense(cost), u)
    assert (cost - u[:, None] - v).amin(0).abs().max() < 1e-15


def test_a_limit_that_is_reached_is_named():
    with pytest.warns(UserWarning, match="column generation: not converged"):
        found = couple_clouds(draw(0, 60, 2), draw(1, 60, 2), max_iterations=2)
    assert not found.certificate.ok
    assert found.certificate.bound is None


def test_same_input_same_bits_and_no_warning():
    x, y, labels, table = labelled(8, 60, 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plans = [couple_clouds(x, y, labels=labels, table=table).plan.to_dense() for _ in range(2)]
    assert torch.equal(*plans)


class TestBadInput:
    X, Y, LABELS, TABLE = labelled(0, 4, 5)

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ({"x": X[:0]}, "x: got no points"),
            ({"y": Y * float("nan")}, "y: got nan in point 0, allowed are finite coordinates"),
            ({"y": Y[:, :2]}, "y: got points of dimension 2, allowed is 4"),
            ({"y": Y.to("meta")}, "y: got a tensor on meta, allowed is cpu, where x is"),
            ({"labels": (LABELS[0], LABELS[1].to("meta")), "table": TABLE}, "labels: got a tensor on meta"),
            ({"a": torch.full((4,), 0.5).double()}, "a: got weights of sum 2"),
            ({"labels": LABELS}, "labels, table: got labels alone"),
            ({"table": TABLE}, "labels, table: got a table alone"),
            ({"labels": LABELS, "table": TABLE * float("inf")}, "table: got inf"),
            ({"labels": LABELS[::-1], "table": TABLE}, "labels: got 5 for the 4 points of x"),
            ({"labels": (LABELS[0], LABELS[1] + 9), "table": TABLE}, "allowed are 0 to 4"),
            ({"labels": (LABELS[0] - 9, LABELS[1]), "table": TABLE}, "for a point of x, allowed are 0 to 2"),
            ({"lam_x": -1.0}, "lam_x: got -1.0"),
            ({"lam_y": float("nan")}, "lam_y: got nan"),
            ({"tolerance": 0.0}, "tolerance: got 0.0"),
        ],
    )
    def test_is_named(self, how, said):
        with pytest.raises(ValueError, match=said):
            couple_clouds(**({"x": self.X, "y": self.Y} | how))
