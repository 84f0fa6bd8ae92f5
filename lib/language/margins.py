"""Margins along curves of mixes, and changes of them in units of other changes."""

from collections.abc import Callable, Mapping, Sequence

from lib.language.intervals import Drawn, Measured, Numbers, Share, means, measured
from lib.language.outcome import Outcome

Curves = Sequence[Mapping[float, Numbers]]  # of each set of anchors


def over_sets(outcome: Outcome, statistic: Callable[[int], Numbers | Share], drawn: Drawn) -> Measured:
    """A statistic of each set of anchors, as one number."""
    return measured([statistic(repeat) for repeat in outcome.repeats], drawn.shape[1])


def margins(outcome: Outcome, group: str, attribute: str, repeat: int, drawn: Drawn) -> dict[float, Numbers]:
    """The margin of an attribute at each value of a curve that moves it."""
    curve = outcome.curve(group, attribute)
    return dict(zip(curve, means(outcome.margins(list(curve.values()), attribute, repeat), drawn), strict=True))


def change(outcome: Outcome, attribute: str, repeat: int, drawn: Drawn) -> Numbers:
    """M(1) - M(0) of the attribute's own slider."""
    m = margins(outcome, "alpha", attribute, repeat, drawn)
    return m[1.0] - m[0.0]


def rise(sets: Curves, start: float, end: float, units: Sequence[Numbers], n: int) -> Measured:
    """From one place of a curve to another, as a share of each set's unit."""
    return measured([Share(m[end] - m[start], unit) for m, unit in zip(sets, units, strict=True)], n)
