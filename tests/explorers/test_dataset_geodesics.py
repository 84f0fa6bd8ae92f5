"""The simplex explorer as plain functions of a scene and a state."""

import math
import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.explorers.dataset_geodesics import along, backdrop, check, frame, is_new, measure, move, slide, snap, stage
from lib.explorers.dataset_geodesics_readouts import readouts
from lib.explorers.dataset_geodesics_state import EPSILON, ESTIMATORS, LAM_Y, Measured, Measurement, Scene, State
from lib.explorers.dataset_geodesics_still import draw_still
from lib.explorers.dataset_geodesics_view import Canvas, shown_backdrop
from lib.transport.dataset_distance import Settings, dataset_distance
from lib.transport.geodesics import interpolate, mixup, soft_cloud
from lib.transport.labels import labelled
from lib.transport.weights import best_weights

WORLDS = ("digits", "edge", "space", "translates")
simplex = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda s: sum(s) > 1e-3)


@pytest.fixture(params=WORLDS)
def scene(request):
    return request.getfixturevalue(request.param)


def test_frame_is_the_interpolation_of_the_maps(scene):
    state = replace(scene.first, shares=tuple(range(1, len(scene.names) + 1)))
    shown, whole = frame(scene, state), interpolate(stage(scene, state).maps, frame(scene, state).weights)
    rows = scene.samples if scene.shape else slice(None)
    assert torch.allclose(shown.mix, whole.features[rows], atol=1e-12)
    assert torch.allclose(shown.labels, whole.labels[scene.samples], atol=1e-12)
    assert torch.allclose(shown.labels.sum(1), torch.ones(len(scene.samples), dtype=torch.float64), atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(simplex)
def test_the_chain_rule_gives_the_mean_entropy_of_the_block_labels(digits, shares):
    scene = digits
    state = replace(scene.first, shares=tuple(shares), coupling="entropic")
    shown = frame(scene, state)
    cloud = interpolate(stage(scene, state).maps, shown.weights)
    direct = float(cloud.mass @ torch.special.entr(cloud.labels).sum(1)) / math.log(2)
    assert shown.entropy == pytest.approx(direct, abs=1e-9)


def test_translates_have_the_predicted_distance_of_the_closed_form(translates):
    """w = (9, 5, 5), M = (20, 20, 16), optimum (.25, .375, .375) of value 0, but for the labels' small weight."""
    scene = translates
    now = stage(scene, scene.first)
    assert torch.allclose(now.metric.feature_parts[0, 1:], torch.tensor([9.0, 5, 5], dtype=torch.float64))
    best = snap(scene, scene.first, "optimum")
    assert best.weights == pytest.approx((0.25, 0.375, 0.375), abs=1e-6)
    shown = frame(scene, best)
    assert shown.predicted == pytest.approx(0, abs=1e-9)
    assert torch.allclose(shown.mix, scene.base.features, atol=1e-6)


def test_vertices_are_the_sources_themselves_under_an_exact_one_to_one_coupling(translates):
    scene = translates
    for i, source in enumerate(scene.sources.values()):
        shown = frame(scene, snap(scene, scene.first, i))
        assert torch.equal(shown.mix.sort(0).values, source.features.sort(0).values)
        own = shown.labels[:, 3 * i : 3 * i + 3]
        assert set(own.flatten().tolist()) == {0.0, 1.0}
        assert shown.labels.sum() == own.sum() == len(scene.samples)


def test_measured_distance_at_a_vertex_is_the_data_set_distance(translates):
    """A hard one-to-one map, so P_a is the source itself, labels and all."""
    scene = translates
    for i, source in enumerate(scene.sources.values()):
        state = snap(scene, scene.first, i)
        found = dataset_distance(scene.base, source, scene.settings)
        assert measure(scene, state).labelled == pytest.approx(float(found.value), rel=1e-9)
        assert float(stage(scene, state).costs[i]) == pytest.approx(float(found.value), rel=1e-9)
        assert frame(scene, state).predicted == pytest.approx(float(found.value), rel=1e-9)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_features_alone_are_never_farther_than_predicted(digits, half, estimator):
    scene = replace(digits, settings=Settings(lam_x=2.0, half=half))
    for shares in ((1.0, 1.0, 1.0), (0.2, 0.0, 0.8), (0.0, 1.0, 0.0)):
        state = State(shares=shares, estimator=estimator)
        assert 0 < measure(scene, state).features <= frame(scene, state).predicted_features * (1 + 1e-9)


def test_half_halves_every_number_and_moves_nothing(digits):
    scene = digits
    halved = replace(scene, settings=replace(scene.settings, half=True))
    whole, half = frame(scene, scene.first), frame(halved, scene.first)
    assert half.predicted == pytest.approx(whole.predicted / 2)
    assert half.predicted_features == pytest.approx(whole.predicted_features / 2)
    assert torch.allclose(half.mix, whole.mix)
    one, other = measure(scene, scene.first), measure(halved, scene.first)
    assert (other.features, other.labelled) == pytest.approx((one.features / 2, one.labelled / 2))


def test_optimum_agrees_with_the_programme_and_no_grid_value_is_below_it(scene):
    now = stage(scene, scene.first)
    best = best_weights(now.metric.linear, now.metric.pairwise)
    assert snap(scene, scene.first, "optimum").weights == pytest.approx(tuple(best.weights.tolist()), abs=1e-12)
    assert frame(scene, snap(scene, scene.first, "optimum")).predicted == pytest.approx(float(best.value), abs=1e-9)
    assert backdrop(scene, scene.first).values.min() >= float(best.value) - 1e-9


def test_background_is_the_prediction_of_every_frame(digits):
    scene = digits
    behind = backdrop(scene, scene.first)
    for g in (0, 17, 200, len(behind.values) - 1):
        assert frame(scene, move(scene, scene.first, behind.weights[g].tolist())).predicted == pytest.approx(
            float(behind.values[g])
        )
    measured = backdrop(scene, replace(scene.first, background="accuracy"))
    assert torch.equal(measured.values, scene.measured.accuracy)
    assert (measured.segments, measured.low_is_good) == (0, False)


@settings(max_examples=50, deadline=None)
@given(simplex)
def test_shares_are_renormalised(digits, shares):
    state = State(shares=tuple(shares))
    assert sum(state.weights) == pytest.approx(1, abs=1e-12)
    assert all(a * sum(shares) == pytest.approx(s, abs=1e-12) for a, s in zip(state.weights, shares, strict=True))
    check(digits, state)


def test_slide_changes_one_share_and_the_last_one_cannot_go():
    state = slide(State(shares=(1.0, 0.0, 0.0)), 1, 0.5)
    assert state.shares == (1.0, 0.5, 0.0)
    assert state.weights == pytest.approx((2 / 3, 1 / 3, 0))
    with pytest.raises(ValueError, match=r"weights: got \(0, 0.0, 0.0\), allowed are finite numbers >= 0 that are not all 0"):
        slide(State(shares=(1.0, 0.0, 0.0)), 0, 0)


def test_edges_run_from_vertex_to_vertex(digits):
    scene = digits
    assert along(scene, scene.first, 0, 2, 0).weights == snap(scene, scene.first, 0).weights
    assert along(scene, scene.first, 0, 2, 0.25).weights == (0.75, 0, 0.25)
    assert along(scene, scene.first, 0, 2, 1).weights == snap(scene, scene.first, 2).weights
    assert snap(scene, scene.first, "centre").weights == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shares": (0.5, 0.5)}, "weights: got shape (2,), allowed is one weight for each of 3 members"),
        ({"shares": (0.5, -0.5, 1.0)}, "weights: got (0.5, -0.5, 1.0), allowed are finite numbers >= 0"),
        ({"shares": (math.nan, 0.5, 0.5)}, "weights: got (nan, 0.5, 0.5), allowed are finite numbers >= 0"),
        ({"shares": (0.0, 0.0, 0.0)}, "weights: got (0.0, 0.0, 0.0)"),
        ({"estimator": "neural"}, "estimator: got 'neural', allowed are barycentric, hard, mixup"),
        ({"coupling": "auto"}, "coupling: got 'auto', allowed are exact, entropic"),
        ({"background": "mood"}, "background: got 'mood', allowed are distance, accuracy"),
        ({"epsilon": 0.0}, "epsilon: got 0, allowed are 0.01 to 1"),
        ({"lam_y": -1.0}, "lam_y: got -1, allowed are 0.01 to 100"),
    ],
)
def test_impossible_states_are_refused_by_name_in_one_line(digits, changes, words):
    with pytest.raises(ValueError, match=re.escape(words)) as refusal:
        frame(digits, replace(digits.first, **changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: move(s, s.first, [0.5, 0.6, 0.1]), "weights: got a sum of 1.2, allowed is 1"),
        (lambda s: move(s, s.first, [1.0, 0.0]), "allowed is one weight for each of 3 members"),
        (lambda s: snap(s, s.first, 3), "target: got 3, allowed are 0 to 2, centre, optimum"),
        (lambda s: along(s, s.first, 1, 1, 0.5), "edge: got 1 to 1"),
        (lambda s: along(s, s.first, 0, 1, 1.5), "t: got 1.5, allowed is 0 to 1"),
    ],
)
def test_impossible_moves_are_refused(digits, call, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        call(digits)


def test_accuracies_that_nobody_measured_are_not_shown(edge):
    with pytest.raises(ValueError, match="background: got 'accuracy', which was not measured here, allowed is distance"):
        frame(edge, replace(edge.first, background="accuracy"))


def test_scenes_are_checked(digits):
    scene = digits
    base, sources = scene.base, scene.sources
    narrow = labelled(torch.zeros(4, 3, dtype=torch.float64), [0, 0, 1, 1])
    for change, words in (
        ({"sources": {"one": base}}, "sources: got 1, allowed are 2 or 3"),
        ({"base_name": "noisy"}, "base_name: got 'noisy', which is a source's name too"),
        ({"sources": {"a": base, "b": narrow}}, "number of features 3"),
        ({"shape": (8, 9)}, "shape: got (8, 9), allowed is one of 64 pixels"),
        ({"settings": Settings(lam_y=0.0)}, "lam_y: got 0, allowed are 0.01 to 100"),
        ({"measured": Measured(torch.ones(1, 3), torch.ones(1), 5)}, "measured.weights: got a sum of 3"),
    ):
        with pytest.raises(ValueError, match=re.escape(words)):
            Scene.of(**{"base": base, "sources": sources} | change)


def test_float32_data_are_kept_in_float64(digits):
    scene = digits
    single = {name: labelled(data.features.float(), data.labels) for name, data in scene.sources.items()}
    again = Scene.of(labelled(scene.base.features.float(), scene.base.labels), single, table=scene.table)
    assert frame(again, again.first).mix.dtype == torch.float64


def test_followed_samples_are_of_as_many_classes_as_can_be(digits, space):
    scene = digits
    labels = scene.base.labels[scene.samples].tolist()
    assert labels == sorted(set(labels))
    assert len(labels) == 8
    assert len(set(space.samples.tolist())) == 8


def test_mixup_shows_the_library_s_own_draw_whatever_the_weights(digits):
    scene = digits
    clouds = [soft_cloud(source) for source in scene.sources.values()]
    for shares in ((1.0, 1.0, 1.0), (0.7, 0.0, 0.3)):
        shown = frame(scene, State(shares=shares, estimator="mixup"))
        drawn = mixup(clouds, shown.weights, len(scene.base.labels), scene.seeds.child("mixup"))
        assert torch.allclose(shown.mix, drawn.features[scene.samples], atol=1e-12)
        assert torch.allclose(shown.labels, drawn.labels[scene.samples], atol=1e-12)


def test_method_changes_the_maps_and_weights_do_not(digits):
    scene, first = digits, digits.first
    assert stage(scene, move(scene, first, [0.2, 0.3, 0.5])) is stage(scene, first)
    assert stage(scene, replace(first, epsilon=0.5)) is stage(scene, first), "an exact coupling knows no epsilon"
    assert not is_new(first, replace(first, background="accuracy"))
    for change in ({"lam_y": 50.0}, {"coupling": "entropic"}, {"estimator": "hard"}, {"estimator": "mixup"}):
        assert is_new(first, replace(first, **change))
        assert not torch.equal(stage(scene, replace(first, **change)).shown, stage(scene, first).shown)


def test_entropic_coupling_goes_from_the_exact_one_to_the_mean(digits):
    scene = digits
    blur = [frame(scene, replace(scene.first, coupling="entropic", epsilon=epsilon)) for epsilon in (0.01, 0.1, 1.0)]
    assert blur[0].entropy < blur[1].entropy < blur[2].entropy
    exact = frame(scene, scene.first)
    assert (blur[0].mix - exact.mix).norm() < (blur[1].mix - exact.mix).norm() < (blur[2].mix - exact.mix).norm()


@pytest.mark.parametrize("lam_y", LAM_Y)
@pytest.mark.parametrize("epsilon", EPSILON)
def test_ends_of_the_sliders_can_be_shown(digits, lam_y, epsilon):
    scene = digits
    shown = frame(
        scene, replace(scene.first, coupling="entropic", lam_y=10 ** math.log10(lam_y), epsilon=10 ** math.log10(epsilon))
    )
    assert shown.mix.isfinite().all()
    assert math.isfinite(shown.predicted)
    assert "NOT" not in stage(scene, shown.state).certificate


def test_readouts_say_what_was_asked_for(digits):
    scene = digits
    lines = {each.title: each for each in readouts(scene, frame(scene, scene.first), None)}
    assert lines["exact distance"].value == "–"
    assert "duality gap" in lines["couplings"].detail
    assert "mixup" not in lines
    measured = {each.title: each for each in readouts(scene, frame(scene, scene.first), Measurement(1.25, 3.5))}
    assert measured["exact distance"].value == "1.25"
    assert "above; with labels, linear in them, 3.5" in measured["exact distance"].detail
    mixed = readouts(scene, frame(scene, replace(scene.first, estimator="mixup")), None)
    assert any(each.title == "mixup" and each.warn for each in mixed)


def test_a_programme_that_is_not_convex_is_said(translates):
    """Label distances that no points have: the third class is near to both others, which are far apart."""
    scene = translates
    table = scene.table.clone()
    table[3:, 3:] = 0.0
    table[3:6, 6:9] = table[6:9, 3:6] = 100.0
    crooked = replace(scene, table=table)
    state = replace(crooked.first, lam_y=100.0)
    assert stage(crooked, state).best.curvature < 0
    lines = {each.title: each for each in readouts(crooked, frame(crooked, state), None)}
    assert lines["curvature"].warn
    assert "not convex" in lines["curvature"].detail
    assert "curvature" not in {each.title for each in readouts(scene, frame(scene, scene.first), None)}


def test_what_is_sent_is_what_is_shown(digits, space, translates):
    scene = digits
    canvas = Canvas(list(scene.sets.values()), scene.shape)
    rows = scene.base.features[scene.samples]
    grey = torch.frombuffer(bytearray(canvas.bytes(rows)), dtype=torch.uint8).view(rows.shape)
    assert torch.allclose(grey.double() / 255, (rows - canvas.low) / (canvas.high - canvas.low), atol=0.002)
    points = Canvas(list(space.sets.values()), None)
    placed = torch.from_numpy(points.positions(torch.cat([data.features for data in space.sets.values()])))
    assert placed.norm(dim=1).max() == pytest.approx(1)
    assert (points.flat, Canvas(list(translates.sets.values()), None).flat) == (False, True)
    many = Canvas(list(scene.sets.values()), None)
    assert many.positions(rows).shape == (8, 3)
    sent = shown_backdrop(backdrop(scene, scene.first))
    assert len(sent["colours"]) == 768
    assert len(sent["weights"]) == 3 * len(sent["values"])


def test_still_pictures_are_drawn_for_every_kind_of_scene(scene):
    figure = draw_still(scene, snap(scene, scene.first, "optimum"))
    assert len(figure.subfigs) == 2
    texts = " ".join(text.get_text() for text in figure.texts)
    assert "predicted f(a)" in texts
    figure.canvas.draw()


def test_same_scene_same_seeds_same_bits(digits):
    scene = digits
    again = Scene.of(scene.base, scene.sources, shape=(8, 8), seeds=scene.seeds)
    for estimator in ESTIMATORS:
        one, other = (frame(each, replace(each.first, estimator=estimator)) for each in (scene, again))
        assert torch.equal(one.mix, other.mix)
        assert one.predicted == other.predicted
