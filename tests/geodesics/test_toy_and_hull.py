"""The authors' toy reproduces the prototype's numbers; hulls keep sources, tables and rows where they belong."""

import pytest
import torch

from lib.geodesics.hull import build_hull, label_table, measured_distance
from lib.geodesics.toy import HEIGHT, toy
from lib.seeds import Seeds
from lib.transport import dataset_distance as dataset_distance_module
from lib.transport.dataset_distance import Settings
from lib.transport.geodesics import mixup
from lib.transport.labels import label_distances, labelled
from lib.transport.metric import transport_metric

TOY = Settings(lam_y=0.1, label_method="means")


@pytest.fixture(scope="module")
def hull():
    base, sources = toy(Seeds(0))
    return build_hull(base, sources, TOY)


@pytest.fixture(scope="module")
def features_only(hull):
    return transport_metric(hull.base, hull.maps, lam_y=0)


def small_sets(seed=0, n=12):
    generator = Seeds(seed).torch()

    def data(classes):
        return labelled(torch.randn(n, 3, generator=generator, dtype=torch.float64), torch.arange(n) % classes)

    return data(2), [data(3), data(2)]


class TestToy:
    def test_prototype_values(self, features_only):
        best = features_only.best()
        assert features_only.linear.tolist() == pytest.approx([205.6, 181.8, 222.7], abs=1.5)
        assert best.weights.tolist() == pytest.approx([0.29, 0.50, 0.21], abs=0.02)
        assert best.value.item() == pytest.approx(HEIGHT**2, rel=0.01)
        assert features_only.distance(torch.full((3,), 1 / 3, dtype=torch.float64)).item() == pytest.approx(148.6, abs=1)
        assert best.curvature > 0

    def test_nothing_in_the_hull_is_nearer(self, features_only):
        best = features_only.best()
        assert (best.value <= features_only.linear).all()
        assert best.value <= features_only.distance(torch.full((3,), 1 / 3, dtype=torch.float64))

    def test_exact_distance_agrees_with_the_programme(self, hull, features_only):
        best = features_only.best()
        assert measured_distance(hull.at(best.weights), hull.base) == pytest.approx(best.value.item(), rel=0.05)

    def test_the_best_point_is_the_base_seen_on_the_plane_and_mixup_is_wider(self, hull, features_only):
        best = features_only.best().weights
        shadow = hull.at(best).features
        assert shadow[:, 2].abs().max() < 1
        torch.testing.assert_close(shadow[:, :2].mean(0), hull.base.features[:, :2].mean(0), atol=0.3, rtol=0)
        mixed = mixup(hull.sources, best, 500, Seeds(0))
        assert measured_distance(mixed, hull.base) > features_only.best().value

    def test_distances_of_couplings_are_at_least_those_of_maps(self, hull):
        values = torch.stack([found.value for found in hull.distances])
        assert (values >= hull.metric.linear - 1e-6).all()
        assert all(found.coupling.certificate.ok for found in hull.distances)

    def test_seeded(self):
        (one, _), (same, _), (other, _) = toy(Seeds(1), 20), toy(Seeds(1), 20), toy(Seeds(2), 20)
        assert torch.equal(one.features, same.features)
        assert not torch.equal(one.features, other.features)

    def test_clusters_are_classes_of_equal_size(self):
        base, sources = toy(Seeds(0))
        assert base.counts.tolist() == [125] * 4
        assert [source.counts.tolist() for source in sources] == [[250, 250], [167, 167, 166], [167, 167, 166]]

    def test_too_few_points(self):
        with pytest.raises(ValueError, match="points: got 3, allowed are whole numbers >= 4"):
            toy(Seeds(0), 3)


class TestHull:
    def test_table_holds_all_pairs_with_the_base_first(self):
        base, sources = small_sets()
        table = label_table(base, sources, Settings())
        assert table.shape == (7, 7)
        torch.testing.assert_close(table[:2, 2:5], label_distances(base, sources[0]))
        torch.testing.assert_close(table[2:5, 5:], label_distances(sources[0], sources[1]))

    def test_names_of_classes_do_not_matter(self):
        base, sources = small_sets()
        renamed = [labelled(source.features, [f"class {9 - label}" for label in source.labels]) for source in sources]
        one, other = build_hull(base, sources), build_hull(base, renamed)
        torch.testing.assert_close(one.metric.squared, other.metric.squared)
        torch.testing.assert_close(one.best.weights, other.best.weights)

    def test_rows_of_all_maps_belong_to_the_same_base_points(self):
        base, sources = small_sets()
        order = torch.arange(len(base.labels)).flip(0)
        one, other = build_hull(base, sources), build_hull(labelled(base.features[order], base.labels[order]), sources)
        for left, right in zip(one.maps, other.maps, strict=True):
            torch.testing.assert_close(left.features[order], right.features)

    def test_hard_maps_go_to_source_points(self):
        base, sources = small_sets()
        for image, source in zip(build_hull(base, sources, method="hard").maps, sources, strict=True):
            assert torch.cdist(image.features, source.features).amin(1).max() == 0

    def test_entropic_maps_tend_to_the_exact_ones(self):
        base, sources = small_sets()
        exact = build_hull(base, sources)
        gaps = []
        for epsilon in (10.0, 1.0, 0.1, 0.01):
            soft = build_hull(base, sources, epsilon=epsilon)
            gaps.append((soft.maps[0].features - exact.maps[0].features).norm().item())
        assert gaps == sorted(gaps, reverse=True)
        assert gaps[-1] < 0.1 * gaps[0]

    def test_without_label_costs_no_class_is_too_small(self):
        base, sources = small_sets()
        lonely = labelled(torch.cat([base.features, base.features[:1] + 1]), [*base.labels.tolist(), 7])
        hull = build_hull(lonely, sources, Settings(lam_y=0.0))
        assert hull.metric.label_parts.abs().max() == 0
        with pytest.warns(UserWarning, match="dropped"), pytest.raises(ValueError, match="two samples or more of every class"):
            build_hull(lonely, sources)

    @pytest.mark.parametrize("method", ["barycentric", "hard"])
    def test_large_sets_have_the_same_hull(self, monkeypatch, method):
        """Above LARGE pairs, as at paper size, couplings are sparse."""
        base, sources = small_sets()
        dense = build_hull(base, sources, method=method)
        monkeypatch.setattr(dataset_distance_module, "LARGE", 10)
        large = build_hull(base, sources, method=method)
        assert large.distances[0].coupling.plan.is_sparse
        torch.testing.assert_close(large.metric.squared, dense.metric.squared)
        torch.testing.assert_close(large.best.weights, dense.best.weights)

    @pytest.mark.parametrize("epsilon", [0.0, -1.0])
    def test_epsilon_must_be_positive(self, epsilon):
        with pytest.raises(ValueError, match=f"epsilon: got {epsilon}, allowed are finite numbers > 0"):
            build_hull(*small_sets(), epsilon=epsilon)

    def test_no_sources(self):
        with pytest.raises(ValueError, match="sources: got none"):
            build_hull(small_sets()[0], [])
