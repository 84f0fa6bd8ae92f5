"""Neural maps find the barycentric ones on the toy, and are named where they fail."""

import pytest
import torch

from lib.geodesics.hull import build_hull, hull_of_maps
from lib.geodesics.neural_map import NeuralSettings, map_error, neural_maps
from lib.geodesics.toy import toy
from lib.seeds import Seeds
from lib.transport.dataset_distance import Settings

TOY = Settings(lam_y=0.1, label_method="means")
SHORT = {"identity_steps": 5, "classifier_steps": 20, "steps": 5, "width": 8}


@pytest.fixture(scope="module")
def hull():
    base, sources = toy(Seeds(0), 120)
    return build_hull(base, sources, TOY)


def maps(hull, seed=0, **settings):
    base, sources = hull.distances[0].left, [found.right for found in hull.distances]
    return neural_maps(base, sources, hull.table, TOY, NeuralSettings(**settings), seeds=Seeds(seed))


def test_error_to_the_barycentric_map_is_below_a_quarter_of_the_displacement(hull):
    found = maps(hull, steps=200, width=32, map_rate=2e-3, critic_rate=2e-3)
    assert max(map_error(image, exact, hull.base) for image, exact in zip(found, hull.maps, strict=True)) < 0.25
    neural = hull_of_maps(hull.base, hull.sources, found, hull.table, hull.distances, TOY)
    assert neural.metric.linear.tolist() == pytest.approx(hull.metric.linear.tolist(), rel=0.25)


def test_soft_labels_are_distributions_over_each_source_s_own_classes(hull):
    for image, source in zip(maps(hull, **SHORT), hull.sources, strict=True):
        assert image.labels.shape[1] == source.labels.shape[1]
        torch.testing.assert_close(image.labels.sum(1), torch.ones(120).double(), atol=1e-6, rtol=0)


def test_same_seed_same_maps(hull):
    one, same, other = (maps(hull, seed, **SHORT)[0].features for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_first_phase_ends_near_the_identity(hull):
    image = maps(hull, **SHORT | {"steps": 1, "map_steps": 1, "identity_steps": 300, "width": 32})[0]
    moved = (image.features - hull.base.features).norm(dim=1).mean()
    assert moved < 0.05 * (hull.maps[0].features - hull.base.features).norm(dim=1).mean()


def test_map_error_of_known_maps(hull):
    assert map_error(hull.maps[0], hull.maps[0], hull.base) == 0
    assert map_error(hull.base, hull.maps[0], hull.base) == pytest.approx(1)


def test_a_map_that_is_not_finite_is_named(hull):
    with pytest.raises(RuntimeError, match="neural map: source 0 came out not finite"):
        maps(hull, **SHORT | {"map_rate": 1e38})


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"steps": 0}, "steps: got 0"), ({"map_rate": 0.0}, "map_rate: got 0.0"), ({"average": 1.0}, "average: got 1.0")],
)
def test_bad_settings(settings, words):
    with pytest.raises(ValueError, match=words):
        NeuralSettings(**settings)
