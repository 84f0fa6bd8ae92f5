"""The numbers that the study's claims rest on. No name of an attribute is in a name: mean is over attributes, and least, largest
and farthest are the number whose interval is worst (`lib.language.intervals`), so that a claim about it is one about all.

A margin is the mean over held-out texts of NLL(negative) - NLL(positive), in nats per token. Scores are in units of the judge's
own gap between held-out texts of the two sides: 0 is what it gives negative texts, 1 what it gives positive ones.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise

import numpy as np
from jaxtyping import Float64
from scipy.stats import rankdata

from lib.language.intervals import Drawn, Measured, Numbers, Share, bare, draws, farthest, highest, lowest, means, measured
from lib.language.margins import Curves, margins, over_sets, rise
from lib.language.measures_of_anchors import Measurements, geometry_measurements, text_measurements
from lib.language.measures_of_mixes import control_numbers, joint_numbers, mixture_numbers, tied_numbers
from lib.language.outcome import Outcome
from lib.language.setup import Setup
from lib.language.weights import NEGATIVE, POSITIVE
from lib.seeds import Seeds

NATS, CHANGE, GAP = "nats per token", "of the slider's change", "of the judge's gap"
UNITS = {  # of numbers that are no ranks, cosines or counts
    "margin/change_least": NATS, "margin/step_least": NATS, "likelihood/sides_least": NATS, "lambda/step_least": NATS,
    "margin/bend_farthest": CHANGE, "margin/bend_size": CHANGE, "extrapolation/margin_gain_least": CHANGE,
    "shuffled/share": CHANGE, "swapped/share": CHANGE, "mixture/gap_farthest": CHANGE,
    "entanglement/farthest": "of the own slider's change", "tied/share": "of the own slider's change",
    "apart/share": "of the own slider's change", "tied-apart/share": "of the own slider's change",
    "score/ends_mean": GAP, "score/ends_least": GAP, "score/slope_least": GAP, "extrapolation/score_gain_least": GAP,
    "turn/gain": GAP, "neutral/base": "bits per byte", "neutral/anchors_largest": "of the base's bits per byte",
    "barrier/largest": "of the chord's bits per byte", "extrapolation/near_cost_largest": "of the anchor's bits per byte",
    "extrapolation/far_cost_least": "of the anchor's bits per byte", "mixture/cost_farthest": "of the gain over the base",
    "entanglement/small": "of the pairs",
}  # fmt: skip

PerAlpha = Float64[np.ndarray, "V R"]


def measurements(outcome: Outcome, setup: Setup, seeds: Seeds) -> Measurements:
    """All numbers by name; each function below says which it adds. What was not measured at this size is absent."""
    of_texts, of_prompts = draws(setup.held_out, seeds.child("texts")), draws(setup.prompts, seeds.child("prompts"))
    groups = [(numbers, of_texts) for numbers in (margin_numbers, joint_numbers, control_numbers, mixture_numbers, tied_numbers)]
    groups += [(score_numbers, of_prompts), (turn_numbers, of_prompts)]
    groups += [(neutral_numbers, draws(setup.neutral, seeds.child("neutral")))]
    found: Measurements = {}
    for numbers, drawn in groups:
        found |= numbers(outcome, setup, drawn)
    return found | geometry_measurements(outcome, setup) | text_measurements(outcome, setup, seeds.child("judges"))


def margin_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """Of single sliders: `margin/change_least`, M(1) - M(0); `margin/step_least`, from one alpha in 0..1 to the next; as shares
    of the change `margin/bend_farthest`, how far M lies off the chord, `margin/bend_size`, the largest distance itself, and
    `extrapolation/margin_gain_least`, M(near) - M(1); `likelihood/sides_least`, by how much positive texts get likelier, or
    negative ones less likely.
    """
    n, changes, steps, bends, gains, sides = drawn.shape[1], {}, {}, {}, {}, {}
    for name in setup.attributes:
        sets = [margins(outcome, "alpha", name, repeat, drawn) for repeat in outcome.repeats]
        units = [m[1.0] - m[0.0] for m in sets]
        changes[name] = measured(units, n)
        for a, b in pairwise(setup.alphas):
            steps[f"{name}, {a:g} to {b:g}"] = measured([m[b] - m[a] for m in sets], n)
        bends |= {f"{name}, alpha {alpha:g}": _bend(sets, alpha, units, n) for alpha in setup.alphas[1:-1]}
        gains[name] = rise(sets, 1.0, setup.near, units, n)
        for side in (POSITIVE, NEGATIVE):
            sides[f"{name} {side}"] = over_sets(outcome, partial(_side_gain, outcome, name, side, drawn), drawn)
    return {
        "margin/change_least": lowest(changes), "margin/step_least": lowest(steps), "margin/bend_farthest": farthest(bends),
        "margin/bend_size": bare(max(abs(bend.value) for bend in bends.values()), len(bends)),
        "extrapolation/margin_gain_least": lowest(gains), "likelihood/sides_least": lowest(sides),
    }  # fmt: skip


def _bend(sets: Curves, alpha: float, units: list[Numbers], n: int) -> Measured:
    """How far a curve lies above the chord from 0 to 1, of rise `unit`, as a share of it."""
    return measured([Share(m[alpha] - m[0.0] - alpha * unit, unit) for m, unit in zip(sets, units, strict=True)], n)


def _side_gain(outcome: Outcome, name: str, side: str, drawn: Drawn, repeat: int) -> Numbers:
    """Nats per token by which a side's texts move the right way from alpha 0 to 1."""
    ends = [outcome.curve("alpha", name)[alpha] for alpha in (0.0, 1.0)]
    start, end = means(outcome.side(ends, name, side, repeat), drawn)
    return start - end if side == POSITIVE else end - start


