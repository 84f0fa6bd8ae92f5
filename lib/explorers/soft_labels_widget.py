"""Wiring of the soft-labels explorer: sliders, thumbnails and charts change the state, the state is drawn. No method in here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anywidget
import ipywidgets as w
import torch
import traitlets as t
from jaxtyping import Float
from torch import Tensor

from lib.explorers import soft_labels as method
from lib.explorers.display import show
from lib.explorers.modules import FRONT, module
from lib.explorers.readout import Readout
from lib.explorers.soft_labels_charts import charts
from lib.explorers.soft_labels_state import TEMPERATURE, Frame, Scene, Trained
from lib.explorers.soft_labels_still import draw_still

NARROW = {"description_width": "112px"}
WIDE = w.Layout(width="98%")
CLICKED = ("image", "ipc", "swap", "top")  # what thumbnails and charts may ask for


class ImagesView(anywidget.AnyWidget):
    """All images as thumbnails by class. `request` comes from the browser: a field of the state and its value."""

    _esm = module("element", "soft_labels_images")
    _css = FRONT / "soft_labels.css"
    stage = t.Dict().tag(sync=True)
    frame = t.Dict().tag(sync=True)
    request = t.Dict().tag(sync=True)


class LabelView(anywidget.AnyWidget):
    """The chosen image with its label, the read-outs and the charts; `request` as in `ImagesView`."""

    _esm = module("element", "soft_labels")
    _css = FRONT / "soft_labels.css"
    stage = t.Dict().tag(sync=True)
    frame = t.Dict().tag(sync=True)
    request = t.Dict().tag(sync=True)
    busy = t.Bool(False).tag(sync=True)


class SoftLabelExplorer:
    """The soft-labels explorer of a scene as a widget."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.state = scene, scene.first
        self.trained: list[Trained] = []
        self._number, self._following = 0, False
        self.fields = _fields(scene)
        self.unchanged = w.Button(description="as the expert gave them", tooltip="T = 1, no swap, all entries", icon="undo")
        self.train_button = w.Button(description="train students with these labels now", button_style="primary", icon="play")
        for button in (self.unchanged, self.train_button):
            button.layout.width = "auto"
        shown = method.frame(scene, self.state)
        # Made complete, so that a page which connects only after the notebook has run (Voila) finds everything in it.
        self.images = ImagesView(stage=self._images_stage(), frame=self._images_frame(shown))
        stage = {"shape": list(scene.images.shape[1:]), "epochs": list(scene.epochs)}
        self.view = LabelView(stage=stage, frame=self._label_frame(shown, []))
        self._follow()
        self._watch()

    def _watch(self) -> None:
        for name, box in self.fields.items():
            box.observe(lambda change, name=name: self.go(**{name: change.new}), "value")
        for view in (self.images, self.view):
            view.observe(lambda change: self.answer(change.new), "request")
        self.unchanged.on_click(lambda _: self.go(temperature=1.0, swap=0, top=self.scene.classes))
        self.train_button.on_click(lambda _: self.train())

    def answer(self, request: Mapping[str, Any]) -> None:
        """A thumbnail or a place in a chart was clicked."""
        field, value = request.get("field"), request.get("value")
        if field in CLICKED:
            whole = isinstance(value, float) and value.is_integer()
            self.go(**{field: int(value) if whole else value})

    def go(self, **changes: Any) -> None:
        """Change the state. One that cannot be is named below the read-outs, and the explorer stays where it was."""
        if self._following:
            return
        try:
            wanted = replace(self.state, **changes)
            method.check(self.scene, wanted)
        except ValueError as error:
            self._show([Readout("cannot be shown", str(error), warn=True)])
        else:
            self.state = wanted
            self._show()

    def train(self) -> None:
        """Train students with the labels as they are now set; what cannot be is named below the read-outs."""
        self.view.busy = self.train_button.disabled = True
        try:
            self.trained.append(method.train_now(self.scene, self.state))
            self._show()
        except (ValueError, RuntimeError) as error:
            self._show([Readout("no students", str(error), warn=True)])
        finally:
            self.view.busy = self.train_button.disabled = False

    def _show(self, more: Sequence[Readout] = ()) -> None:
        """Bring controls and views to the state."""
        self._follow()
        shown = method.frame(self.scene, self.state)
        self.view.frame = self._label_frame(shown, more)
        self.images.frame = self._images_frame(shown)

    def _follow(self) -> None:
        self._following = True
        try:
            for name, box in self.fields.items():
                box.value = getattr(self.state, name)
        finally:
            self._following = False

    def _images_stage(self) -> dict[str, Any]:
        scene = self.scene
        groups = [(name, (scene.labels == c).nonzero()[:, 0].tolist()) for c, name in enumerate(scene.class_names)]
        return {
            "shape": list(scene.images.shape[1:]),
            "pixels": levels(scene.images),
            "groups": [{"name": name, "rows": rows} for name, rows in groups if rows],
        }

    def _images_frame(self, shown: Frame) -> dict[str, Any]:
        return {"image": shown.state.image, "wrong": shown.labels.wrong.to(torch.uint8).numpy().tobytes()}

    def _label_frame(self, shown: Frame, more: Sequence[Readout]) -> dict[str, Any]:
        scene, state = self.scene, shown.state
        self._number += 1
        return {
            "number": self._number,
            "pixels": levels(scene.images[state.image]),
            "caption": f"image {state.image + 1} of {len(scene.images)}\n{scene.class_names[int(scene.labels[state.image])]}",
            "epoch": scene.epochs.index(state.epoch),
            "bars": [vars(bar) for bar in shown.bars],
            "readouts": [vars(each) for each in (*method.readouts(scene, shown), *more)],
            "charts": charts(scene, shown, self.trained),
        }

    @property
    def widget(self) -> w.Widget:
        """Everything in one box: what is set on the left, what comes of it on the right."""
        looks = [self.fields["ipc"]] + ([self.fields["subject"]] if self.scene.zero else [])
        buttons = [self.unchanged] + ([self.train_button] if self.scene.train else [])
        wrapped = w.Layout(flex_flow="row wrap", align_items="center")
        labels = [self.fields[name] for name in ("epoch", "temperature", "swap", "top")]
        left = [self.images, *labels, w.HBox(buttons, layout=wrapped), *looks]
        columns = [
            w.VBox(left, layout=w.Layout(flex="1 1 340px", max_width="430px", min_width="300px")),
            w.VBox([self.view], layout=w.Layout(flex="999 1 460px", min_width="300px")),
        ]
        around = w.Layout(flex_flow="row wrap", grid_gap="10px 26px", align_items="flex-start")
        return w.HBox(columns, layout=around).add_class("soft-label-explorer")

    def display(self) -> None:
        """Show the explorer, and in stored pages a still picture of its present state."""
        show(self.widget, draw_still(self.scene, self.state))


