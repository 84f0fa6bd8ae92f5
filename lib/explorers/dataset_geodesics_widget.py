"""Wiring of the simplex explorer: controls and the triangle change the state, the state is drawn. No method in here."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as w

from lib.explorers import dataset_geodesics as method
from lib.explorers.dataset_geodesics_controls import SimplexControls, side_by_side
from lib.explorers.dataset_geodesics_readouts import readouts
from lib.explorers.dataset_geodesics_state import MIX_COLOUR, Measurement, Scene, Stage, State
from lib.explorers.dataset_geodesics_still import draw_still
from lib.explorers.dataset_geodesics_view import (
    Canvas,
    SamplesView,
    TriangleView,
    blocks,
    row,
    shown_backdrop,
    shown_frame,
)
from lib.explorers.display import show
from lib.explorers.readout import Readout

PLAY_STEPS = 40


class SimplexExplorer:
    """The simplex explorer of one scene, or of several by name, as a widget."""

    def __init__(self, scenes: Scene | Mapping[str, Scene]) -> None:
        self.scenes = {scenes.base_name: scenes} if isinstance(scenes, Scene) else dict(scenes)
        if not self.scenes:
            raise ValueError("scenes: got none, allowed is one or more")
        self._seq, self._number, self._busy = 0, 0, False
        self.triangle_box = w.VBox(layout=w.Layout(width="100%"))
        self.samples = SamplesView()
        self.scene_menu = w.Dropdown(options=list(self.scenes), description="scene", layout=w.Layout(width="auto"))
        self.scene_menu.observe(lambda change: self.open(change.new), "value")
        self.controls_box, self.method_box = w.VBox(), w.VBox()
        self.open(next(iter(self.scenes)))

    def open(self, name: str) -> None:
        """Go to the scene of this name, at its first state."""
        self.scene = self.scenes[name]
        self.state = self.scene.first
        self._canvas = Canvas(list(self.scene.sets.values()), self.scene.shape)
        self._sent: tuple[Stage, str] | None = None
        self._measured: tuple[State, Measurement] | None = None
        self.controls = SimplexControls(self.scene, PLAY_STEPS)
        names, colours = list(self.scene.names), self.scene.colours
        # Made complete, so that a page which connects only after the notebook has run (Voila) finds everything in it.
        self.triangle = TriangleView(
            names=names, colours=[colours[n] for n in names], **self._backdrop_traits(), frame=self._point
        )
        self._show()
        self._watch()
        self.triangle_box.children = [self.triangle]
        self.controls_box.children, self.method_box.children = self.controls.of_point, self.controls.of_method

    def _watch(self) -> None:
        for name, box in self.controls.fields.items():
            box.observe(lambda change, name=name: self.do(lambda: replace(self.state, **{name: change.new})), "value")
        for i, slider in enumerate(self.controls.shares):
            slider.observe(lambda change, i=i: self.do(lambda: method.slide(self.state, i, change.new)), "value")
        for target, button in self.controls.snaps.items():
            button.on_click(lambda _, target=target: self.do(lambda: method.snap(self.scene, self.state, target)))
        self.controls.play.observe(lambda change: self.do(lambda: self._played(change.new)), "value")
        self.controls.measure.on_click(lambda _: self.measure())
        self.triangle.observe(lambda change: self.answer(change.new), "request")

    def _played(self, step: int) -> State:
        start, end = (box.value for box in self.controls.edge)
        return method.along(self.scene, self.state, start, end, step / PLAY_STEPS)

    def answer(self, request: Mapping[str, Any]) -> None:
        """The point was dragged to request["weights"]. A request older than one already answered changes nothing."""
        if request["seq"] > self._seq:
            self._seq = request["seq"]
            weights = [math.nan if a is None else a for a in request["weights"]]  # what is no number comes as null
            self.do(lambda: method.move(self.scene, self.state, weights))

    def do(self, change: Callable[[], State]) -> None:
        """Go to another state. One that cannot be is named below the read-outs, and the explorer stays where it was."""
        if self._busy:
            return

        def act() -> None:
            wanted = change()
            method.check(self.scene, wanted)
            self.samples.busy = method.is_new(self.state, wanted)
            method.stage(self.scene, wanted)
            self.state = wanted

        self.samples.attempt(act, "couplings and maps made", self._show)

    def measure(self) -> None:
        """Measure the exact distance at the present point; the number is shown until anything but the background changes."""
        self.samples.busy = True
        try:
            self._measured = (self.state, method.measure(self.scene, self.state))
            self._show()
        finally:
            self.samples.busy = False

    @property
    def measured(self) -> Measurement | None:
        """The measurement, if it was of the present state."""
        if self._measured is None or replace(self._measured[0], background=self.state.background) != self.state:
            return None
        return self._measured[1]

    @property
    def _point(self) -> dict[str, Any]:
        return {"seq": self._seq, "weights": list(self.state.weights)}

    def _backdrop_traits(self) -> dict[str, Any]:
        return {
            "backdrop": shown_backdrop(method.backdrop(self.scene, self.state)),
            "optimum": method.stage(self.scene, self.state).best.weights.tolist(),
        }

    def _show(self, more: Sequence[Readout] = ()) -> None:
        """Bring controls and views to the state; what only another method changes is sent only then."""
        self._busy = True
        try:
            self.controls.follow(self.state)
        finally:
            self._busy = False
        now, frame = method.stage(self.scene, self.state), method.frame(self.scene, self.state)
        with self.triangle.hold_sync(), self.samples.hold_sync():
            if self._sent != (now, self.state.background):
                for name, value in self._backdrop_traits().items():
                    setattr(self.triangle, name, value)
            if self._sent is None or self._sent[0] is not now:
                self._number += 1
                self.samples.stage = self._stage_trait(now)
            self._sent = (now, self.state.background)
            self.triangle.frame = self._point
            lines = [*readouts(self.scene, frame, self.measured), *more]
            self.samples.frame = shown_frame(self._canvas, frame.mix, frame.labels, lines, self._number, self._seq)

    def _stage_trait(self, now: Stage) -> dict[str, Any]:
        scene, colours, canvas = self.scene, self.scene.colours, self._canvas
        images = scene.shape is not None
        base, names = scene.base.features, scene.base.names
        verb = "draw of" if self.state.estimator == "mixup" else "T"
        mapped = [row(f"{verb} {name}", colours[name], canvas.bytes(self._rows(now, i))) for i, name in enumerate(scene.names)]
        rows = [row(scene.base_name, colours[scene.base_name], canvas.bytes(base[scene.samples] if images else base))]
        if images:
            rows += mapped
        else:
            rows += [row(name, colours[name], canvas.bytes(source.features)) for name, source in scene.sources.items()]
        return {
            "number": self._number,
            "shape": scene.shape,
            "flat": canvas.flat,
            "head": "class",
            "heads": [str(names[label]) for label in scene.base.labels[scene.samples].tolist()],
            "followed": scene.samples.tolist(),
            "rows": rows,
            "links": [] if images else mapped,
            "mix": row("mix P_a", MIX_COLOUR),
            "blocks": blocks(scene.sources, colours),
        }

    def _rows(self, now: Stage, source: int) -> Any:
        return now.shown[source].view(-1, self.scene.base.features.shape[1])

    @property
    def widget(self) -> w.Widget:
        """Everything in one box: the point on the left, what becomes of the samples on the right."""
        head = [w.HBox([self.scene_menu])] if len(self.scenes) > 1 else []
        point = [self.triangle_box, self.controls_box]
        return w.VBox([*head, self.method_box, side_by_side(point, [self.samples])]).add_class("simplex-explorer")

    def display(self) -> None:
        """Show the explorer, and in stored pages a still picture of the optimum."""
        show(self.widget, draw_still(self.scene, method.snap(self.scene, self.state, "optimum")))