def scores(
    outcome: Outcome, setup: Setup, attribute: str, repeat: int, drawn: Drawn, judge: str | None = None
) -> dict[float, Numbers]:
    """The share of the judge's gap at each alpha of one attribute's slider."""
    curve = outcome.curve("alpha", attribute)
    shares = outcome.shares(list(curve.values()), attribute, judge or setup.judges[0], repeat, setup.prompts)
    return dict(zip(curve, means(shares, drawn), strict=True))


def score_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """Of generated texts, by the first judge: `score/ends_mean`, `score/ends_least`, share at alpha 1 less share at 0;
    `score/slope_least`, of the straight line over alpha in 0..1; `score/spearman_least`, rank correlation of mean score and alpha
    there; `extrapolation/score_gain_least`, share at the near alpha less share at 1.
    """
    curves = {name: [scores(outcome, setup, name, repeat, drawn) for repeat in outcome.repeats] for name in setup.attributes}
    inside = {name: [np.stack([s[alpha] for alpha in setup.alphas]) for s in sets] for name, sets in curves.items()}
    n = drawn.shape[1]
    ends = {name: [s[-1] - s[0] for s in sets] for name, sets in inside.items()}
    return {
        "score/ends_mean": measured([np.mean(each, axis=0) for each in zip(*ends.values(), strict=True)], n),
        "score/ends_least": lowest({name: measured(sets, n) for name, sets in ends.items()}),
        "score/slope_least": lowest({name: measured([_slope(setup, s) for s in sets], n) for name, sets in inside.items()}),
        "score/spearman_least": lowest({name: measured(list(map(_rank_correlation, sets)), n) for name, sets in inside.items()}),
        "extrapolation/score_gain_least": lowest(
            {name: measured([s[setup.near] - s[1.0] for s in sets], n) for name, sets in curves.items()}
        ),
    }  # fmt: skip


def _slope(setup: Setup, values: PerAlpha) -> Numbers:
    return np.polyfit(setup.alphas, values, 1)[0]


def recorded(found: Measurements) -> Iterator[tuple[str, tuple[float, float, float, int], str]]:
    """Name, numbers and unit of each, as a run records them; the unit says what the number is of where it was chosen."""
    for name, one in found.items():
        told = ", ".join(filter(None, (UNITS.get(name, ""), one.what)))
        yield name, (one.value, one.low, one.high, one.n), told


def bits(outcome: Outcome, attribute: str, repeat: int, drawn: Drawn) -> dict[float, Numbers]:
    """Bits per byte of neutral prose at each alpha of one attribute's slider."""
    curve = outcome.curve("alpha", attribute)
    return dict(zip(curve, means(outcome.bits(list(curve.values()), repeat), drawn), strict=True))


def neutral_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """Of neutral prose: `neutral/base`, bits per byte of the model without anchors; `barrier/largest`, by which share the path
    within 0..1 rises above the chord from anchor to anchor; `neutral/anchors_largest`, by which share an anchor costs more than
    the base; `extrapolation/near_cost_largest` and `extrapolation/far_cost_least`, by which share it rises from alpha 1 to the
    near and to the far alpha (the latter absent where no alpha is far).
    """
    n, barriers, anchors, near, far = drawn.shape[1], {}, {}, {}, {}
    (mix,) = outcome.curve("base", "").values()
    base = means(outcome.bits([mix], 0), drawn)[0]
    for name in setup.attributes:
        sets = [bits(outcome, name, repeat, drawn) for repeat in outcome.repeats]
        for alpha in setup.alphas[1:-1]:
            barriers[f"{name}, alpha {alpha:g}"] = measured([_above_chord(b, alpha) for b in sets], n)
        for alpha, side in ((0.0, NEGATIVE), (1.0, POSITIVE)):
            anchors[f"{name} {side}"] = measured([b[alpha] / base - 1 for b in sets], n)
        near[name] = measured([b[setup.near] / b[1.0] - 1 for b in sets], n)
        if setup.far is not None:
            far[name] = measured([b[setup.far] / b[1.0] - 1 for b in sets], n)
    numbers = {"neutral/base": measured([base], n), "neutral/anchors_largest": highest(anchors)}
    numbers |= {"barrier/largest": highest(barriers), "extrapolation/near_cost_largest": highest(near)}
    return numbers | ({"extrapolation/far_cost_least": lowest(far)} if far else {})


def _above_chord(b: Mapping[float, Numbers], alpha: float) -> Numbers:
    return b[alpha] / ((1 - alpha) * b[0.0] + alpha * b[1.0]) - 1


def turn_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """`turn/gain`: by how much the second half of a text follows a slider that was moved in between: share after 1 less share
    after 0, mean over both first halves.
    """

    def gain(repeat: int) -> Numbers:
        found = means(outcome.turn(setup.judges[0], repeat), drawn)
        return (found[:, 1] - found[:, 0]).mean(0)

    return {"turn/gain": over_sets(outcome, gain, drawn)}


def _rank_correlation(values: PerAlpha) -> Numbers:
    """Spearman's correlation of values with their place (ties get their mean rank); 0 where all are equal."""
    ranks = rankdata(values, axis=0) - (len(values) + 1) / 2
    places = np.arange(len(values)) - (len(values) - 1) / 2
    size = np.sqrt((ranks**2).sum(0) * (places**2).sum())
    return np.divide(places @ ranks, size, out=np.zeros(values.shape[1]), where=size > 0)
