"""Wiring of the lm-interpolation explorer: controls set the state, what the desk writes is drawn. No method in here."""

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as w

from lib.explorers.display import show
from lib.explorers.lm_interpolation_desk import Desk
from lib.explorers.lm_interpolation_scene import Scene, Side
from lib.explorers.lm_interpolation_state import (
    ALPHA,
    ALPHA_STEP,
    MOST_SEED,
    MOST_TEMPERATURE,
    MOST_TOKENS,
    PANES,
    PART_STEP,
    SAMPLES,
    SHARED,
    State,
)
from lib.explorers.lm_interpolation_still import draw_still
from lib.explorers.lm_interpolation_view import COLOURS, PaneView, TokensView, anchors_data, pane_data, tokens_data

KINDS = ("alphas", "parts")
NAMED, LETTER = {"description_width": "90px"}, {"description_width": "22px"}
FULL = {"width": "98%"}
READY = "ready prompts …"
SCALE = "".join(
    f'<span style="left: {100 * (at - ALPHA[0]) / (ALPHA[1] - ALPHA[0]):.1f}%">{words}</span>'
    for at, words in ((-0.5, "extrapolation"), (0, "0"), (0.5, "interpolation"), (1, "1"), (1.5, "extrapolation"))
)


class MixExplorer:
    """The explorer of a scene's mixes as a widget: two of them side by side, each with its text."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.desk = scene, Desk(scene, self._draw)
        self.fields = _fields(scene, self.desk.state)
        self.mixes = {pane: _sliders(scene, self.desk.state, pane) for pane in PANES}
        self.shares = {
            pane: [w.HTML(layout=w.Layout(min_width="52px", margin="2px 2px 2px 12px")) for _ in scene.names] for pane in PANES
        }
        self.copy_button = _button("copy A to B", "clone", "B gets A’s alphas and lambdas")
        self.samples_button = _button(f"score {SAMPLES} samples", "bar-chart", "other texts of both mixes: mean and interval")
        self.anchors_button = _button("the anchors’ texts", "list", "what each anchor writes on its own, and the base model")
        self.refusal = w.HTML()
        self.views, self.tokens, self._after = {pane: PaneView() for pane in PANES}, TokensView(), [None] * 5
        self._following = False
        self._draw()
        self._follow()
        self._watch()
        self.desk.start()

    @property
    def state(self) -> State:
        """What is chosen at present."""
        return self.desk.state

    def _watch(self) -> None:
        for name in SHARED:
            self.fields[name].observe(lambda change, name=name: self.go(**{name: change.new}), "value")
        self.fields["ready"].observe(lambda change: self.go(prompt=change.new or self.state.prompt), "value")
        for pane, mix in self.mixes.items():
            for (kind, index), slider in mix.items():
                at = (pane, kind, index)
                slider.observe(lambda change, at=at: self._set(self.state.moved(*at, change.new)), "value")
        self.copy_button.on_click(lambda _: self.go(b=self.state.a))
        self.samples_button.on_click(lambda _: self.desk.ask_samples())
        self.anchors_button.on_click(lambda _: self.desk.ask_anchors())

    def go(self, **changes: Any) -> None:
        """Change the state. One that cannot be is named, and the explorer stays where it was."""
        self._set(replace(self.state, **changes))

    def _set(self, state: State) -> None:
        if not self._following:
            self.desk.set(state)
            self._follow()

    def _draw(self) -> None:
        """Bring the views to what the desk holds. The desk calls it, also in its thread: controls are left alone here."""
        desk = self.desk
        self.refusal.value = f'<p class="lm-refusal">{escape(desk.refusal)}</p>' if desk.refusal else ""
        for pane, view in self.views.items():
            view.frame = pane_data(self.scene, desk.state, desk.panes, pane)
        after = [desk.state.prompt, *(part for each in desk.panes.values() for part in (each.after, each.error))]
        if any(new is not old for new, old in zip(after, self._after, strict=True)):
            self.tokens.frame, self._after = tokens_data(self.scene, desk.state, desk.panes), after
        self.tokens.anchors = anchors_data(self.scene, desk.anchors)

    def _follow(self) -> None:
        """Controls stand at the state, and beside each part stands the lambda that comes of it."""
        state = self.desk.state
        self._following = True
        try:
            for name in SHARED:
                self.fields[name].value = getattr(state, name)
            self.fields["ready"].value = state.prompt if state.prompt in self.scene.prompts else ""
            for pane, mix in self.mixes.items():
                for (kind, index), slider in mix.items():
                    slider.value = getattr(state.mix(pane), kind)[index]
        finally:
            self._following = False
        for pane, labels in self.shares.items():
            parts = state.mix(pane).parts
            for label, part in zip(labels, parts, strict=True):
                label.value = f"= {part / sum(parts):.2f}" if sum(parts) else "= ?"

    @property
    def widget(self) -> w.Widget:
        """Everything in one box: what both share, the two mixes, and the next token."""
        wrapped = w.Layout(flex_flow="row wrap", grid_gap="2px 14px", align_items="center")
        fields = w.HBox([self.fields[name] for name in ("prompt", "ready", "tokens", "temperature", "seed")], layout=wrapped)
        buttons = w.HBox([self.samples_button, self.anchors_button, w.HTML(_foot(self.scene))], layout=wrapped)
        panes = [
            w.VBox([*self._controls(pane), view], layout=w.Layout(flex="1 1 360px", min_width="min(300px, 100%)"))
            for pane, view in self.views.items()
        ]
        both = w.HBox(panes, layout=w.Layout(flex_flow="row wrap", grid_gap="10px 26px", align_items="flex-start"))
        return w.VBox([fields, self.refusal, both, buttons, self.tokens]).add_class("mix-explorer")

    def _controls(self, pane: str) -> list[w.Widget]:
        """A pane's heading, and for each attribute what its anchors are, its alpha and its lambda."""
        heading = w.HTML(f'<span class="lm-head" style="--mine: {COLOURS[pane]}">Mix {pane.upper()}</span>')
        head = [heading] if pane == "a" else [heading, self.copy_button]
        found: list[w.Widget] = [w.HBox(head, layout=w.Layout(align_items="center", grid_gap="12px", min_height="34px"))]
        for index, side in enumerate(self.scene.sides):
            row = w.HBox([self.mixes[pane]["parts", index], self.shares[pane][index]], layout=w.Layout(**FULL))
            found += [
                w.HTML(_attribute(side)),
                self.mixes[pane]["alphas", index],
                w.HTML(f'<div class="lm-scale">{SCALE}</div>'),
                row,
            ]
        return found

    def display(self) -> None:
        """Show the explorer, and in stored pages a still picture of its present state, once its texts are written."""
        self.desk.wait()
        show(self.widget, draw_still(self.scene, self.desk.state, self.desk.panes))


