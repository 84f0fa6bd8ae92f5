"""The wiring of the soft-labels explorer, driven through every control as a browser drives it."""

import math
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lib.explorers import soft_labels as method
from lib.explorers.soft_labels_charts import charts
from lib.explorers.soft_labels_state import Scene
from lib.explorers.soft_labels_widget import SoftLabelExplorer, levels


@pytest.fixture(scope="module")
def built():
    return runpy.run_path(str(Path(__file__).parent / "soft_labels_scene.py"))


@pytest.fixture
def widget(built):
    return SoftLabelExplorer(built["scene"])


def ask(widget, field, value, view="view"):
    """What the browser does at a click."""
    getattr(widget, view).set_state({"request": {"field": field, "value": value, "time": 0.5}})


def is_shown(widget):
    """Everything sent last is that of the state, and the controls stand at it."""
    scene, state = widget.scene, widget.state
    expected, sent = method.frame(scene, state), widget.view.frame
    assert sent["bars"] == [vars(bar) for bar in expected.bars]
    assert sent["epoch"] == scene.epochs.index(state.epoch)
    assert sent["pixels"] == levels(scene.images[state.image])
    assert sent["charts"] == charts(scene, expected, widget.trained)
    assert [line["title"] for line in sent["readouts"]][:5] == ["largest", "entropy", "all labels", "expert", "they buy"]
    thumbs = widget.images.frame
    assert thumbs["image"] == state.image
    assert np.frombuffer(thumbs["wrong"], dtype=np.uint8).tolist() == expected.labels.wrong.int().tolist()
    for name, box in widget.fields.items():
        assert box.value == getattr(state, name)
    return True


def says(widget):
    return {line["title"]: line for line in widget.view.frame["readouts"]}


def extremes(control):
    """All options, or minimum, default and maximum."""
    if hasattr(control, "options"):
        return [option[1] if isinstance(option, tuple) else option for option in control.options]
    if hasattr(control, "base"):
        return [control.base**control.min, control.value, control.base**control.max]
    return [control.min, control.value, 3, control.max]


def test_every_control_through_all_of_its_values(widget):
    assert is_shown(widget)
    for name, box in widget.fields.items():
        for value in extremes(box):
            number = widget.view.frame["number"]
            before = widget.state
            box.value = value
            assert math.isclose(getattr(widget.state, name), value)
            assert widget.view.frame["number"] - number == (widget.state != before), "one frame for one change"
            assert is_shown(widget), name


def test_every_thumbnail_can_be_chosen(widget):
    for image in range(len(widget.scene.images)):
        ask(widget, "image", image, "images")
        assert widget.state.image == image
        assert is_shown(widget)
    names = [group["name"] for group in widget.images.stage["groups"]]
    assert names == list(widget.scene.class_names)
    assert sorted(row for group in widget.images.stage["groups"] for row in group["rows"]) == list(range(20))
    assert len(widget.images.stage["pixels"]) == 20 * 8 * 8


def test_places_in_the_charts_set_budget_and_ranks(widget):
    for field, value in (("ipc", 5), ("swap", 3), ("top", 0), ("top", 3.0)):
        ask(widget, field, value)
        assert getattr(widget.state, field) == value
        assert is_shown(widget)
    before = widget.state
    ask(widget, "epoch", 8)
    assert widget.state == before, "no place in a chart asks for that"


@pytest.mark.parametrize(
    ("field", "value"), [("image", 20), ("image", -1), ("image", None), ("swap", 2.5), ("ipc", 4), ("top", "3")]
)
def test_bad_requests_are_refused_in_one_line_and_the_explorer_goes_on(widget, field, value):
    before = widget.state
    ask(widget, field, value)
    assert widget.state == before
    refusal = says(widget)["cannot be shown"]
    assert refusal["warn"]
    assert field in refusal["value"]
    assert "\n" not in refusal["value"]
    ask(widget, "image", 3, "images")
    assert widget.state == replace(before, image=3)
    assert "cannot be shown" not in says(widget)


def test_one_button_gives_the_expert_s_own_labels_back(widget):
    for name, value in (("epoch", 8), ("temperature", 4.0), ("swap", 3), ("top", 2)):
        widget.fields[name].value = value
    widget.unchanged.click()
    assert widget.state == replace(widget.scene.first, epoch=8)
    assert is_shown(widget)


def test_students_are_trained_at_a_click_with_the_labels_as_they_are_set(built):
    seen = []

    def train(labels):
        seen.append(labels)
        return built["train"](labels)

    widget = SoftLabelExplorer(Scene.of(**built["parts"], train=train))
    busy = []
    widget.view.observe(lambda change: busy.append(change.new), "busy")
    widget.fields["epoch"].value = 8
    widget.train_button.click()
    widget.fields["swap"].value = 1
    widget.train_button.click()
    assert busy == [True, False] * 2
    assert not widget.train_button.disabled
    assert len(seen) == 3, "hard labels once, then each labelling"
    assert [each.state.swap for each in widget.trained] == [0, 1]
    assert (seen[1] == method.labels_of(widget.scene, replace(widget.state, swap=0)).now).all()
    assert (seen[2] == method.labels_of(widget.scene, widget.state).now).all()
    assert is_shown(widget)
    assert "epoch 8, T = 1, swap 1" in widget.view.frame["charts"]["trained"]


def test_students_that_diverge_are_said_and_the_explorer_goes_on(built):
    def train(labels):
        raise RuntimeError("arm 'now': student 0 diverged at step 3 of 60; lower lr = 9")

    widget = SoftLabelExplorer(Scene.of(**built["parts"], train=train))
    widget.train_button.click()
    assert "student 0 diverged" in says(widget)["no students"]["value"]
    assert widget.trained == []
    assert not widget.view.busy
    widget.fields["epoch"].value = 4
    assert is_shown(widget)
    assert "no students" not in says(widget)


def controls_in(box):
    return {id(child) for part in box.children for child in ([part] if not hasattr(part, "children") else [part, *part.children])}


def test_only_what_can_be_done_is_offered(built, widget):
    bare = Scene.of(**{**built["parts"], "zero": None, "swap": None, "top": None})
    for each, offered in ((widget, True), (SoftLabelExplorer(bare), False)):
        left = controls_in(each.widget.children[0])
        assert (id(each.train_button) in left) == offered
        assert (id(each.fields["subject"]) in left) == offered
        assert {id(each.fields[name]) for name in ("epoch", "temperature", "swap", "top", "ipc")} <= left
        assert is_shown(each)


def test_one_output_holds_the_live_widget_and_its_picture(widget, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    before = widget.state
    widget.display()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= shown[0].keys()
    assert len(shown[0]["image/png"]) > 10_000
    assert widget.state == before
