"""The explorer's figure: made once with one trace per role, then updated in place, so that nothing flickers."""

from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from lib.ensembles.drawing import RULE_STYLE
from lib.explorers.weight_ensembles_state import RULES, Frame, Path

SYMBOLS = {"o": "circle", "D": "diamond", "^": "triangle-up", "v": "triangle-down", "s": "square", "P": "cross"}
DASHES = {"-": "solid", "--": "dash", ":": "dot"}
CURVES = ("id_test", "ood", "diversity")  # fields of a Path, one panel each


def make_figure(frame: Frame) -> go.FigureWidget:
    """The live figure of a frame: the map on the left, the curves on the right.

    It is drawn as a plain figure first, so that a page which connects only after the notebook has run (Voila) finds
    everything in the widget's first state.
    """
    figure = _empty()
    update(figure, frame, None)
    live = go.FigureWidget(figure)
    live._config = {**live._config, "displaylogo": False}
    return live


def _empty() -> go.Figure:
    """A figure with every trace that a frame may fill."""
    figure = make_subplots(
        rows=3, cols=2, specs=[[{"rowspan": 3}, {}], [None, {}], [None, {}]], column_widths=[0.6, 0.4],
        horizontal_spacing=0.15, vertical_spacing=0.05, shared_xaxes=True,
    )  # fmt: skip
    for trace, row, col in _traces():
        figure.add_trace(trace, row=row, col=col)
    figure.update_layout(
        template="plotly_white", height=560, width=1060, margin={"l": 10, "r": 10, "t": 36, "b": 40}, hovermode="closest",
        legend={"orientation": "h", "y": -0.08, "x": 0, "itemclick": False, "itemdoubleclick": False},
        font={"size": 12}, dragmode="pan", title={"text": "", "font": {"size": 14}, "x": 0.01},
        hoverlabel={"bgcolor": "white", "bordercolor": "#6B7280", "align": "left"},
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
        path = go.Scatter(
            name=f"path {rule}", mode="lines+markers", line=line, marker=arrow, hoverinfo="skip", showlegend=False, x=[], y=[]
        )
        rows.append((path, 1, 1))
    ring = {"color": "rgba(0,0,0,0)", "line": {"width": 2.5}}
    bar = {"thickness": 10, "len": 0.6, "x": 0.515, "xanchor": "left", "y": 1, "yanchor": "top", "title": {"side": "right"}}
    rows += [
        (dots("ingredients", colorscale="Viridis", colorbar=bar, line={"color": "white", "width": 1}, sizemode="diameter"), 1, 1),
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
            rows.append(
                (go.Scatter(name=f"{curve} now {rule}", mode="markers", marker=mark, hovertemplate=hover, **quiet), row, 2)
            )
        rows.append((go.Scatter(name=rule, mode="lines+markers", line=line, marker=mark, x=[None], y=[None]), 1, 2))
    for row, curve in enumerate(CURVES, 1):
        dots_ = {"mode": "lines", "line": {"color": "#6B7280", "width": 1}, "hoverinfo": "skip", "showlegend": False}
        rows.append((go.Scatter(name=f"cursor {curve}", x=[], y=[], **dots_), row, 2))
    return rows


def update(figure: go.Figure | go.FigureWidget, frame: Frame, before: Frame | None) -> None:
    """Bring the figure to `frame`; curves and map limits are sent only when they changed.

    Every message sets the same dotted properties on all traces it names. (A batch over traces with different properties makes
    plotly send blanks for the missing ones, which resets them in the browser.)
    """
    send = _Sender(figure)
    same = before is not None and _still(before) == _still(frame)
    moving = _moving(frame) | _cursor(frame)
    send.points(moving if same else moving | _resting(frame) | _curves(frame))
    send.values(_marks(frame))
    if not same:
        send.values({"soups": {"text": frame.soup_hover}})
        send.values({"ingredients": {"marker.colorbar.title.text": frame.colour_title}})
        send.values({rule: {"showlegend": any(path.rule == rule for path in frame.paths)} for rule in RULES})
        _limits(figure, frame)


class _Sender:
    """Restyles traces by name."""

    def __init__(self, figure: go.Figure) -> None:
        self.figure, self.index = figure, {trace.name: i for i, trace in enumerate(figure.data)}

    def points(self, places: dict[str, tuple[Any, Any]]) -> None:
        """New x and y of many traces in one message."""
        x, y = ([_plain(pair[axis]) for pair in places.values()] for axis in (0, 1))
        self.figure.plotly_restyle({"x": x, "y": y}, [self.index[name] for name in places])

    def values(self, by_trace: dict[str, dict[str, Any]]) -> None:
        """New values of the same properties for some traces, in one message."""
        keys = next(iter(by_trace.values()))
        data = {key: [_plain(found[key]) for found in by_trace.values()] for key in keys}
        self.figure.plotly_restyle(data, [self.index[name] for name in by_trace])


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


def _still(frame: Frame) -> tuple:
    """What does not change while a reader only moves along the steps, or picks a soup."""
    s = frame.state
    return s.method, s.distance, s.embedding, s.rules, s.show_start, s.show_soups, s.colour_by


def _xy(points: np.ndarray | list[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.array(points, dtype=float).reshape(-1, 2).T
    return x, y


def _colour(path: Path) -> str:
    return RULE_STYLE[path.rule][0]


def _rings(frame: Frame) -> list[tuple[Path, np.ndarray, int]]:
    """A ring around every member, wider for each further rule so that all stay visible."""
    return [(path, point, 24 + 7 * i) for i, path in enumerate(frame.paths) for point in path.members]


def _crosses(frame: Frame) -> list[tuple[Path, np.ndarray]]:
    return [(path, point) for path in frame.paths for point in path.rejected]


def _resting(frame: Frame) -> dict[str, tuple[Any, Any]]:
    """Places that hold for every step."""
    return {"ingredients": _xy(frame.ingredients), "soups": _xy(frame.soups), "start": _xy(frame.start)}


def _moving(frame: Frame) -> dict[str, tuple[Any, Any]]:
    """Places on the map that change from step to step."""
    shown = {path.rule: path for path in frame.paths}
    places = {
        "members": [point for _, point, _ in _rings(frame)],
        "rejected": [point for _, point in _crosses(frame)],
        "trial": [path.trial for path in frame.paths if path.trial is not None],
        "ends": [path.soups[-1] for path in frame.paths if path.finished],
        "manual": [] if frame.manual is None else [frame.manual.point],
    }
    places |= {f"path {rule}": shown[rule].soups if rule in shown else [] for rule in RULES}
    return {name: _xy(points) for name, points in places.items()}


def _marks(frame: Frame) -> dict[str, dict[str, Any]]:
    """Sizes, colours and hover texts, the same properties for all."""
    spread = frame.ood - frame.ood.min()
    rings = _rings(frame)
    sizes = 10 + 14 * spread / max(float(spread.max()), 1e-9)
    looks = {  # trace -> marker size, fill, edge, hover
        "ingredients": (sizes, frame.colours, "white", frame.hover),
        "members": ([size for _, _, size in rings], "rgba(0,0,0,0)", [_colour(path) for path, _, _ in rings], ""),
        "rejected": (9, "black", [_colour(path) for path, _ in _crosses(frame)], ""),
        "trial": (26, [_colour(path) for path in frame.paths if path.trial is not None], "black", ""),
        "ends": (18, [_colour(path) for path in frame.paths if path.finished], "white", ""),
    }
    keys = ("marker.size", "marker.color", "marker.line.color", "text")
    return {name: dict(zip(keys, look, strict=True)) for name, look in looks.items()}


def _curves(frame: Frame) -> dict[str, tuple[Any, Any]]:
    """The curves over all steps."""
    shown = {path.rule: path for path in frame.paths}
    lines = {f"{curve} {rule}": getattr(shown[rule], curve) if rule in shown else [] for rule in RULES for curve in CURVES}
    return {name: (list(range(len(values))), values) for name, values in lines.items()}


def _cursor(frame: Frame) -> dict[str, tuple[Any, Any]]:
    """A vertical line at the step, and each rule's values there."""
    shown, t = {path.rule: path for path in frame.paths}, frame.state.step
    places: dict[str, tuple[Any, Any]] = {}
    for curve in CURVES:
        for rule in RULES:
            values = getattr(shown[rule], curve) if rule in shown else []
            at = [min(t, len(values) - 1)] if values else []
            places[f"{curve} now {rule}"] = (at, [values[i] for i in at])
        known = [v for path in frame.paths for v in getattr(path, curve) if v is not None]
        room = 0.1 * (max(known) - min(known)) or 0.5 if known else 0
        places[f"cursor {curve}"] = ([t, t], [min(known) - room, max(known) + room]) if known else ([], [])
    return places


def _limits(figure: go.Figure, frame: Frame) -> None:
    """Limits that hold for every step, so that the map stays where it is."""
    low, high = frame.extent.min(0), frame.extent.max(0)
    pad = 0.08 * float((high - low).max() or 1)
    steps = [-0.5, frame.n_steps + 0.5]
    figure.plotly_relayout({
        "xaxis.range": [low[0] - pad, high[0] + pad], "yaxis.range": [low[1] - pad, high[1] + pad],
        "xaxis2.range": steps, "xaxis3.range": steps, "xaxis4.range": steps, "title.text": f"Map by {frame.state.distance}",
    })  # fmt: skip