def _attribute(side: Side) -> str:
    words = f"0: {side.negative} · 1: {side.positive}"
    return f'<div class="lm-attribute"><b>{escape(side.name)}</b><span>{escape(words)}</span></div>'


def _foot(scene: Scene) -> str:
    words = "Predicted: straight lines through scores that the study measured, weighted by λ"
    return f'<span class="lm-foot">{escape(words + (f" ({scene.measured})" if scene.measured else ""))}.</span>'


def _button(words: str, icon: str, tooltip: str) -> w.Button:
    return w.Button(description=words, icon=icon, tooltip=tooltip, layout=w.Layout(width="auto"))


def _sliders(scene: Scene, state: State, pane: str) -> Mapping[tuple[str, int], w.FloatSlider]:
    """(kind, index of the attribute) -> its slider."""
    found = {}
    mix = state.mix(pane)
    for index, name in enumerate(scene.names):
        found["alphas", index] = w.FloatSlider(
            value=mix.alphas[index], min=ALPHA[0], max=ALPHA[1], step=ALPHA_STEP, description="α", style=LETTER,
            readout_format=".2f", layout=w.Layout(**FULL), tooltip=f"{name} in {pane.upper()}",
        ).add_class("lm-alpha")  # fmt: skip
        found["parts", index] = w.FloatSlider(
            value=mix.parts[index], min=0, max=1, step=PART_STEP, description="λ", style=LETTER, readout=False,
            layout=w.Layout(flex="1 1 auto", min_width="0"), tooltip=f"how much {name} matters",
        )  # fmt: skip
    return found


def _fields(scene: Scene, state: State) -> dict[str, w.ValueWidget]:
    """What both panes share, at its first value."""
    return {
        "prompt": w.Text(value=state.prompt, description="prompt", style=NAMED, layout=w.Layout(flex="3 1 300px")),
        "ready": w.Dropdown(
            options=[(READY, ""), *((prompt, prompt) for prompt in scene.prompts)], value=state.prompt,
            layout=w.Layout(flex="1 1 160px", max_width="260px"),
        ),
        "tokens": w.IntSlider(
            value=state.tokens, min=1, max=MOST_TOKENS, description="tokens", style=NAMED, layout=w.Layout(flex="1 1 260px")
        ),
        "temperature": w.FloatSlider(
            value=state.temperature, min=0, max=MOST_TEMPERATURE, step=0.1, description="temperature", style=NAMED,
            readout_format=".1f", layout=w.Layout(flex="1 1 260px"), tooltip="0: always the likeliest token",
        ),
        "seed": w.BoundedIntText(
            value=state.seed, min=0, max=MOST_SEED, description="seed", style=NAMED, layout=w.Layout(width="190px"),
            tooltip="the same in both panes: their texts differ only where the mixes do",
        ),
    }  # fmt: skip
