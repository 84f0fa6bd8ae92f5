"""The controls of the simplex explorer, made from a scene and its first state."""

import math
from collections.abc import Mapping, Sequence

import ipywidgets as w

from lib.explorers.dataset_geodesics_state import BACKGROUNDS, COUPLINGS, EPSILON, ESTIMATORS, LAM_Y, Scene, State

PLAY_MS = 80
NARROW = {"description_width": "initial"}
AUTO = w.Layout(width="auto")
WRAPPED = w.Layout(flex_flow="row wrap", align_items="center", grid_gap="2px 14px")
DIGITS = 2
SHARES = {"min": 0, "max": 1, "step": 10**-DIGITS}


class SimplexControls:
    """Boxes, sliders and buttons; `follow` brings them to a state. Who listens to them is the explorer."""

    def __init__(self, scene: Scene, play_steps: int) -> None:
        self.fields: dict[str, w.ValueWidget] = self._method_fields(scene)
        self.shares = [
            w.FloatSlider(
                value=1, description=f"s{i}", tooltip=f"share of {name}", readout_format=".2f", **SHARES,
                style={"handle_color": scene.colours[name], "description_width": "22px"}, layout=w.Layout(width="98%"),
            )
            for i, name in enumerate(scene.names, 1)
        ]  # fmt: skip
        targets: dict[int | str, str] = {**dict(enumerate(scene.names)), "centre": "centre", "optimum": "optimum ★"}
        self.snaps = {key: w.Button(description=text, tooltip=f"go to {text}", layout=AUTO) for key, text in targets.items()}
        for key, name in enumerate(scene.names):
            self.snaps[key].style = {"text_color": scene.colours[name], "font_weight": "bold"}
        ends = [(name, i) for i, name in enumerate(scene.names)]
        self.edge = [
            w.Dropdown(options=ends, value=i, description=title, style=NARROW, layout=w.Layout(width="145px"))
            for i, title in enumerate(("from", "to"))
        ]
        self.play = w.Play(value=0, min=0, max=play_steps, interval=PLAY_MS, show_repeat=False)
        self.measure = w.Button(description="measure exact distance", icon="balance-scale", layout=AUTO)

    def _method_fields(self, scene: Scene) -> dict[str, w.ValueWidget]:
        first = scene.first
        known = [key for key in BACKGROUNDS if key == "distance" or scene.measured is not None]
        return {
            "estimator": menu("estimator", ESTIMATORS, first.estimator),
            "coupling": menu("coupling", COUPLINGS, first.coupling),
            "epsilon": _log("ε / median cost", EPSILON, first.epsilon, "entropic regularisation, in median costs"),
            "lam_y": _log("λ_y, labels", LAM_Y, first.lam_y, "weight of the label distance in the transport cost"),
            "background": menu("background", {key: BACKGROUNDS[key] for key in known}, first.background),
        }

    def follow(self, state: State) -> None:
        """Show a state."""
        for name, box in self.fields.items():
            box.value = getattr(state, name)
        self.fields["epsilon"].disabled = state.coupling != "entropic"
        for slider, share in zip(self.shares, state.shares, strict=True):
            slider.value = round(
                share, DIGITS
            )  # what lies between two steps the browser would send back rounded, as a new choice

    @property
    def of_method(self) -> list[w.Widget]:
        """The row above the explorer."""
        return [w.HBox(list(self.fields.values()), layout=WRAPPED)]

    @property
    def of_point(self) -> list[w.Widget]:
        """What stands below the triangle."""
        return [
            *self.shares,
            w.HBox([w.Label("snap to"), *self.snaps.values()], layout=WRAPPED),
            w.HBox([w.Label("play edge"), self.play, *self.edge], layout=WRAPPED),
            self.measure,
        ]


def side_by_side(left: Sequence[w.Widget], right: Sequence[w.Widget]) -> w.Box:
    """What is touched on the left and what comes of it on the right, or one below the other where the page is narrow."""
    columns = [
        w.VBox(list(left), layout=w.Layout(flex="1 1 380px", max_width="480px", min_width="300px")),
        w.VBox(list(right), layout=w.Layout(flex="999 1 440px", min_width="300px")),
    ]
    return w.HBox(columns, layout=w.Layout(flex_flow="row wrap", grid_gap="10px 26px", align_items="flex-start"))


def menu(title: str, options: Mapping[str, str], value: str) -> w.Dropdown:
    """A menu of names under titles, as wide as it needs."""
    named = [(text, key) for key, text in options.items()]
    return w.Dropdown(options=named, value=value, description=title, style=NARROW, layout=AUTO)


def _log(title: str, bounds: tuple[float, float], value: float, tip: str) -> w.FloatLogSlider:
    low, high = (math.log10(bound) for bound in bounds)
    return w.FloatLogSlider(
        value=value, min=low, max=high, step=0.1, base=10, description=title, style=NARROW, tooltip=tip,
        readout_format=".3g", continuous_update=False, layout=w.Layout(width="270px"),
    )  # fmt: skip
