"""Wiring of the explorer of a path between two data sets: controls change the state, the state is drawn."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as w

from lib.explorers.dataset_geodesics_controls import NARROW, WRAPPED, menu, side_by_side
from lib.explorers.dataset_geodesics_state import MIX_COLOUR, Scene
from lib.explorers.dataset_geodesics_view import Canvas, SamplesView, blocks, row, shown_frame
from lib.explorers.dataset_path import PAIRINGS, Pair, check_path, first_path, pair_of, path_frame, path_readouts
from lib.explorers.dataset_path_chart import draw_path_still, speed_svg
from lib.explorers.display import show
from lib.explorers.readout import Readout

PLAY_MS, PLAY_STEPS = 80, 50


class PathExplorer:
    """The path between any two data sets of a scene as a widget."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.state = scene, first_path(scene)
        self._canvas = Canvas(list(scene.sets.values()), scene.shape)
        self._seq, self._number, self._busy = 0, 0, False
        self._staged: Pair | None = None
        names = {name: name for name in scene.sets}
        self.fields: dict[str, w.ValueWidget] = {
            "left": menu("from", names, self.state.left),
            "right": menu("to", names, self.state.right),
            "pairing": menu("pairs", PAIRINGS, self.state.pairing),
            "t": w.FloatSlider(
                value=self.state.t, min=0, max=1, step=1 / PLAY_STEPS, description="time t", style=NARROW, readout_format=".2f",
                layout=w.Layout(flex="1 1 220px"),
            ),
        }  # fmt: skip
        self.play = w.Play(value=PLAY_STEPS // 2, min=0, max=PLAY_STEPS, interval=PLAY_MS, show_repeat=False)
        self.samples, self.chart = SamplesView(), w.HTML()
        self._show()
        for name, box in self.fields.items():
            box.observe(lambda change, name=name: self.go(**{name: change.new}), "value")
        self.play.observe(lambda change: self.go(t=change.new / PLAY_STEPS), "value")

    def go(self, **changes: Any) -> None:
        """Change the state. One that cannot be is named below the read-outs, and the explorer stays where it was."""
        if self._busy:
            return

        def act() -> None:
            wanted = replace(self.state, **changes)
            check_path(self.scene, wanted)
            self.samples.busy = set(changes) != {"t"}
            pair_of(self.scene, wanted)
            self.state = wanted

        self.samples.attempt(act, "coupling and ten distances", self._show)

    def _show(self, more: Sequence[Readout] = ()) -> None:
        self._busy = True
        try:
            for name, box in self.fields.items():
                box.value = getattr(self.state, name)
            self.play.value = round(self.state.t * PLAY_STEPS)
        finally:
            self._busy = False
        pair, frame = pair_of(self.scene, self.state), path_frame(self.scene, self.state)
        self._seq += 1
        with self.samples.hold_sync():
            if pair is not self._staged:
                self._number += 1
                self.samples.stage, self._staged = self._stage_trait(pair), pair
            lines = [*path_readouts(self.scene, self.state), *more]
            self.samples.frame = shown_frame(self._canvas, frame.moving, frame.labels, lines, self._number, self._seq)
        self.chart.value = speed_svg(pair, self.state.t)

    def _stage_trait(self, pair: Pair) -> dict[str, Any]:
        scene, canvas, images = self.scene, self._canvas, self.scene.shape is not None
        ends = {self.state.left: (pair.left, pair.rows), self.state.right: (pair.right, pair.partners)}
        rows = [
            row(name, scene.colours[name], canvas.bytes(data.features[followed] if images else data.features))
            for name, (data, followed) in ends.items()
        ]
        return {
            "number": self._number,
            "shape": scene.shape,
            "flat": canvas.flat,
            "head": "class",
            "heads": [str(pair.left.names[label]) for label in pair.left.labels[pair.rows].tolist()],
            "followed": [],
            "rows": rows,
            "links": [],
            "mix": row("P_t", MIX_COLOUR),
            "blocks": blocks({name: data for name, (data, _) in ends.items()}, scene.colours),
        }

    @property
    def widget(self) -> w.Widget:
        """Everything in one box."""
        ends = w.HBox([self.fields[name] for name in ("left", "right", "pairing")], layout=WRAPPED)
        point = [ends, w.HBox([self.play, self.fields["t"]], layout=WRAPPED), self.chart]
        return w.VBox([side_by_side(point, [self.samples])]).add_class("path-explorer")

    def display(self) -> None:
        """Show the explorer, and in stored pages a still picture of the path."""
        show(self.widget, draw_path_still(self.scene, self.state))
