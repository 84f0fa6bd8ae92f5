"""The wiring of the simplex explorer, driven through every control as a browser drives it."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lib.explorers.dataset_geodesics import frame, measure, stage
from lib.explorers.dataset_geodesics_widget import PLAY_STEPS, SimplexExplorer
from lib.transport.weights import best_weights


@pytest.fixture
def widget(digits):
    return SimplexExplorer(digits)


def ask(widget, seq, weights):
    """What the browser does when the point is dragged."""
    widget.triangle.set_state({"request": {"seq": seq, "weights": weights}})


def is_shown(widget):
    """Everything sent last is that of the state."""
    expected = frame(widget.scene, widget.state)
    sent = widget.samples.frame
    assert widget.triangle.frame["weights"] == list(widget.state.weights)
    assert sent["mix"] == widget._canvas.bytes(expected.mix)
    assert np.allclose(np.frombuffer(sent["labels"], dtype=np.float32), expected.labels.flatten().numpy(), atol=1e-6)
    assert np.isfinite(np.frombuffer(sent["labels"], dtype=np.float32)).all()
    assert sent["stage"] == widget.samples.stage["number"]
    assert widget.triangle.optimum == stage(widget.scene, widget.state).best.weights.tolist()
    maps = stage(widget.scene, widget.state).shown
    if widget.scene.shape:
        rows = [row["data"] for row in widget.samples.stage["rows"][1:]]
        assert rows == [widget._canvas.bytes(each.view(-1, 64)) for each in maps]
    return True


def says(widget):
    return {line["title"]: line for line in widget.samples.frame["readouts"]}


def extremes(control):
    """Minimum, default and maximum, or all options."""
    if hasattr(control, "options"):
        return [option[1] for option in control.options]
    low, high = control.min, control.max
    if hasattr(control, "base"):
        low, high = control.base**low, control.base**high
    return [low, control.value, high]


@pytest.mark.parametrize("world", ["digits", "edge", "space"])
def test_every_control_through_all_of_its_values(world, request):
    widget = SimplexExplorer(request.getfixturevalue(world))
    assert is_shown(widget)
    controls = widget.controls
    for name in ("coupling", "epsilon", "lam_y", "background", "estimator"):
        box = controls.fields[name]
        for value in extremes(box):
            box.value = value
            assert math.isclose(getattr(widget.state, name), value) if name in ("epsilon", "lam_y") else box.value == value
            assert is_shown(widget), name
    for i, slider in enumerate(controls.shares):
        for value in (0, 0.37, 1):
            slider.value = value
            assert widget.state.shares[i] == value
            assert is_shown(widget)
    for button in controls.snaps.values():
        button.click()
        assert is_shown(widget)
    for step in (0, PLAY_STEPS // 2, PLAY_STEPS):
        controls.play.value = step
        assert is_shown(widget)
    assert widget.state.weights[1] == 1, "the edge from the first to the second source has been played to its end"


def test_epsilon_can_be_moved_only_where_it_matters(widget):
    assert widget.controls.fields["epsilon"].disabled
    widget.controls.fields["coupling"].value = "entropic"
    assert not widget.controls.fields["epsilon"].disabled


def test_dragging_answers_with_the_number_of_the_request(widget):
    ask(widget, 1000, [0.2, 0.3, 0.5])
    assert widget.state.weights == pytest.approx((0.2, 0.3, 0.5))
    assert widget.triangle.frame == {"seq": 1000, "weights": list(widget.state.weights)}
    assert widget.samples.frame["seq"] == 1000
    assert [slider.value for slider in widget.controls.shares] == [0.2, 0.3, 0.5]
    assert is_shown(widget)


def test_a_stale_request_never_wins(widget):
    ask(widget, 1000, [0.2, 0.3, 0.5])
    ask(widget, 999, [1.0, 0.0, 0.0])
    assert widget.state.weights == pytest.approx((0.2, 0.3, 0.5))
    widget.controls.snaps["centre"].click()
    ask(widget, 1000, [0.0, 1.0, 0.0])
    assert widget.state.weights == pytest.approx((1 / 3,) * 3)
    ask(widget, 1001, [0.0, 1.0, 0.0])
    assert widget.state.weights == (0, 1, 0)


def test_the_sliders_take_what_the_browser_sends_back_rounded(widget):
    """Sliders answer with their own value in steps of 0.01: that must not move the point."""
    ask(widget, 1, [0.123456, 0.234567, 0.641977])
    before = widget.state
    for slider in widget.controls.shares:
        slider.set_state({"value": round(slider.value, 2)})
    assert widget.state == before


@pytest.mark.parametrize("weights", [[0.5, 0.6, 0.2], [0.5, 0.5], [-0.5, 1.0, 0.5], [math.nan, 0.5, 0.5], [None, 0.5, 0.5]])
def test_bad_weights_are_refused_in_one_line_and_the_explorer_goes_on(widget, weights):
    before = widget.state
    ask(widget, 1, weights)
    assert widget.state == before
    refusal = says(widget)["cannot be shown"]
    assert refusal["warn"]
    assert "weights" in refusal["value"]
    assert "\n" not in refusal["value"]
    ask(widget, 2, [0.0, 0.5, 0.5])
    assert widget.state.weights == (0, 0.5, 0.5)
    assert "cannot be shown" not in says(widget)


def test_the_last_share_cannot_be_taken_away(widget):
    widget.controls.snaps[0].click()
    widget.controls.shares[0].value = 0
    assert widget.state.weights == (1, 0, 0)
    assert widget.controls.shares[0].value == 1
    assert "not all 0" in says(widget)["cannot be shown"]["value"]


def test_snap_to_the_optimum_is_the_programme_s(widget, digits):
    metric = stage(digits, digits.first).metric
    widget.controls.snaps["optimum"].click()
    assert widget.state.weights == pytest.approx(tuple(best_weights(metric.linear, metric.pairwise).weights.tolist()))


def test_a_measurement_is_shown_until_anything_changes_but_the_background(widget, digits):
    widget.controls.measure.click()
    value = f"{measure(digits, widget.state).features:.4g}"
    assert says(widget)["exact distance"]["value"] == value
    widget.controls.fields["background"].value = "accuracy"
    assert says(widget)["exact distance"]["value"] == value
    widget.controls.fields["lam_y"].value = 10.0
    assert says(widget)["exact distance"]["value"] == "–"
    widget.controls.fields["lam_y"].value = 1.0
    assert says(widget)["exact distance"]["value"] == value, "it was of this state"
    ask(widget, 1, [0.2, 0.3, 0.5])
    assert widget.measured is None


def test_only_what_changed_is_sent(widget):
    pictures, backdrop = widget.samples.stage, widget.triangle.backdrop
    ask(widget, 1, [0.2, 0.3, 0.5])
    assert widget.samples.stage is pictures
    assert widget.triangle.backdrop is backdrop
    widget.controls.fields["background"].value = "accuracy"
    assert widget.samples.stage is pictures
    assert widget.triangle.backdrop != backdrop
    number = pictures["number"]
    widget.controls.fields["lam_y"].value = 10.0
    assert widget.samples.stage["number"] == number + 1
    assert not widget.samples.busy


def test_accuracy_is_offered_only_where_it_was_measured(digits, edge):
    for scene, expected in ((digits, ["distance", "accuracy"]), (edge, ["distance"])):
        options = SimplexExplorer(scene).controls.fields["background"].options
        assert [key for _, key in options] == expected


def test_scenes_can_be_changed(digits, edge, space):
    widget = SimplexExplorer({"digits": digits, "edge": edge, "toy": space})
    for name, scene in (("toy", space), ("edge", edge), ("digits", digits)):
        widget.scene_menu.value = name
        assert widget.scene is scene
        assert widget.state == scene.first
        assert widget.triangle.names == list(scene.names)
        assert widget.triangle_box.children == (widget.triangle,)
        assert is_shown(widget)
        ask(widget, widget._seq + 1, [1.0, *[0.0] * (len(scene.names) - 1)])
        assert widget.state.weights[0] == 1
    with pytest.raises(ValueError, match="scenes: got none"):
        SimplexExplorer({})


def test_point_clouds_are_sent_whole(space):
    widget = SimplexExplorer(space)
    now = widget.samples.stage
    assert now["shape"] is None
    assert not now["flat"]
    assert len(now["rows"][0]["data"]) == 40 * 3 * 4
    assert len(widget.samples.frame["mix"]) == 40 * 3 * 4
    assert [row["name"] for row in now["rows"]] == ["base", "P1", "P2", "P3"]


def test_one_output_holds_the_live_widget_and_its_picture(widget, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    before = widget.state
    widget.display()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= shown[0].keys()
    assert len(shown[0]["image/png"]) > 10_000
    assert replace(widget.state) == before
