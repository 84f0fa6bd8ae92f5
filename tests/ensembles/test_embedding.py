"""Maps of distance matrices: exact cases, agreement with scikit-learn, alignment, and one more point."""

import importlib.util
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.decomposition import PCA
from sklearn.manifold import MDS

from lib.ensembles.distances import Outputs, pair_distance
from lib.ensembles.embedding import METHODS, embed, kruskal_stress, methods, place, procrustes_align
from lib.seeds import Seeds

HERE = [name for name in METHODS if name != "umap"]


def plane(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2))


def high(n, seed=0):
    """Distances of points in ten dimensions, which no map can show exactly."""
    return squareform(pdist(np.random.default_rng(seed).normal(size=(n, 10)) * np.linspace(1, 3, 10)))


def turned(points, angle, mirror):
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return points @ turn * [1, -1 if mirror else 1]


class TestOracle08PlanarPoints:
    @pytest.mark.parametrize("method", HERE)
    def test_points_in_the_plane_are_recovered(self, method):
        points = plane(20)
        found = embed(squareform(pdist(points)), method)
        assert found.stress < 1e-3
        assert found.rank_correlation == pytest.approx(1, abs=1e-4)
        assert found.converged

    @pytest.mark.parametrize("method", ["classical", "pca"])
    def test_classical_mds_recovers_them_up_to_a_motion(self, method):
        points = plane(20)
        found = embed(squareform(pdist(points)), method).points
        assert np.abs(procrustes_align(found, points) - points).max() < 1e-6

    @pytest.mark.parametrize("seed", range(3))
    def test_stress_agrees_with_scikit_learn(self, seed):
        distances = squareform(pdist(np.hstack([3 * plane(25, seed), plane(25, seed + 9)])))  # nearly planar: one best map
        peer = MDS(n_init=8, init="random", metric="precomputed", normalized_stress=True, max_iter=1000, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            peer.fit(distances)
        ours = embed(distances, "metric", Seeds(seed)).stress
        assert ours == pytest.approx(peer.stress_, rel=0.01)
        assert kruskal_stress(distances, peer.embedding_) == pytest.approx(peer.stress_, rel=1e-6)


class TestMethods:
    def test_pca_of_weight_distances_is_pca_of_the_weights(self):
        weights = np.random.default_rng(1).normal(size=(12, 30))
        found = embed(squareform(pdist(weights)), "pca").points
        direct = PCA(2).fit_transform(weights)
        assert np.abs(procrustes_align(found, direct) - direct).max() < 1e-6

    @pytest.mark.parametrize("seed", range(3))
    def test_metric_has_less_stress_than_classical(self, seed):
        distances = high(30, seed)
        assert embed(distances, "metric").stress < embed(distances, "classical").stress

    @pytest.mark.parametrize("seed", range(3))
    def test_nonmetric_fits_the_order_at_least_as_well_as_metric(self, seed):
        distances = high(30, seed)
        metric = embed(distances, "metric")
        assert embed(distances, "nonmetric").stress < kruskal_stress(distances, metric.points, ordinal=True) + 1e-3

    def test_nonmetric_sees_order_only(self):
        distances = squareform(pdist(plane(15)))
        assert embed(distances**3, "nonmetric").stress < 0.02 < 0.2 < embed(distances**3, "metric").stress

    @pytest.mark.parametrize("seed", range(5))
    def test_nonmetric_keeps_models_at_distance_zero_together(self, seed):
        """Even where their other distances would draw them apart."""
        upper = np.triu(np.random.default_rng(seed).uniform(0.5, 2, (6, 6)), 1)
        upper[0, 1] = 0
        on_map = pdist(embed(upper + upper.T, "nonmetric").points)
        assert on_map[0] < 0.3 * np.median(on_map)

    @pytest.mark.parametrize("method", HERE)
    def test_same_seed_same_map(self, method):
        first, second = embed(high(20), method, Seeds(5)), embed(high(20), method, Seeds(5))
        assert np.array_equal(first.points, second.points)
        assert first.stress == second.stress

    @pytest.mark.parametrize("method", HERE)
    def test_points_on_a_line_and_points_on_one_spot(self, method):
        line = np.arange(5.0)[:, None]
        found = embed(squareform(pdist(line)), method)
        assert found.stress < 1e-3
        spot = embed(np.zeros((4, 4)), method)
        assert (spot.points == 0).all()
        assert (spot.stress, spot.rank_correlation) == (0, None)

    def test_equal_distances_have_no_rank_correlation(self):
        found = embed(1 - np.eye(3))
        assert found.rank_correlation is None
        assert found.stress < 1e-3

    def test_torch_distances_are_taken_as_they_are(self):
        d = high(10)
        assert np.array_equal(embed(torch.from_numpy(d)).points, embed(d).points)

    def test_umap_is_offered_only_where_it_is_installed(self):
        assert ("umap" in methods()) == (importlib.util.find_spec("umap") is not None)
        assert set(methods()) <= set(METHODS)


class TestStress:
    @given(st.integers(0, 1000), st.floats(0, 6), st.booleans())
    @settings(max_examples=30)
    def test_no_motion_changes_it(self, seed, angle, mirror):
        distances, points = high(8, seed), plane(8, seed)
        moved = turned(points, angle, mirror) + np.array([3, -1])
        assert kruskal_stress(distances, moved) == pytest.approx(kruskal_stress(distances, points))

    def test_of_a_known_map(self):
        distances = np.array([[0, 3, 4], [3, 0, 5], [4, 5, 0]], dtype=float)
        points = np.array([[0, 0], [3, 0], [0, 8]], dtype=float)
        on_map = np.array([3, 8, math.sqrt(73)])
        expected = math.sqrt(((on_map - [3, 4, 5]) ** 2).sum() / (on_map**2).sum())
        assert kruskal_stress(distances, points) == pytest.approx(expected)
        assert kruskal_stress(distances, points, ordinal=True) == 0

    def test_ordinal_stress_of_a_map_in_reverse_order(self):
        """Map distances 5, 4, 3 for true ones 3 < 4 < 5: the best increasing fit is 4, 4, 4."""
        distances = np.array([[0, 3, 4], [3, 0, 5], [4, 5, 0]], dtype=float)
        points = np.array([[4, 0], [0, 3], [0, 0]], dtype=float)
        assert kruskal_stress(distances, points, ordinal=True) == pytest.approx(math.sqrt(2 / 50))

    def test_ordinal_stress_may_tell_equal_distances_apart(self):
        assert kruskal_stress(1 - np.eye(3), np.array([[4.0, 0], [0, 3], [0, 0]]), ordinal=True) == 0


class TestProcrustes:
    @given(st.integers(0, 1000), st.floats(0, 6), st.booleans())
    @settings(max_examples=30)
    def test_undoes_every_motion(self, seed, angle, mirror):
        points = plane(9, seed)
        assert np.abs(procrustes_align(turned(points, angle, mirror) + np.array([2, 5]), points) - points).max() < 1e-6

    def test_keeps_the_scale(self):
        points = plane(9)
        assert pdist(procrustes_align(2 * points, points)) == pytest.approx(2 * pdist(points))

    def test_other_number_of_points(self):
        with pytest.raises(ValueError, match="points: got 3 and 4 in the reference"):
            procrustes_align(plane(3), plane(4))


class TestPlace:
    @given(st.integers(0, 1000))
    @settings(max_examples=30)
    def test_a_point_of_the_plane_goes_where_it_belongs(self, seed):
        points = plane(15, seed)
        assert place(cdist(points[:1], points[1:])[0], points[1:]) == pytest.approx(points[0], abs=1e-3)

    @pytest.mark.parametrize("seed", range(5))
    def test_no_place_on_a_grid_is_better(self, seed):
        distances = high(30, seed)
        points = embed(distances).points
        for k in range(30):
            others = np.delete(points, k, axis=0)
            apart = np.delete(distances[k], k)

            def misfit(spots, others=others, apart=apart):
                return np.square(cdist(spots, others) - apart).sum(1)

            reach = np.linspace(1.5 * points.min(), 1.5 * points.max(), 60)
            grid = np.stack(np.meshgrid(reach, reach), -1).reshape(-1, 2)
            assert misfit(place(apart, others)[None])[0] <= misfit(grid).min()

    def test_a_point_aside_of_a_line_finds_its_way_off_the_line(self):
        line = np.stack([np.linspace(0, 3, 9), np.zeros(9)], axis=1)
        found = place(cdist([[1.0, 0.5]], line)[0], line)
        assert np.abs(found) == pytest.approx([1.0, 0.5], abs=1e-3)

    def test_a_model_that_is_on_the_map_stays_near_its_place(self):
        points = plane(12)
        assert place(cdist(points[3:4], points)[0], points) == pytest.approx(points[3], abs=1e-3)

    @pytest.mark.parametrize("bad", [[1.0, 2.0], [1.0, -1.0, 1.0], [1.0, math.nan, 1.0]])
    def test_bad_distances(self, bad):
        with pytest.raises(ValueError, match=r"distances: got .* one finite number >= 0 for each point"):
            place(np.array(bad), plane(3))


class TestPitfalls:
    def test_a_soup_lies_at_the_mean_of_its_members_for_planar_weights_only(self):
        """For d_E of planar weights the map shows the soup amid its members; by d_D it has a place of its own."""
        weights = plane(6)
        soup = weights[:2].mean(0, keepdims=True)
        exact = embed(squareform(pdist(np.vstack([weights, soup]))), "classical").points
        assert exact[6] == pytest.approx(exact[:2].mean(0), abs=1e-9)
        wrong = (torch.rand(7, 200, generator=Seeds(0).torch()) < 0.2).long()
        wrong[6] = wrong[0] & wrong[1]  # the soup errs only where both members do
        errors = Outputs(wrong, torch.zeros(200, dtype=torch.int64), 2)
        by_errors = embed(pair_distance("ratio-error", errors))
        assert np.linalg.norm(by_errors.points[6] - by_errors.points[:2].mean(0)) > 0.1 * pdist(by_errors.points).max()


class TestBadInput:
    @pytest.mark.parametrize("method", HERE)
    def test_fewer_than_three_points(self, method):
        with pytest.raises(ValueError, match="got 2 points, a map needs at least 3"):
            embed(1 - np.eye(2), method)

    def test_unknown_method_lists_the_names(self):
        with pytest.raises(ValueError, match="method: got 'tsne', allowed are metric, nonmetric, classical, pca, umap"):
            embed(high(5), "tsne")

    @pytest.mark.parametrize(
        ("matrix", "message"),
        [
            pytest.param(np.zeros((3, 4)), "square", id="not square"),
            pytest.param(np.triu(np.ones((3, 3)), 1), "symmetric", id="asymmetric"),
            pytest.param(np.eye(3) - 1, ">= 0", id="negative"),
            pytest.param(np.full((3, 3), np.nan), "finite", id="NaN"),
        ],
    )
    def test_matrix_that_is_not_of_distances(self, matrix, message):
        with pytest.raises(ValueError, match=message):
            embed(matrix)

    def test_pca_of_distances_that_are_not_euclidean(self):
        d = np.array([[0, 1, 9], [1, 0, 1], [9, 1, 0]], dtype=float)
        with pytest.raises(ValueError, match=r"'pca' for distances that are not Euclidean.*'metric' or 'nonmetric'"):
            embed(d, "pca")

    @pytest.mark.skipif(importlib.util.find_spec("umap") is not None, reason="umap-learn is installed")
    def test_umap_requested_but_missing_names_the_alternative(self):
        with pytest.raises(ImportError, match=r"umap-learn.*use 'nonmetric' instead"):
            embed(high(5), "umap")
