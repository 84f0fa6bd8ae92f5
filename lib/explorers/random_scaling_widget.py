"""Wiring of the random-scaling explorer: sliders, clicks and buttons change the state, the state is drawn. No method in here."""

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as w

from lib.explorers import random_scaling as method
from lib.explorers.display import show
from lib.explorers.random_scaling_state import MIDDLE, STEEPNESS, STEPS, Fresh, Scene, State
from lib.explorers.random_scaling_still import draw_still
from lib.explorers.random_scaling_view import SeedsView, afford_data, frame_data, panels_data, stage_data
from lib.explorers.random_scaling_words import METRIC_NAMES
from lib.explorers.readout import Readout

PLAY_MS = 100
NARROW = {"description_width": "122px"}
CLICKED = ("seed", "afford")  # what the view may ask for; and `scale`, a place


class RandomScalingExplorer:
    """The random-scaling explorer of a scene as a widget."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.state = scene, scene.first
        self.batches: list[Fresh] = []
        self._number, self._pressed, self._following = 0, 0, False
        self.fields = _fields(scene)
        self.play = w.Play(value=self.state.step, interval=PLAY_MS, show_repeat=False)
        self.train_button = w.Button(
            description=f"train 8 fresh seeds at {scene.scale} {scene.scales[0]:g} now", button_style="primary", icon="play"
        )
        self.train_button.layout.width = "auto"
        # Made complete, so that a page which connects only after the notebook has run (Voila) finds everything in it.
        self._follow()
        self.view = SeedsView(**self._traits())
        self._watch()

    def _watch(self) -> None:
        for name, box in self.fields.items():
            box.observe(lambda change, name=name: self.go(**{name: change.new}), "value")
        self.play.observe(lambda change: self.go(step=change.new), "value")
        self.view.observe(lambda change: self.answer(change.new), "request")
        self.train_button.on_click(lambda _: self.train())

    def answer(self, request: Mapping[str, Any]) -> None:
        """A dot, a curve or a place in a chart was clicked."""
        field, value = request.get("field"), request.get("value")
        if field == "scale" and isinstance(value, int | float):
            self.go(step=round(STEPS * value))
        elif field in CLICKED:
            self.go(**{field: value})

    def go(self, **changes: Any) -> None:
        """Change the state. One that cannot be is named below the read-outs, and the explorer stays where it was."""
        if self._following:
            return
        try:
            self.state = method.changed(self.scene, self.state, **changes)
        except ValueError as error:
            self._show([Readout("cannot be shown", str(error), warn=True)])
        else:
            self._show()

    def train(self) -> None:
        """Train a batch of fresh seeds and go where they are to be seen; what fails is named below the read-outs."""
        self.view.busy = self.train_button.disabled = True
        more = []
        try:
            self._pressed += 1
            self.batches.append(method.train_now(self.scene, self._pressed - 1))
            self.state = method.changed(self.scene, self.state, step=0)
        except (ValueError, RuntimeError) as error:
            more = [Readout("no fresh seeds", str(error), warn=True)]
        finally:
            self.view.busy = False
            self._show(more)

    def _show(self, more: Sequence[Readout] = ()) -> None:
        """Bring controls and view to the state."""
        self._follow()
        with self.view.hold_sync():
            for name, value in self._traits(more).items():
                setattr(self.view, name, value)

    def _traits(self, more: Sequence[Readout] = ()) -> dict[str, Any]:
        shown = method.frame(self.scene, self.state)
        self._number += 1
        return {
            "stage": stage_data(self.scene, shown),
            "panels": panels_data(shown),
            "afford": afford_data(shown),
            "frame": frame_data(self.scene, shown, self.batches, more) | {"number": self._number},
        }

    def _follow(self) -> None:
        """Controls stand at the state, and those that mean nothing in it are off."""
        runs, state = method.runs_of(self.scene, self.state), self.state
        self._following = True
        try:
            for box in (self.fields["step"], self.play):
                box.max = method.last_step(runs)
            self.fields["step"].description = "scale" if state.source == "analytic" else f"scale ({self.scene.scale})"
            self.fields["afford"].options = method.affordable(runs)
            for name, box in (*self.fields.items(), ("step", self.play)):
                box.value = getattr(state, name)
        finally:
            self._following = False
        for name, box in self.fields.items():
            box.disabled = name in method.idle(state)
        for name in ("middle", "steepness"):
            self.fields[name].layout.display = "none" if name in method.idle(state) else None
        self.train_button.disabled = not method.can_train(self.scene, state)
        self.train_button.tooltip = _train_tip(self.scene, state)

    @property
    def widget(self) -> w.Widget:
        """Everything in one box: what is set on the left, what comes of it on the right."""
        fields = self.fields
        play, train = (
            w.HBox(parts, layout=w.Layout(flex_flow="row wrap", align_items="center", width="98%"))
            for parts in ([self.play, w.Label("through all scales")], [self.train_button])
        )
        left = [*(fields[name] for name in ("source", "middle", "steepness", "step")), play]
        left += [fields[name] for name in ("tau", "length", "metric", "afford")]
        left += [train] if self.scene.train else []
        columns = [
            w.VBox(left, layout=w.Layout(flex="1 1 320px", max_width="400px", min_width="min(290px, 100%)")),
            w.VBox([self.view], layout=w.Layout(flex="999 1 520px", min_width="min(300px, 100%)")),
        ]
        around = w.Layout(flex_flow="row wrap", grid_gap="10px 26px", align_items="flex-start")
        return w.HBox(columns, layout=around).add_class("random-scaling-explorer")

    def display(self) -> None:
        """Show the explorer, and in stored pages a still picture of its present state."""
        show(self.widget, draw_still(self.scene, self.state))


def _common() -> dict[str, Any]:
    # A layout of its own for each, since some are hidden at times.
    return {"style": NARROW, "layout": w.Layout(width="98%")}


def _train_tip(scene: Scene, state: State) -> str:
    if scene.train is None or method.can_train(scene, state):
        return "by the study’s own recipe; they are shown as open circles"
    return f"fresh seeds have exact match at exam length {scene.length}: choose “{scene.source}”, exact match and that length"


def _fields(scene: Scene) -> dict[str, w.ValueWidget]:
    """A control for each field of the state that has one, at its first value."""
    first = scene.first
    runs = method.runs_of(scene, first)
    return {
        "source": w.Dropdown(
            options=[(scene.source, "trained"), ("the analytic mixture", "analytic")], value=first.source, description="seeds",
            tooltip="seeds that were trained, or a mixture that needs no training", **_common(),
        ),
        "step": w.IntSlider(
            value=first.step, max=method.last_step(runs), readout=False, **_common(),
            tooltip="from scale to scale; between trained scales the distribution is interpolated",
        ),
        "tau": w.FloatSlider(
            value=first.tau, min=scene.taus[0], max=scene.taus[1], step=0.01, description="success above τ", **_common(),
            readout_format=".2f", tooltip="a seed succeeds if its accuracy is above this threshold; the paper’s is 0.20",
        ),
        "length": w.Dropdown(
            options=list(scene.lengths), value=first.length, description="exam length", **_common(),
            tooltip="length of the exam’s strings",
        ),
        "metric": w.Dropdown(
            options=[(words, name) for name, words in METRIC_NAMES.items()], value=first.metric, description="metric",
            tooltip="what is measured of every seed", **_common(),
        ),
        "afford": w.SelectionSlider(
            options=method.affordable(runs), value=first.afford, description="affordable seeds", **_common(),
            tooltip="whoever can afford m seeds reports their best, or their median, at each scale",
        ),
        "middle": w.FloatSlider(
            value=first.middle, min=MIDDLE[0], max=MIDDLE[1], step=0.1, description="p = ½ at scale", readout_format=".1f",
            tooltip="middle of the logistic share p of successes", **_common(),
        ),
        "steepness": w.FloatSlider(
            value=first.steepness, min=STEEPNESS[0], max=STEEPNESS[1], step=0.1, description="steepness of p", **_common(),
            readout_format=".1f", tooltip="of the logistic; below 0 success gets rarer with scale: inverse scaling",
        ),
    }  # fmt: skip
