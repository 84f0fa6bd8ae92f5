"""Values and axes of a grid in words."""

from collections.abc import Mapping, Sequence
from typing import Any

SPELLED = 6  # so many values of an axis are told one by one


def cell(value: Any) -> Any:
    """A parameter's value as it stands in a table: lists as tuples, so that one can group by them."""
    return tuple(value) if isinstance(value, list) else value


def label(value: Any) -> str:
    """A parameter's value in a legend or on an axis."""
    if isinstance(value, list | tuple):
        return "+".join(map(label, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def plain(text: str) -> str:
    """Text for a figure in which a dollar is a dollar, not the beginning of a formula."""
    return text.replace("$", r"\$")


def spelled(values: Sequence[Any]) -> str:
    """The values of an axis: one by one while they are few, else as a range."""
    if len(values) <= SPELLED:
        return ", ".join(map(label, values))
    if isinstance(values[0], int) and list(values) == list(range(values[0], values[0] + len(values))):
        return f"{values[0]} to {values[-1]} ({len(values)} values)"
    return f"{label(values[0])}, {label(values[1])} ... {label(values[-1])} ({len(values)} values)"


def axes_in_words(axes: Mapping[str, Sequence[Any]]) -> str:
    """All axes of a grid: "seed 0 to 15 (16 values); width 16, 32"."""
    return "; ".join(f"{name} {spelled(values)}" for name, values in axes.items())
