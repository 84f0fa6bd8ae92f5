"""A small chart of accuracies as SVG, filled from back to front."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

import numpy as np

from lib.explorers.soft_labels_curves import Point

WIDTH, HEIGHT = 440, 222
LEFT, RIGHT, UPPER, LOWER = 34, 426, 58, 186  # of the field in which points may lie
INSET, GAP = 16, 8  # pixels: of the first and last place from the edges; between the names of two places


class Panel:
    """Accuracy in % upwards, and places along x at `spots` (0 to 1, ascending) with names below them."""

    def __init__(self, title: str, note: str, names: Sequence[str], spots: Sequence[float], span: tuple[float, float]) -> None:
        self.low, self.high = span
        self.spots = spots
        self.parts = [text(0, 14, title, "sl-title"), text(0, 33, note, "sl-sub")]
        for tick in ticks(*span):
            self.parts.append(f'<line class="sl-grid" x1="{LEFT}" x2="{RIGHT}" y1="{self.y(tick)}" y2="{self.y(tick)}"/>')
            self.parts.append(text(LEFT - 6, self.y(tick) + 4, f"{tick:g}", "sl-tick", "end"))
        taken = -math.inf
        for i, name in enumerate(names):
            half = 3.5 * len(name)
            if self.x(i) - half >= taken:
                self.parts.append(text(self.x(i), LOWER + 16, name, "sl-tick", "middle"))
                taken = self.x(i) + half + GAP

    def x(self, place: float) -> float:
        """Where a place is, or what lies between two."""
        spot = float(np.interp(place, np.arange(len(self.spots)), self.spots))
        return round(LEFT + INSET + (RIGHT - LEFT - 2 * INSET) * spot, 1)

    def y(self, accuracy: float) -> float:
        """Where an accuracy is; what lies beyond the ends is put there."""
        share = (min(max(accuracy, self.low), self.high) - self.low) / (self.high - self.low)
        return round(LOWER - share * (LOWER - UPPER), 1)

    def axis(self, words: str) -> None:
        """What the places are."""
        self.parts.append(text((LEFT + RIGHT) / 2, HEIGHT - 3, words, "sl-tick", "middle"))

    def level(self, accuracy: float, colour: str, name: str) -> None:
        """A dotted line across, named at its right end."""
        y = self.y(accuracy)
        self.parts.append(f'<line class="sl-level" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}" stroke="{colour}"/>')
        self.parts.append(text(RIGHT, y - 4, name, "sl-tick sl-halo", "end", colour))

    def line(self, at: Sequence[float], points: Sequence[Point], colour: str, width: float = 2, dash: str = "none") -> None:
        """Straight lines from point to point, for the eye."""
        path = self._path((x, each.accuracy) for x, each in zip(at, points, strict=True))
        style = f'stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"'
        self.parts.append(f'<polyline points="{path}" fill="none" {style}/>')

    def curve(self, at: Sequence[float], points: Sequence[Point], colour: str, name: str, dash: str = "none") -> None:
        """Measured points on a line, their intervals as a band (as a bar where there is one alone)."""
        pairs = list(zip(at, points, strict=True))
        band = [(x, each.ends[1]) for x, each in pairs] + [(x, each.ends[0]) for x, each in reversed(pairs)]
        edge = f'stroke="{colour}" stroke-opacity="0.35"' if len(pairs) == 1 else ""
        self.parts.append(f'<polygon points="{self._path(band)}" fill="{colour}" fill-opacity="0.13" {edge}/>')
        self.line(at, points, colour, dash=dash)
        for x, each in pairs:
            tip = escape(f"{name}, {each.at}: {said(each)}")
            spot = f'cx="{self.x(x)}" cy="{self.y(each.accuracy)}" r="3.6" fill="{colour}"'
            self.parts.append(f"<circle {spot}><title>{tip}</title></circle>")

    def cursor(self, place: float) -> None:
        """The present place."""
        self.parts.append(f'<line class="sl-cursor" x1="{self.x(place)}" x2="{self.x(place)}" y1="{UPPER - 4}" y2="{LOWER}"/>')

    def ring(self, place: float, accuracy: float, colour: str) -> None:
        """The measured point that is meant."""
        self.parts.append(f'<circle class="sl-ring" cx="{self.x(place)}" cy="{self.y(accuracy)}" r="7" stroke="{colour}"/>')

    def choices(self, field: str, values: Sequence[float]) -> None:
        """What a click near each place asks for."""
        at = [self.x(i) for i in range(len(values))]
        edges = [LEFT, *((a + b) / 2 for a, b in pairwise(at)), RIGHT]
        for value, (left, right) in zip(values, pairwise(edges), strict=True):
            box = f'x="{left:.1f}" width="{right - left:.1f}" y="{UPPER - 8}" height="{HEIGHT - UPPER}"'
            self.parts.append(f'<rect class="sl-pick" data-field="{field}" data-value="{value:g}" {box}/>')

    def svg(self, words: str) -> str:
        """The picture, with what it shows in words."""
        return picture(HEIGHT, words, self.parts)

    def _path(self, points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x)},{self.y(value)}" for x, value in points)


def picture(height: float, words: str, parts: Iterable[str]) -> str:
    """An SVG as wide as its place."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words)}">{"".join(parts)}</svg>'


def text(x: float, y: float, words: str, kind: str, anchor: str = "start", colour: str = "") -> str:
    """Words at a place."""
    fill = f' style="fill:{colour}"' if colour else ""
    return f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}"{fill}>{escape(words)}</text>'


def said(point: Point) -> str:
    """An accuracy with its interval, if it has one."""
    return f"{point.accuracy:.1f} %" + (f" ({point.low:.1f} to {point.high:.1f})" if point.known else "")


def ticks(low: float, high: float) -> list[float]:
    """A few round numbers between two multiples of 10."""
    step = 5 if high - low <= 20 else 10 * math.ceil((high - low) / 50)
    return [low + step * i for i in range(int((high - low) / step) + 1)]


def span(points: Iterable[Point], more: Iterable[float] = ()) -> tuple[float, float]:
    """Multiples of 10 around all intervals, within 0 to 100."""
    ends = [end for each in points for end in each.ends] + list(more)
    low, high = min(max(10 * math.floor(min(ends) / 10), 0), 90), min(10 * math.ceil(max(ends) / 10), 100)
    return low, max(high, low + 10)
