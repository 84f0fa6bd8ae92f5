"""The wiring of the random-scaling explorer, driven through every control as a browser drives it."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from lib.explorers import random_scaling as method
from lib.explorers.random_scaling_scene import scene_of
from lib.explorers.random_scaling_state import STEPS
from lib.explorers.random_scaling_view import afford_data, frame_data, panels_data, stage_data
from lib.explorers.random_scaling_widget import RandomScalingExplorer


@pytest.fixture(scope="module")
def built():
    return runpy.run_path(str(Path(__file__).parent / "random_scaling_scene.py"))


@pytest.fixture
def widget(built):
    return RandomScalingExplorer(built["scene"])


def ask(widget, field, value):
    """What the browser does at a click."""
    widget.view.set_state({"request": {"field": field, "value": value, "time": 0.5}})


def is_shown(widget):
    """Everything sent last is that of the state, and the controls stand at it."""
    scene, state, view = widget.scene, widget.state, widget.view
    expected = method.frame(scene, state)
    assert view.stage == stage_data(scene, expected)
    assert view.panels == panels_data(expected)
    assert view.afford == afford_data(expected)
    assert {**view.frame, "number": 0} == {**frame_data(scene, expected, widget.batches), "number": 0}
    for name, box in widget.fields.items():
        assert box.value == getattr(state, name), name
        assert box.disabled == (name in method.idle(state)), name
    assert widget.play.value == state.step
    assert widget.play.max == widget.fields["step"].max == method.last_step(expected.runs)
    return True


def says(widget):
    return {line["title"]: line for line in widget.view.frame["readouts"]}


def values_of(control):
    """All options, or minimum, default, something between and maximum."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    return [control.min, control.value, control.min + round((control.max - control.min) / 3), control.max]


@pytest.mark.parametrize("source", ["trained", "analytic"])
def test_every_control_through_all_of_its_values(widget, source):
    widget.fields["source"].value = source
    assert is_shown(widget)
    for name, box in widget.fields.items():
        if name == "source" or box.disabled:
            continue
        for value in values_of(box):
            number, before = widget.view.frame["number"], widget.state
            box.value = value
            assert getattr(widget.state, name) == value
            assert widget.view.frame["number"] - number == (widget.state != before), "one frame for one change"
            assert is_shown(widget), name


def test_while_one_moves_along_the_scales_only_the_frame_is_sent(widget):
    sent = []
    widget.view.observe(lambda change: sent.append(change.name), ["stage", "panels", "afford", "frame"])
    for step in (61, 62, 80):
        widget.fields["step"].value = step
    assert sent == ["frame"] * 3
    widget.fields["tau"].value = 0.9
    assert sent[3:] == ["panels", "frame"]


def test_playing_goes_through_all_scales(widget):
    for step in range(0, widget.play.max + 1, 7):
        widget.play.value = step
        assert widget.state.step == widget.fields["step"].value == step
        assert widget.view.frame["known"] == (step % STEPS == 0)
    assert is_shown(widget)


def test_controls_that_mean_nothing_are_off_and_the_mixture_s_are_hidden(widget):
    fields = widget.fields
    assert fields["middle"].layout.display == fields["steepness"].layout.display == "none"
    assert fields["tau"].layout.display is None, "layouts are not shared"
    fields["metric"].value = "nll"
    assert fields["tau"].disabled
    assert fields["afford"].disabled
    fields["source"].value = "analytic"
    assert fields["middle"].layout.display is None
    assert fields["metric"].disabled
    assert not fields["tau"].disabled
    assert widget.state.metric == "exact"
    assert fields["step"].description == "scale"


def test_clicks_choose_seeds_scales_and_how_many_one_can_afford(widget):
    for field, value, name, expected in (
        ("seed", 7, "seed", 7), ("seed", None, "seed", None), ("scale", 4, "step", 4 * STEPS), ("afford", 5, "afford", 5),
    ):  # fmt: skip
        ask(widget, field, value)
        assert getattr(widget.state, name) == expected
        assert is_shown(widget)
    before = widget.state
    ask(widget, "tau", 0.9)
    assert widget.state == before, "nothing in the view asks for that"


