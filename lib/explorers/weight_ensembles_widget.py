"""Wiring of the distance explorer: controls change the state, the state is drawn. No method and no drawing in here."""

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as w
from pydantic.fields import FieldInfo

from lib.ensembles.drawing import RULE_STYLE
from lib.ensembles.embedding import methods
from lib.explorers.controls import control
from lib.explorers.display import show
from lib.explorers.weight_ensembles import Explorer
from lib.explorers.weight_ensembles_plotly import make_figure, update
from lib.explorers.weight_ensembles_state import COLOURS, RULES, Frame, State
from lib.explorers.weight_ensembles_still import draw_still

PLAY_MS = 400


class DistanceExplorer:
    """The explorer as a widget. `schema` are the fields of the study's parameters, from which the method's controls are made."""

    def __init__(self, explorer: Explorer, schema: Mapping[str, FieldInfo]) -> None:
        self.explorer = explorer
        self.state = explorer.first
        self._shown = explorer.frame(self.state)
        self.figure = make_figure(self._shown)
        self._busy = False
        self._make_controls(schema)
        self._watch()
        self.refresh()

    def _make_controls(self, schema: Mapping[str, FieldInfo]) -> None:
        explorer, state, narrow = self.explorer, self.state, {"description_width": "initial"}

        def menu(title: str, options: Any, value: str) -> w.Dropdown:
            return w.Dropdown(options=options, value=value, description=title, style=narrow, layout=w.Layout(width="auto"))

        self.fields: dict[str, w.ValueWidget] = {
            "held_out": menu("held-out domain", list(self.explorer.outcomes), state.held_out),
            "distance": menu("distance", explorer.distances, state.distance),
            "embedding": menu("map", [m for m in methods() if m != "pca"], state.embedding),
            "colour_by": menu("colour", [(title, name) for name, title in COLOURS.items()], state.colour_by),
            "accept": control("accept", schema["accept"], state.accept, "accept if"),
            "reference": control("reference", schema["reference"], state.reference, "rank from"),
            "rerank": control("rerank", schema["rerank"], state.rerank, "rank again"),
            "show_rejected": w.Checkbox(value=True, description="show rejected", indent=False, layout=w.Layout(width="auto")),
            "show_soups": w.Checkbox(value=True, description="show soups", indent=False, layout=w.Layout(width="auto")),
            "show_start": w.Checkbox(value=False, description="show start", indent=False, layout=w.Layout(width="auto")),
        }
        self.rules = {
            rule: w.ToggleButton(value=rule in state.rules, description=rule, layout=w.Layout(width="auto")) for rule in RULES
        }
        for rule, button in self.rules.items():
            button.style = {"text_color": RULE_STYLE[rule][0], "font_weight": "bold"}
        self.step = w.IntSlider(value=0, min=0, max=1, description="step", layout=w.Layout(width="60%"))
        self.play = w.Play(value=0, min=0, max=1, interval=PLAY_MS, show_repeat=False)
        w.jslink((self.play, "value"), (self.step, "value"))
        n = max(len(outcome.pool.flat) for outcome in self.explorer.outcomes.values())
        self.members = [w.ToggleButton(value=False, description=str(k), layout=w.Layout(width="42px")) for k in range(n)]
        self.clear = w.Button(description="clear", layout=w.Layout(width="70px"))
        self.readout, self.table, self.score = w.HTML(), w.HTML(), w.HTML()
        for html, name in ((self.readout, "readout"), (self.table, "steps"), (self.score, "manual-score")):
            html.add_class(f"explorer-{name}")

    def _watch(self) -> None:
        for name, field in self.fields.items():
            field.observe(lambda change, name=name: self._set(**{name: change.new}), "value")
        self.step.observe(lambda change: self._set(step=change.new), "value")
        for button in self.rules.values():
            button.observe(lambda _: self._set(rules=tuple(r for r in RULES if self.rules[r].value)), "value")
        for button in self.members:
            button.observe(lambda _: self._set(manual=self._picked()), "value")
        self.clear.on_click(lambda _: self._pick(()))
        dots = next(trace for trace in self.figure.data if trace.name == "ingredients")
        dots.on_click(lambda _, points, __: self._pick(set(self._picked()) ^ set(points.point_inds)))

    def _picked(self) -> tuple[int, ...]:
        n = len(self.explorer.outcomes[self.fields["held_out"].value].pool.flat)
        return tuple(k for k, button in enumerate(self.members[:n]) if button.value)

    def _pick(self, members: Any) -> None:
        """Choose a manual soup at once: buttons first, then one redraw."""
        self._busy = True
        for k, button in enumerate(self.members):
            button.value = k in members
        self._busy = False
        self._set(manual=self._picked())

    def _set(self, **changes: Any) -> None:
        if not self._busy:
            self._draw(replace(self.state, **changes))

    def refresh(self) -> None:
        """Draw the present state again."""
        self._draw(self.state)

    def _draw(self, wanted: State) -> None:
        """Go to a state. One that cannot be drawn is named in the read-out, and the explorer stays where it was."""
        try:
            last = self.explorer.n_steps(wanted)
            frame = self.explorer.frame(replace(wanted, step=min(wanted.step, last)))
        except (ValueError, RuntimeError) as error:
            self.readout.value = f"<b>this cannot be shown:</b> {escape(str(error))}"
            return
        self.state = frame.state
        self._busy = True
        try:
            self.step.max = self.play.max = max(last, 1)
            self.step.value = self.state.step
        finally:
            self._busy = False
        update(self.figure, frame, self._shown)
        self._shown = frame
        self.readout.value, self.table.value, self.score.value = readout_html(frame), table_html(frame), score_html(frame)

    @property
    def widget(self) -> w.Widget:
        """Everything in one box."""
        row = w.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 14px")
        named = ("held_out", "distance", "embedding", "colour_by")
        method = ("accept", "reference", "rerank", "show_rejected", "show_soups", "show_start")
        box = w.VBox([
            w.HBox([self.fields[name] for name in named], layout=row),
            w.HBox([w.HTML("<b>rules</b>"), *self.rules.values()], layout=row),
            w.HBox([w.HTML("<b>method, live</b>"), *(self.fields[name] for name in method)], layout=row),
            w.HBox([self.play, self.step], layout=row),
            self.figure, self.readout, self.table,
            w.HBox([w.HTML("<b>your own soup</b> (or click on the map)"), *self.members, self.clear], layout=row),
            self.score,
        ])  # fmt: skip
        return box.add_class("distance-explorer")

    def display(self) -> None:
        """Show the explorer, and in stored pages a still picture of steps 0, middle and last."""
        last = self.explorer.n_steps(self.state)
        frames = [self.explorer.frame(replace(self.state, step=step)) for step in sorted({0, last // 2, last})]
        show(self.widget, draw_still(frames))


def readout_html(frame: Frame) -> str:
    """How far to trust the map, and what the selection has cost so far."""
    rank = "undefined" if frame.rank_correlation is None else f"{frame.rank_correlation:.2f}"
    cost = ", ".join(f"{escape(path.rule)} {path.step.n_evals}" for path in frame.paths) or "no rule selected"
    return (
        f"<small>map: stress {frame.stress:.3f} (0 is exact, above 0.2 is poor), rank correlation with true distances {rank}. "
        f"Axes mean nothing, near means near. Soup evaluations so far: {cost}.</small>"
    )


def table_html(frame: Frame) -> str:
    """One row per rule: what is tried in this step, against what, and with what success."""
    head = "".join(
        f"<th>{t}</th>" for t in ("rule", "candidate", "correct (ID val)", "to reach", "accepted", "distance", "rank", "soup")
    )
    rows = []
    for path in frame.paths:
        s = path.step
        values = [
            f"<b style='color:{RULE_STYLE[path.rule][0]}'>{escape(path.rule)}</b>",
            "all" if s.candidate is None else str(s.candidate),
            str(s.score),
            "" if path.threshold is None else str(path.threshold),
            "&#10003; yes" if s.accepted else "&#10007; no",
            "" if s.distance is None else f"{s.distance:.3g}",
            str(s.rank),
            f"{len(s.members)}: {', '.join(map(str, s.members))}",
        ]
        rows.append("<tr>" + "".join(f"<td style='padding:0 .8em 0 0'>{v}</td>" for v in values) + "</tr>")
    return f"<table style='text-align:left;line-height:1.5'><tr>{head}</tr>{''.join(rows)}</table>"


def score_html(frame: Frame) -> str:
    """The manual soup's scores."""
    if frame.manual is None:
        return "<i>Pick ingredients: their soup is averaged and scored at once, and appears on the map as a red star.</i>"
    m = frame.manual
    spread = "undefined for one" if m.diversity is None else f"{m.diversity:.3g}"
    return (
        f"<b>your soup of {len(m.members)}</b> ({', '.join(map(str, m.members))}): ID validation {m.scores['id_val']:.2f} %, "
        f"ID test {m.scores['id_test']:.2f} %, OOD {m.scores['ood']:.2f} %, diversity {spread}"
    )
