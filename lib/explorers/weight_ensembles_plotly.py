"""The explorer's figure: made once with one trace per role, then updated in place, so that nothing flickers."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lib.ensembles.drawing import RULE_STYLE
from lib.explorers.weight_ensembles import RULES, Frame, Path

SYMBOLS = {"o": "circle", "D": "diamond", "^": "triangle-up", "v": "triangle-down", "s": "square", "P": "cross"}
DASHES = {"-": "solid", "--": "dash", ":": "dot"}
CURVES = ("id_test", "ood", "diversity")  # fields of a Path, one panel each
NOWHERE = np.empty((0, 2))


def make_figure() -> go.FigureWidget:
    """An empty figure with every trace that a frame may fill: the map on the left, the curves on the right."""
    figure = go.FigureWidget(make_subplots(
        rows=3, cols=2, specs=[[{"rowspan": 3}, {}], [None, {}], [None, {}]], column_widths=[0.62, 0.38],
        horizontal_spacing=0.08, vertical_spacing=0.05, shared_xaxes=True,
    ))  # fmt: skip
    for trace, row, col in _traces():
        figure.add_trace(trace, row=row, col=col)
    figure.update_layout(
        template="plotly_white", height=560, margin={"l": 10, "r": 10, "t": 36, "b": 40}, hovermode="closest",
        legend={"orientation": "h", "y": -0.08, "x": 0, "itemclick": False, "itemdoubleclick": False},
        font={"size": 12}, dragmode="pan",
    )  # fmt: skip
    figure.update_xaxes(showticklabels=False, zeroline=False, row=1, col=1)
    figure.update_yaxes(showticklabels=False, zeroline=False, scaleanchor="x", row=1, col=1)
    figure.update_xaxes(title_text="step (trial)", row=3, col=2)
    for row, title in enumerate(("ID test (%)", "OOD (%)", "diversity"), 1):
        figure.update_yaxes(title_text=title, row=row, col=2)
    return figure


def _traces() -> list[tuple[go.Scatter, int, int]]:
    """Traces from back to front, each with its row and column; `update` finds them by name."""

    def dots(name: str, **marker: Any) -> go.Scatter:
        hover = "text" if name in ("ingredients", "soups") else "skip"
        return go.Scatter(name=name, mode="markers", marker=marker, hoverinfo=hover, showlegend=False, x=[], y=[])

    rows: list[tuple[go.Scatter, int, int]] = [
        (dots("soups", color="#D1D5DB", size=6, symbol="circle-open"), 1, 1),
        (dots("start", color="black", size=13, symbol="x"), 1, 1),
    ]
    for rule in RULES:
        colour, symbol, dash = RULE_STYLE[rule]
        arrow = {"symbol": "arrow", "size": 11, "angleref": "previous", "color": colour}
        line = {"color": colour, "width": 2, "dash": DASHES[dash]}
        path = go.Scatter(name=f"path {rule}", mode="lines+markers", line=line, marker=arrow, hoverinfo="skip", showlegend=False, x=[], y=[])
        rows.append((path, 1, 1))
    ring = {"color": "rgba(0,0,0,0)", "line": {"width": 2.5}}
    bar = {"thickness": 10, "len": 0.42, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "title": {"side": "right"}}
    rows += [
        (dots("ingredients", colorscale="Viridis", colorbar=bar, line={"color": "white", "width": 1}, sizemode="area"), 1, 1),
        (dots("members", **ring), 1, 1),
        (dots("rejected", symbol="x-thin", size=9, line={"width": 1.5}), 1, 1),
        (dots("trial", symbol="circle-open-dot", size=26, opacity=0.55, line={"width": 2}), 1, 1),
        (dots("ends", symbol="star", size=18, line={"color": "white", "width": 1}), 1, 1),
        (dots("manual", symbol="hexagram", size=19, color="#B91C1C", line={"color": "white", "width": 1.5}), 1, 1),
    ]
    for rule in RULES:
        colour, symbol, dash = RULE_STYLE[rule]
        line = {"color": colour, "width": 2, "shape": "hv", "dash": DASHES[dash]}
        mark = {"symbol": SYMBOLS[symbol], "color": colour, "size": 9}
        for row, curve in enumerate(CURVES, 1):
            quiet = {"showlegend": False, "x": [], "y": []}
            rows.append((go.Scatter(name=f"{curve} {rule}", mode="lines", line=line, hoverinfo="skip", **quiet), row, 2))
            hover = f"{rule}<br>step %{{x}}: %{{y:.3g}}<extra></extra>"
            rows.append((go.Scatter(name=f"{curve} now {rule}", mode="markers", marker=mark, hovertemplate=hover, **quiet), row, 2))
        rows.append((go.Scatter(name=rule, mode="lines+markers", line=line, marker=mark, x=[None], y=[None]), 1, 2))
    for row, curve in enumerate(CURVES, 1):
        dots_ = {"mode": "lines", "line": {"color": "#6B7280", "width": 1}, "hoverinfo": "skip", "showlegend": False}
        rows.append((go.Scatter(name=f"cursor {curve}", x=[], y=[], **dots_), row, 2))
    return rows


def update(figure: go.FigureWidget, frame: Frame, before: Frame | None) -> None:
    """Bring the figure to `frame` in one message to the front end; curves and map limits are sent only when they changed."""
    trace = {each.name: each for each in figure.data}
    same = before is not None and _still(before) == _still(frame)
    with figure.batch_update():
        _map(trace, frame)
        _cursor(trace, frame)
        if not same:
            _curves(trace, frame)
            _limits(figure, frame)


def _still(frame: Frame) -> tuple:
    """What does not change while a reader only moves along the steps, or picks a soup."""
    s = frame.state
    return s.method, s.distance, s.embedding, s.rules, s.show_start, s.show_soups


def _put(trace: go.Scatter, points: np.ndarray, **more: Any) -> None:
    trace.update(x=points[:, 0], y=points[:, 1], **more)


def _map(trace: dict[str, go.Scatter], frame: Frame) -> None:
    spread = frame.ood - frame.ood.min()
    size = 9 + 13 * spread / max(float(spread.max()), 1e-9)
    marker = {"size": size, "sizemode": "diameter", "color": frame.colours, "colorbar": {"title": {"text": frame.colour_title}}}
    _put(trace["ingredients"], frame.ingredients, text=frame.hover, marker=marker)
    _put(trace["soups"], frame.soups, text=frame.soup_hover)
    _put(trace["start"], frame.start)
    shown = {path.rule: path for path in frame.paths}
    for rule in RULES:
        _put(trace[f"path {rule}"], shown[rule].soups if rule in shown else NOWHERE)
    rings = [(path, point, 24 + 7 * i) for i, path in enumerate(frame.paths) for point in path.members]
    _put(trace["members"], _points([p for _, p, _ in rings]), marker={
        "size": [s for _, _, s in rings], "line": {"color": [_colour(path) for path, _, _ in rings]},
    })  # fmt: skip
    crosses = [(path, point) for path in frame.paths for point in path.rejected]
    _put(trace["rejected"], _points([p for _, p in crosses]), marker={"line": {"color": [_colour(path) for path, _ in crosses]}})
    tried = [path for path in frame.paths if path.trial is not None]
    _put(trace["trial"], _points([path.trial for path in tried]), marker={"color": [_colour(path) for path in tried]})
    ends = [path for path in frame.paths if path.finished]
    _put(trace["ends"], _points([path.soups[-1] for path in ends]), marker={"color": [_colour(path) for path in ends]})
    _put(trace["manual"], NOWHERE if frame.manual is None else frame.manual.point[None])


def _points(rows: list[np.ndarray | None]) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(-1, 2)


def _colour(path: Path) -> str:
    return RULE_STYLE[path.rule][0]


def _curves(trace: dict[str, go.Scatter], frame: Frame) -> None:
    shown = {path.rule: path for path in frame.paths}
    for rule in RULES:
        path = shown.get(rule)
        for curve in CURVES:
            values = getattr(path, curve) if path else []
            trace[f"{curve} {rule}"].update(x=np.arange(len(values)), y=values)
        trace[rule].showlegend = path is not None


def _cursor(trace: dict[str, go.Scatter], frame: Frame) -> None:
    """A vertical line at the step, and each rule's values there."""
    shown, t = {path.rule: path for path in frame.paths}, frame.state.step
    for curve in CURVES:
        for rule in RULES:
            values = getattr(shown[rule], curve) if rule in shown else []
            at = [min(t, len(values) - 1)] if values else []
            trace[f"{curve} now {rule}"].update(x=at, y=[values[i] for i in at])
        known = [v for path in frame.paths for v in getattr(path, curve) if v is not None]
        trace[f"cursor {curve}"].update(x=[t, t] if known else [], y=[min(known), max(known)] if known else [])


def _limits(figure: go.FigureWidget, frame: Frame) -> None:
    """Limits that hold for every step, so that the map stays where it is."""
    points = np.vstack([frame.ingredients, frame.soups, frame.start])
    low, high = points.min(0), points.max(0)
    pad = 0.08 * float((high - low).max() or 1)
    figure.layout.xaxis.range = [low[0] - pad, high[0] + pad]
    figure.layout.yaxis.range = [low[1] - pad, high[1] + pad]
    figure.layout.xaxis2.range = figure.layout.xaxis3.range = figure.layout.xaxis4.range = [-0.5, frame.n_steps + 0.5]
    figure.layout.title = {"text": f"Map by {frame.state.distance}", "font": {"size": 14}, "x": 0.01}
