"""The wiring of the lm-interpolation explorer, driven through every control as a browser drives it."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from lib.explorers.lm_interpolation_state import SAMPLES, SHARED, Mix
from lib.explorers.lm_interpolation_view import anchors_data, pane_data, tokens_data
from lib.explorers.lm_interpolation_widget import MixExplorer

PATIENCE = 60
SLIDERS = [(pane, kind, index) for pane in "ab" for kind in ("alphas", "parts") for index in (0, 1)]


@pytest.fixture(scope="module")
def built():
    return runpy.run_path(str(Path(__file__).parent / "lm_interpolation_scene.py"))


@pytest.fixture
def widget(built):
    widget = MixExplorer(built["scene"])
    assert widget.desk.wait(PATIENCE)
    return widget


def is_shown(widget):
    """Everything sent last is that of the desk, and the controls stand at its state."""
    assert widget.desk.wait(PATIENCE)
    scene, state, panes = widget.scene, widget.state, widget.desk.panes
    for pane, view in widget.views.items():
        assert view.frame == pane_data(scene, state, panes, pane)
    assert widget.tokens.frame == tokens_data(scene, state, panes)
    assert widget.tokens.anchors == anchors_data(scene, widget.desk.anchors)
    for name in SHARED:
        assert widget.fields[name].value == getattr(state, name), name
    assert widget.fields["ready"].value == (state.prompt if state.prompt in scene.prompts else "")
    for pane, mix in widget.mixes.items():
        for (kind, index), slider in mix.items():
            assert slider.value == getattr(state.mix(pane), kind)[index]
    return True


def text(widget, pane):
    frame = widget.views[pane].frame
    return frame["shared"] + frame["rest"]


def test_it_begins_with_opposite_ends_of_the_first_attribute(widget):
    assert is_shown(widget)
    assert widget.state.a.alphas == (1.0, 0.5)
    assert widget.state.b.alphas == (0.0, 0.5)
    frames = [view.frame for view in widget.views.values()]
    assert frames[0]["shared"] == frames[1]["shared"]
    assert frames[0]["rest"] != frames[1]["rest"]
    for frame in frames:
        assert not frame["busy"]
        assert frame["error"] == ""
        assert [set(bar) >= {"predicted", "text", "covered"} for bar in frame["bars"]] == [True, True]


@pytest.mark.parametrize("at", SLIDERS, ids=str)
def test_every_slider_of_a_mix_at_minimum_default_and_maximum(widget, at):
    pane, kind, index = at
    slider, default = widget.mixes[pane][kind, index], widget.mixes[pane][kind, index].value
    for value in (slider.min, default, slider.max):
        slider.value = value
        assert getattr(widget.state.mix(pane), kind)[index] == value
        assert is_shown(widget)
        notes = " ".join(widget.views[pane].frame["notes"])
        assert ("extrapolation" in notes) == any(widget.state.mix(pane).outside())


@pytest.mark.parametrize("name", ["tokens", "temperature", "seed"])
def test_every_shared_number_at_minimum_default_and_maximum(widget, name):
    box = widget.fields[name]
    for value in (box.min, box.value, box.max):
        box.value = value
        assert getattr(widget.state, name) == value
        assert is_shown(widget)


def test_every_ready_prompt_and_one_s_own(widget):
    for _, prompt in widget.fields["ready"].options[1:]:
        widget.fields["ready"].value = prompt
        assert widget.fields["prompt"].value == widget.state.prompt == prompt
        assert is_shown(widget)
    for prompt in ("The young teacher", "The", ""):
        widget.fields["prompt"].value = prompt
        assert widget.state.prompt == prompt
        assert is_shown(widget)
        assert widget.tokens.frame["prompt"] == prompt
    widget.fields["ready"].value = widget.scene.prompts[1]
    widget.fields["ready"].value = ""
    assert widget.state.prompt == widget.scene.prompts[1], "the menu's title is no prompt"
    assert is_shown(widget)


def test_lambdas_are_shown_beside_their_parts_and_make_1(widget):
    assert [label.value for label in widget.shares["a"]] == ["= 0.80", "= 0.20"]
    widget.mixes["a"]["parts", 1].value = 1.0
    assert [label.value for label in widget.shares["a"]] == ["= 0.50", "= 0.50"]
    assert [label.value for label in widget.shares["b"]] == ["= 0.80", "= 0.20"]
    assert "(λ 0.50)" in widget.views["a"].frame["mix"]


def test_a_mix_without_any_lambda_says_so_and_is_mended_by_the_next_change(widget):
    for index in (0, 1):
        widget.mixes["b"]["parts", index].value = 0.0
    assert is_shown(widget)
    frame = widget.views["b"].frame
    assert "lambda: all of them are 0" in frame["error"]
    assert frame["rest"] == frame["shared"] == ""
    assert all("predicted" not in bar for bar in frame["bars"])
    assert [label.value for label in widget.shares["b"]] == ["= ?", "= ?"]
    assert {bar["b"] for bar in widget.tokens.frame["bars"]} == {None}
    assert "differ" not in widget.tokens.frame["note"]
    widget.mixes["b"]["parts", 0].value = 0.5
    assert is_shown(widget)
    assert widget.views["b"].frame["error"] == ""
    assert None not in {bar["b"] for bar in widget.tokens.frame["bars"]}


def test_copying_a_makes_b_write_the_same(widget):
    widget.mixes["a"]["alphas", 1].value = 1.7
    widget.copy_button.click()
    assert is_shown(widget)
    assert widget.state.b == widget.state.a
    assert widget.mixes["b"]["alphas", 1].value == 1.7
    assert text(widget, "a") == text(widget, "b") != ""
    assert widget.views["b"].frame["rest"] == "", "nothing differs"
    assert "differ by 0.000" in widget.tokens.frame["note"]


def test_marks_stand_where_the_judge_puts_real_texts(built, widget):
    for view in widget.views.values():
        for name, bar in zip(built["NAMES"], view.frame["bars"], strict=True):
            texts = built["data"][name].held_out
            means = [built["scorers"][name].score(side).mean() for side in (texts.negative, texts.positive)]
            assert bar["ends"] == pytest.approx(means, abs=1e-4)
            assert bar["ends"][0] < bar["ends"][1]


def test_a_text_is_streamed_token_by_token(widget):
    seen = []
    widget.views["a"].observe(lambda change: seen.append(change.new["status"]), "frame")
    widget.mixes["a"]["alphas", 0].value = -1.0
    assert is_shown(widget)
    tokens = [int(status.split()[2]) for status in seen if status.startswith("writing")]
    assert tokens == list(range(1, widget.state.tokens + 1))
    assert seen[0] == "the mix is put in …"
    assert seen[-1].startswith("all 16;")


def test_a_slider_that_moves_while_a_text_is_written_is_not_moved_back(widget):
    """The thread draws while controls change: it must leave them alone."""
    slider = widget.mixes["a"]["alphas", 0]
    for step in range(60):
        slider.value = round(-1 + step / 20, 2)
        assert slider.value == widget.state.a.alphas[0] == round(-1 + step / 20, 2)
    assert is_shown(widget)


def test_samples_are_scored_at_a_click(widget):
    widget.samples_button.click()
    assert is_shown(widget)
    for view in widget.views.values():
        for bar in view.frame["bars"]:
            assert bar["n"] == SAMPLES
            assert bar["low"] <= bar["mean"] <= bar["high"]
            assert f"mean of {SAMPLES}" in bar["said"]
    widget.fields["temperature"].value = 0.0
    assert all("mean" not in bar for bar in widget.views["a"].frame["bars"]), "of an earlier choice"
    widget.samples_button.click()
    assert "temperature: got 0" in widget.refusal.value
    widget.fields["temperature"].value = 1.0
    assert widget.refusal.value == ""


def test_anchors_texts_come_at_a_click(widget):
    assert widget.tokens.anchors == []
    widget.anchors_button.click()
    assert is_shown(widget)
    assert [each["name"].split(":")[0] for each in widget.tokens.anchors] == [
        "the model without anchors", "generated-sentiment −", "generated-sentiment +", "generated-politeness −",
        "generated-politeness +",
    ]  # fmt: skip
    assert all(each["done"] for each in widget.tokens.anchors)


def test_what_cannot_be_is_named_and_the_explorer_stays(widget):
    before = widget.state
    widget.go(a=Mix((float("nan"), 0.5), (1.0, 0.0)))
    assert "alpha of &#x27;generated-sentiment&#x27;: got nan" in widget.refusal.value
    assert widget.state == before
    widget.go(seed=3)
    assert widget.state == replace(before, seed=3)
    assert widget.refusal.value == ""
    assert is_shown(widget)


def test_predictions_beyond_the_measured_curves_are_marked(widget):
    widget.mixes["a"]["alphas", 0].value = 2.0
    assert is_shown(widget)
    frame = widget.views["a"].frame
    assert not frame["bars"][0]["covered"]
    assert "?" in frame["bars"][0]["said"]
    assert any("beyond what was measured" in note for note in frame["notes"])


def controls_in(box):
    for part in box.children:
        yield id(part)
        if hasattr(part, "children"):
            yield from controls_in(part)


def test_everything_is_in_the_box(widget):
    inside = set(controls_in(widget.widget))
    sliders = [slider for mix in widget.mixes.values() for slider in mix.values()]
    buttons = [widget.copy_button, widget.samples_button, widget.anchors_button, widget.refusal, widget.tokens]
    assert {id(each) for each in (*widget.fields.values(), *sliders, *buttons, *widget.views.values())} <= inside


def test_one_output_holds_the_live_widget_and_its_picture(built, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, raw: shown.append(bundle))
    widget = MixExplorer(built["scene"])
    widget.display()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= shown[0].keys()
    assert len(shown[0]["image/png"]) > 10_000
    assert not widget.views["a"].frame["busy"], "the picture has the texts"
