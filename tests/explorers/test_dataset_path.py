"""The explorer of the path between two data sets: constant speed, its wiring and its pictures."""

import re
from dataclasses import replace

import pytest
import torch

from lib.explorers.dataset_geodesics_state import Scene
from lib.explorers.dataset_path import MOST, PAIRINGS, TIMES, first_path, pair_of, path_frame, path_readouts
from lib.explorers.dataset_path_chart import draw_path_still, half_height, speed_svg
from lib.explorers.dataset_path_widget import PLAY_STEPS, PathExplorer
from lib.transport.labels import labelled


@pytest.mark.parametrize("world", ["digits", "edge", "space", "translates"])
def test_the_optimal_path_of_features_has_constant_speed(world, request):
    scene = request.getfixturevalue(world)
    for right in scene.names:
        pair = pair_of(scene, replace(first_path(scene), right=right))
        assert len(pair.speeds) == len(TIMES) * (len(TIMES) - 1) // 2
        assert pair.deviation < 1e-8


def test_translates_are_as_far_apart_as_they_were_moved(translates):
    assert pair_of(translates, first_path(translates)).length == pytest.approx(3)
    assert pair_of(translates, replace(first_path(translates), left="up", right="down")).length == pytest.approx(4)


def test_random_pairs_are_no_geodesic_and_are_never_slower_than_one(digits):
    state = replace(first_path(digits), pairing="random")
    pair = pair_of(digits, state)
    assert pair.deviation > 0.05
    verdict = path_readouts(digits, state)[-1]
    assert verdict.warn
    assert "no geodesic" in verdict.value
    whole = next(each for each in pair.speeds if (each.s, each.t) == (0, 1))
    assert whole.ratio == 1, "both ends are where they were"
    for s in (0.25, 0.5, 0.75):  # by the triangle inequality
        parts = [each.ratio * (each.t - each.s) for each in pair.speeds if (each.s, each.t) in ((0, s), (s, 1))]
        assert sum(parts) >= 1 - 1e-9


def test_ends_are_the_data_sets_and_labels_go_over_from_one_block_to_the_other(digits):
    state = replace(first_path(digits), right="noisy")
    pair = pair_of(digits, state)
    start, middle, end = (path_frame(digits, replace(state, t=t)) for t in (0, 0.25, 1))
    assert torch.equal(start.moving, pair.left.features[pair.rows])
    assert torch.equal(end.moving, pair.right.features[pair.partners])
    assert torch.allclose(middle.moving, 0.75 * start.moving + 0.25 * end.moving)
    assert torch.allclose(middle.labels[:, :10].sum(1), torch.full((8,), 0.75, dtype=torch.float64))
    assert torch.allclose(middle.labels.sum(1), torch.ones(8, dtype=torch.float64))


def test_labels_have_a_say_only_where_they_are_asked(digits):
    plans = {pairing: pair_of(digits, replace(first_path(digits), pairing=pairing)).plan for pairing in PAIRINGS}
    assert not torch.equal(plans["features"], plans["labels"])
    assert all(torch.allclose(plan.sum(1), torch.full((60,), 1 / 60, dtype=torch.float64)) for plan in plans.values())


def test_large_sets_are_cut_to_what_the_live_check_can_do():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3 * MOST, 2, generator=generator, dtype=torch.float64)
    sets = {name: labelled(x + shift, torch.arange(len(x)) % 5) for name, shift in (("a", 1.0), ("b", 2.0))}
    scene = Scene.of(labelled(x, torch.arange(len(x)) % 3), sets)
    assert pair_of(scene, replace(first_path(scene), pairing="labels")).plan.shape == (MOST, MOST)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"left": "moon"}, "left: got 'moon', allowed are base, 0-4 rotated, 5-9 inverted, noisy"),
        ({"right": "base"}, "right: got 'base', from which the path starts"),
        ({"pairing": "best"}, "pairing: got 'best', allowed are features, labels, random"),
        ({"t": 1.5}, "t: got 1.5, allowed is 0 to 1"),
        ({"t": -0.1}, "t: got -0.1, allowed is 0 to 1"),
    ],
)
def test_impossible_states_are_refused_by_name(digits, changes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        path_frame(digits, replace(first_path(digits), **changes))


def test_a_set_and_itself_have_no_path_between_them(digits):
    scene = replace(digits, sources={**digits.sources, "noisy": digits.base})
    with pytest.raises(ValueError, match="right: 'noisy' has the very features of 'base'"):
        pair_of(scene, replace(first_path(scene), right="noisy"))


def test_the_chart_has_a_bar_for_each_pair_of_times_and_a_flat_line_stays_flat(digits):
    flat = pair_of(digits, first_path(digits))
    drawn = speed_svg(flat, 0.25)
    assert drawn.count('class="speed"') == len(flat.speeds)
    heights = set(re.findall(r'class="speed" x1="[\d.]+" x2="[\d.]+" y1="([\d.]+)"', drawn))
    assert len(heights) == 1
    rough = pair_of(digits, replace(first_path(digits), pairing="random"))
    assert half_height(rough) >= rough.deviation
    assert len(set(re.findall(r'class="speed" x1="[\d.]+" x2="[\d.]+" y1="([\d.]+)"', speed_svg(rough, 0)))) > 1


@pytest.mark.parametrize("world", ["digits", "space"])
def test_every_control_through_all_of_its_values(world, request):
    scene = request.getfixturevalue(world)
    widget = PathExplorer(scene)
    for name, values in (
        ("right", scene.names),
        ("left", scene.names[:-1]),
        ("pairing", PAIRINGS),
        ("t", (0, 0.5, 1)),
    ):
        for value in values:
            widget.fields[name].value = value
            assert getattr(widget.state, name) == value
            frame = path_frame(scene, widget.state)
            assert widget.samples.frame["mix"] == widget._canvas.bytes(frame.moving)
            assert widget.samples.frame["stage"] == widget.samples.stage["number"]
            assert widget.chart.value == speed_svg(pair_of(scene, widget.state), widget.state.t)
    for step in (0, PLAY_STEPS // 4, PLAY_STEPS):
        widget.play.value = step
        assert widget.state.t == step / PLAY_STEPS == widget.fields["t"].value


def test_what_cannot_be_is_named_and_the_explorer_goes_on(digits):
    widget = PathExplorer(digits)
    before = widget.state
    widget.fields["right"].value = "base"
    assert widget.state == before
    assert widget.fields["right"].value == before.right
    last = widget.samples.frame["readouts"][-1]
    assert (last["title"], last["warn"]) == ("cannot be shown", True)
    widget.fields["t"].value = 0.2
    assert widget.samples.frame["readouts"][-1]["title"] == "speed"


@pytest.mark.parametrize("world", ["digits", "space"])
def test_still_pictures(world, request, monkeypatch):
    scene = request.getfixturevalue(world)
    draw_path_still(scene, first_path(scene)).canvas.draw()
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    PathExplorer(scene).display()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= shown[0].keys()