@pytest.mark.parametrize(
    ("field", "value"), [("seed", 30), ("seed", "7"), ("seed", 2.5), ("scale", 9), ("afford", 4), ("afford", None)]
)
def test_bad_requests_are_refused_in_one_line_and_the_explorer_goes_on(widget, field, value):
    before = widget.state
    ask(widget, field, value)
    assert widget.state == before
    refusal = says(widget)["cannot be shown"]
    assert refusal["warn"]
    assert {"scale": "step"}.get(field, field) in refusal["value"]
    assert "\n" not in refusal["value"]
    ask(widget, "seed", 3)
    assert widget.state == replace(before, seed=3)
    assert "cannot be shown" not in says(widget)


def test_fresh_seeds_are_trained_at_a_click_and_shown_at_the_smallest_scale(built):
    asked = []

    def train(batch):
        asked.append(batch)
        return built["train"](batch)

    scene = scene_of(built["outcome"], seeds=built["SEEDS"], length=10, train=train)
    widget, busy = RandomScalingExplorer(scene), []
    widget.view.observe(lambda change: busy.append(change.new), "busy")
    widget.train_button.click()
    assert widget.state.step == 0
    assert len(widget.view.frame["fresh"]["dots"]) == 8
    widget.fields["tau"].value = 0.5
    widget.train_button.click()
    assert asked == [0, 1]
    assert busy == [True, False] * 2
    assert len(widget.view.frame["fresh"]["dots"]) == 16
    assert not widget.train_button.disabled
    assert is_shown(widget)


def test_the_train_button_is_off_where_fresh_seeds_would_not_be_seen(widget):
    widget.train_button.click()
    for name, value in (("metric", "token"), ("length", 8), ("source", "analytic")):
        start = widget.fields[name].value
        widget.fields[name].value = value
        assert widget.train_button.disabled, name
        assert "exact match" in widget.train_button.tooltip
        assert widget.view.frame["fresh"]["dots"] == []
        assert says(widget)["fresh seeds"]["warn"]
        widget.fields[name].value = start
        assert not widget.train_button.disabled, name
    assert len(widget.view.frame["fresh"]["dots"]) == 8


@pytest.mark.parametrize("error", [RuntimeError("member 3 diverged at step 5"), ValueError("lr: got 9")], ids=str)
def test_training_that_fails_is_said_and_the_next_batch_is_another(built, error):
    asked = []

    def train(batch):
        asked.append(batch)
        if batch == 0:
            raise error
        return built["train"](batch)

    widget = RandomScalingExplorer(scene_of(built["outcome"], seeds=built["SEEDS"], length=10, train=train))
    widget.train_button.click()
    assert str(error) in says(widget)["no fresh seeds"]["value"]
    assert widget.batches == []
    assert not widget.view.busy
    widget.train_button.click()
    assert asked == [0, 1]
    assert "no fresh seeds" not in says(widget)
    assert is_shown(widget)


def controls_in(box):
    for part in box.children:
        yield id(part)
        if hasattr(part, "children"):
            yield from controls_in(part)


def test_only_what_can_be_done_is_offered(built, widget):
    bare = RandomScalingExplorer(scene_of(built["outcome"], seeds=built["SEEDS"], length=10))
    for each, offered in ((widget, True), (bare, False)):
        inside = set(controls_in(each.widget))
        assert (id(each.train_button) in inside) == offered
        assert {id(box) for box in each.fields.values()} | {id(each.play), id(each.view)} <= inside


def test_one_output_holds_the_live_widget_and_its_picture(widget, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    before = widget.state
    widget.display()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= shown[0].keys()
    assert len(shown[0]["image/png"]) > 10_000
    assert widget.state == before
