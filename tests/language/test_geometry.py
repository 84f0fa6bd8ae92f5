"""Angles, distances and the map of updates."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.language.adapters import Adapter
from lib.language.geometry import draw_map, gram, path, row_cosines
from lib.seeds import Seeds

SHAPES = {"q": (12, 8), "k": (5, 8), "o": (8, 12)}
NAMES = ("a+", "a-", "b+", "b-")


def pool(seed=0, rank=2, count=4):
    found = {}
    for name in NAMES[:count]:
        generator = Seeds(seed).child(name).torch()
        factors = {
            layer: (torch.randn(rank, i, generator=generator), torch.randn(o, rank, generator=generator))
            for layer, (o, i) in SHAPES.items()
        }
        found[name] = Adapter(factors, 3.0, "abc")
    return found


def dense(adapter):
    return {layer: adapter.update(layer).double() for layer in adapter.factors}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_cosines_equal_the_dense_result(seed, rank):
    adapters = pool(seed, rank)
    found, updates = gram(adapters), [dense(adapter) for adapter in adapters.values()]
    for i, j in itertools.product(range(4), repeat=2):
        whole = [torch.cat([d.flatten() for d in update.values()]) for update in (updates[i], updates[j])]
        assert found.cosines()[i, j] == pytest.approx(float(torch.cosine_similarity(*whole, dim=0)), abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 5))
def test_row_cosines_are_the_official_codes(seed, rank):
    adapters = pool(seed, rank)
    found, updates = row_cosines(adapters), [dense(adapter) for adapter in adapters.values()]
    for i, j in itertools.product(range(4), repeat=2):
        per_layer = [torch.cosine_similarity(updates[i][layer], updates[j][layer], dim=1).mean() for layer in SHAPES]
        assert found[i, j] == pytest.approx(float(sum(per_layer)) / len(SHAPES), abs=1e-5)


def test_row_cosine_of_rows_that_are_zero_is_zero():
    adapters = pool(count=2)
    adapters["half"] = Adapter(
        {k: (a, torch.cat([b[:1] * 0, b[1:]])) for k, (a, b) in adapters["a+"].factors.items()}, 3.0, "abc"
    )
    expected = sum((o - 1) / o for o, _ in SHAPES.values()) / len(SHAPES)
    assert row_cosines(adapters)[0, 2] == pytest.approx(expected)


def test_cosine_with_itself_a_scaled_copy_and_the_negative():
    adapters = pool(count=1)
    one = adapters["a+"]
    adapters["scaled"] = Adapter({k: (2 * a, 3 * b) for k, (a, b) in one.factors.items()}, 1.0, "abc")
    adapters["negative"] = Adapter({k: (a, -b) for k, (a, b) in one.factors.items()}, 3.0, "abc")
    expected = torch.tensor([[1, 1, -1], [1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    for found in (gram(adapters).cosines(), row_cosines(adapters)):
        torch.testing.assert_close(found, expected)


def test_distances_equal_the_dense_result_for_mixes_and_the_base():
    adapters = pool()
    mixes = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [0.3, 0.7, 0, 0], [1.5, -0.5, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    found = gram(adapters).distances(mixes)
    updates = [dense(adapter) for adapter in adapters.values()]
    rows = [{layer: sum(float(c) * u[layer] for c, u in zip(mix, updates, strict=True)) for layer in SHAPES} for mix in mixes]
    for i, j in itertools.product(range(5), repeat=2):
        expected = sum(float((rows[i][layer] - rows[j][layer]).norm()) for layer in SHAPES)
        assert found[i, j] == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_the_base_lies_at_the_norm_of_the_update():
    adapters = pool()
    found = gram(adapters).distances(torch.cat([torch.zeros(1, 4), torch.eye(4)]))
    for k, adapter in enumerate(adapters.values()):
        assert found[0, k + 1] == pytest.approx(sum(float(d.norm()) for d in dense(adapter).values()), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_distances_are_symmetric_with_zero_diagonal_and_the_triangle_inequality(seed):
    mixes = torch.rand(6, 4, generator=Seeds(seed).torch(), dtype=torch.float64)
    d = gram(pool(seed)).distances(mixes)
    assert torch.equal(d, d.T)
    assert not d.diagonal().any()
    assert (d[:, None] <= d[:, :, None] + d[None] + 1e-9).all()


def test_a_path_is_straight():
    adapters = pool()
    rows = path(tuple(adapters), "a-", "a+", [0.0, 0.25, 1.0, 1.5])
    torch.testing.assert_close(
        rows, torch.tensor([[0, 1, 0, 0], [0.25, 0.75, 0, 0], [1, 0, 0, 0], [1.5, -0.5, 0, 0]], dtype=torch.float64)
    )
    d = gram(adapters).distances(rows)
    torch.testing.assert_close(d[0], d[0, 2] * torch.tensor([0, 0.25, 1, 1.5], dtype=torch.float64))


def test_a_map_of_points_in_the_plane_is_perfect():
    points = torch.rand(7, 2, generator=Seeds(0).torch(), dtype=torch.float64)
    d = torch.cdist(points, points)
    found = draw_map(d)
    assert found.points.shape == (7, 2)
    assert found.stress < 1e-3
    np.testing.assert_allclose(np.linalg.norm(found.points[:, None] - found.points[None], axis=2), d, atol=1e-3)


def test_the_map_is_the_same_every_time_and_tells_its_stress():
    d = gram(pool()).distances()
    first, second = draw_map(d), draw_map(d)
    np.testing.assert_array_equal(first.points, second.points)
    assert 0 < first.stress < 0.5


@pytest.mark.parametrize(
    "bad",
    [
        torch.zeros(2, 2),
        torch.zeros(3, 4),
        torch.eye(3),
        torch.tensor([[0, 1, 2], [3, 0, 1], [2, 1, 0.0]]),
        torch.full((3, 3), torch.nan),
    ],
    ids=["two", "not square", "diagonal", "not symmetric", "nan"],
)
def test_what_is_no_matrix_of_distances(bad):
    with pytest.raises(ValueError, match="distances: got"):
        draw_map(bad)


def test_zero_update_has_no_cosine():
    adapters = pool()
    adapters["zero"] = Adapter({k: (a, 0 * b) for k, (a, b) in adapters["a+"].factors.items()}, 3.0, "abc")
    with pytest.raises(ValueError, match="'zero' is zero in all layers"):
        gram(adapters).cosines()
    assert gram(adapters).distances().isfinite().all()


def test_adapters_that_do_not_fit():
    adapters = pool()
    adapters["other"] = Adapter(adapters["a+"].factors, 3.0, "xyz")
    for call in (gram, row_cosines):
        with pytest.raises(ValueError, match="layer q: adapter 4 was trained on base xyz"):
            call(adapters)


def test_wrong_numbers_of_shares_and_unknown_ends():
    with pytest.raises(ValueError, match="mixes: got 3 shares"):
        gram(pool()).distances(torch.eye(3))
    with pytest.raises(ValueError, match="path: got 'c'"):
        path(NAMES, "a+", "c", [0.5])