def _fields(scene: Scene) -> dict[str, w.ValueWidget]:
    """A control for each field of the state that has one, at its first value."""
    first, (low, high) = scene.first, (math.log2(end) for end in TEMPERATURE)
    common = {"style": NARROW, "layout": WIDE}
    subjects = [(scene.class_names[c], c) for c in scene.subjects or range(scene.classes)]
    return {
        "epoch": w.SelectionSlider(
            options=[(f"{epoch}", epoch) for epoch in scene.epochs], value=first.epoch, description="expert’s epoch",
            tooltip="the expert is stopped after this epoch; its logits become labels", **common,
        ),
        "temperature": w.FloatLogSlider(
            value=first.temperature, min=low, max=high, step=0.25, base=2, description="temperature T", readout_format=".2f",
            tooltip="labels are softmax(logits / T): the larger, the softer", **common,
        ),
        "swap": w.IntSlider(
            value=first.swap, max=scene.classes, description="swap k-th", **common,
            tooltip="the k-th largest entry changes places with the smallest; 0: none does",
        ),
        "top": w.IntSlider(
            value=first.top, max=scene.classes, description="keep the largest", **common,
            tooltip="only so many entries are kept, the rest is 0; 0: hard labels",
        ),
        "ipc": w.Dropdown(
            options=list(scene.budgets), value=first.ipc, description="images per class", **common,
            tooltip="the budget at which measured accuracies are read",
        ),
        "subject": w.Dropdown(
            options=subjects, value=first.subject, description="class never seen", **common,
            tooltip="students had no image of it, or no share of it in other labels",
        ),
    }  # fmt: skip


def levels(images: Float[Tensor, "..."]) -> bytes:
    """Levels 0..1, of grey or of three colours, as bytes."""
    return (255 * images).round().to(torch.uint8).numpy().tobytes()
