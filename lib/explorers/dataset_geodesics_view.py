"""The two live views of the dataset-geodesics explorers, and what is sent to them: bytes that the browser draws as they are."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget
import matplotlib as mpl
import numpy as np
import torch
import traitlets as t
from jaxtyping import Float
from torch import Tensor

from lib.explorers.dataset_geodesics_state import Backdrop
from lib.explorers.modules import FRONT, module
from lib.explorers.readout import Readout
from lib.figures import SEQUENTIAL
from lib.transport.labels import LabelledData

WORTH_SAYING = 0.02  # seconds; less is what was kept


class TriangleView(anywidget.AnyWidget):
    """The simplex with its point. `request` comes from the browser: a number that grows, and weights; `frame` answers it."""

    _esm = module("backdrop", "triangle")
    _css = FRONT / "geodesics.css"
    names = t.List(t.Unicode()).tag(sync=True)
    colours = t.List(t.Unicode()).tag(sync=True)
    backdrop = t.Dict().tag(sync=True)
    optimum = t.List(t.Float()).tag(sync=True)
    frame = t.Dict().tag(sync=True)
    request = t.Dict().tag(sync=True)


class SamplesView(anywidget.AnyWidget):
    """Followed samples as images or points, bars of their soft labels, and read-outs. `stage` is rare, `frame` is live."""

    _esm = module("element", "samples")
    _css = FRONT / "geodesics.css"
    stage = t.Dict().tag(sync=True)
    frame = t.Dict().tag(sync=True)
    busy = t.Bool(False).tag(sync=True)
    note = t.Unicode("").tag(sync=True)

    def attempt(self, act: Callable[[], None], what: str, show: Callable[[Sequence[Readout]], None]) -> None:
        """Do what may take a while, then show it: with how long `what` took, or with why it cannot be."""
        since = time.perf_counter()
        try:
            act()
            took = time.perf_counter() - since
            self.note = f"{what} in {took:.2f} s" if took >= WORTH_SAYING else ""
            show([])
        except (ValueError, RuntimeError) as error:
            show([Readout("cannot be shown", str(error), warn=True)])
        finally:
            self.busy = False


class Canvas:
    """How features become what is drawn: images as grey bytes [k, h w], points as float32 [k, 3] in a box about the origin."""

    def __init__(self, sets: Sequence[LabelledData], shape: tuple[int, int] | None) -> None:
        everything = torch.cat([data.features for data in sets])
        self.shape = shape
        self.low, self.high = float(everything.min()), float(everything.max())
        if shape is None:
            self._frame_points(everything)

    def _frame_points(self, everything: Float[Tensor, "n d"]) -> None:
        """Principal axes where there are more than three features, and a scale, one for all directions."""
        d = everything.shape[1]
        self.axes = torch.eye(d, 3, dtype=everything.dtype)
        if d > 3:
            self.axes = torch.linalg.svd(everything - everything.mean(0), full_matrices=False).Vh[:3].T
        ends = everything @ self.axes
        self.middle = (ends.amax(0) + ends.amin(0)) / 2
        self.radius = float((ends - self.middle).norm(dim=1).max()) or 1.0

    @property
    def flat(self) -> bool:
        """Whether points lie in a plane that need not be turned."""
        return self.shape is None and self.axes.shape[0] < 3

    def bytes(self, features: Float[Tensor, "k d"]) -> bytes:
        """What is sent of these rows."""
        if self.shape is None:
            return self.positions(features).astype(np.float32).tobytes()
        grey = (features - self.low) * (255 / ((self.high - self.low) or 1.0))
        return grey.clamp(0, 255).round().to(torch.uint8).numpy().tobytes()

    def positions(self, features: Float[Tensor, "k d"]) -> np.ndarray:
        """Rows in the box, |x| <= 1."""
        return ((features @ self.axes - self.middle) / self.radius).numpy()


def row(name: str, colour: str, data: bytes = b"") -> dict[str, Any]:
    """A named row of pictures or cloud of points."""
    return {"name": name, "colour": colour, "data": data}


def blocks(sets: Mapping[str, LabelledData], colours: Mapping[str, str]) -> list[dict[str, Any]]:
    """Blocks of soft labels, named and coloured by their data set."""
    return [{"name": name, "colour": colours[name], "classes": [str(each) for each in data.names]} for name, data in sets.items()]


def shown_backdrop(backdrop: Backdrop) -> dict[str, Any]:
    """A backdrop as arrays and a colour scale whose bright end is the good one."""
    scale = mpl.colormaps[SEQUENTIAL + ("_r" if backdrop.low_is_good else "")](np.linspace(0, 1, 256))[:, :3]
    # A little white lets the marks on it be seen everywhere.
    colours = np.round(255 * (0.25 + 0.75 * scale)).astype(np.uint8)
    return {
        "weights": backdrop.weights.float().numpy().tobytes(),
        "values": backdrop.values.float().numpy().tobytes(),
        "segments": backdrop.segments,
        "low": float(backdrop.values.min()),
        "high": float(backdrop.values.max()),
        "title": backdrop.title,
        "colours": colours.tobytes(),
    }


def shown_frame(
    canvas: Canvas, mix: Float[Tensor, "r d"], labels: Float[Tensor, "k L"], readouts: Sequence[Readout], stage: int, seq: int
) -> dict[str, Any]:
    """What moves, as the samples view takes it: for the stage of that number, and never before a frame of a lower `seq`."""
    return {
        "stage": stage,
        "seq": seq,
        "mix": canvas.bytes(mix),
        "labels": labels.float().numpy().tobytes(),
        "readouts": [vars(each) for each in readouts],
    }
