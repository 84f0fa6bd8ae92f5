"""Curves of single seeds over scale: how linear, how much of a breakthrough, and which one a reader would have been shown.

A seed's curve joins the runs with the same seed number at all scales. Their parameters have different shapes, so the number is
only a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64

from lib.emergence.checks import Values, check_least, checked_runs, checked_values
from lib.seeds import Seeds

CAP = 100.0
JUMP = 0.4  # gain between two neighbouring scales that a reader would call sudden (ours)

Curves = Float64[np.ndarray, "*K n"]
Scores = Float64[np.ndarray, "*K"]


@dataclass(frozen=True, eq=False)
class Breakthrough:
    """`value` [K], at most CAP in size, and whether it was `capped` [K] there, as where the median step is 0."""

    value: Scores
    capped: Bool[np.ndarray, "*K"]


@dataclass(frozen=True, eq=False)
class Picked:
    """Seed numbers of the most `emergent` and the most `linear` curve, and the scores of all in a `table`, one row a seed.

    Its columns: seed, linearity, breakthroughness, capped, improvement.
    """

    emergent: int
    linear: int
    table: pd.DataFrame


def improvement(y: Values) -> Scores:
    """I = sign(argmax y - argmin y) (max y - min y) of curves y [*K, n], extremes where they first occur [srivastava2023].

    Errors: ValueError for fewer than two scales and entries that are not finite.
    """
    y = _checked(y)
    return np.asarray(np.sign(y.argmax(-1) - y.argmin(-1)) * np.ptp(y, axis=-1))


def linearity(y: Values) -> Scores:
    """L = I / sqrt(mean_i d_i^2), d_i = y_{i+1} - y_i [srivastava2023]: n - 1 for a straight line, 0 for a flat one, never more.

    Errors: ValueError as in `improvement`.
    """
    y = _checked(y)
    squares = np.asarray(_steps(y).mean(-1))
    return np.divide(np.sign(improvement(y)), np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)


def breakthroughness(y: Values) -> Breakthrough:
    """B = I / sqrt(median_i d_i^2) [srivastava2023]: n - 1 for a straight line, 0 for a flat one, capped at +-100.

    It would be infinite where the median step is 0, which a coarse metric makes common. Errors: ValueError as in `improvement`.
    """
    y = _checked(y)
    typical, sign = np.asarray(np.sqrt(np.median(_steps(y), axis=-1))), np.sign(improvement(y))
    size = np.divide(1.0, typical, out=np.full_like(typical, np.inf), where=typical > 0)
    capped = (size > CAP) & (sign != 0)
    return Breakthrough(np.asarray(sign * np.minimum(size, CAP)), np.asarray(capped))


def pick_seeds(curves: Values) -> Picked:
    """The seed with the largest B and the seed with the largest L of curves [K, n].

    B and L don't depend on the height of a curve, so ties are common: of equal B the largest L wins (the one that goes back and
    forth least), of equal L the largest B, then the largest improvement, then the lowest number. Equal is equal to 9 decimals.
    Errors: ValueError as in `improvement`, and for curves with another number of axes.
    """
    y = _checked(curves)
    if y.ndim != 2:
        raise ValueError(f"curves: got shape {y.shape}, allowed is (seeds, scales)")
    line, sudden, rise = linearity(y), breakthroughness(y), improvement(y)
    scores = {"linearity": line, "breakthroughness": sudden.value, "capped": sudden.capped, "improvement": rise}
    table = pd.DataFrame({"seed": np.arange(len(y)), **scores})
    l9, b9, i9 = (np.round(x, 9) for x in (line, sudden.value, rise))
    lowest = -np.arange(len(y))
    return Picked(int(np.lexsort((lowest, i9, l9, b9))[-1]), int(np.lexsort((lowest, i9, b9, l9))[-1]), table)


def looks_emergent(y: Values, jump: float | int = JUMP) -> Bool[np.ndarray, "*K"]:
    """Whether a curve gains at least `jump` between two neighbouring scales (ours). ValueError as in `improvement`."""
    return np.asarray(np.diff(_checked(y)).max(-1) >= jump - 1e-12)  # shares differ by rounded quotients


def affordable_seeds(
    values: Values,
    scales: Sequence[float | int],
    afford: Sequence[int],
    *,
    seeds: Seeds,
    jump: float | int = JUMP,
    draws: int = 1000,
) -> pd.DataFrame:
    """afford, report ("best" or "median"), emergent, n: how often m seeds show a sudden curve.

    Whoever can afford m of the K seeds in `values` [S, K] (accuracies) reports at each scale their best, or their median.
    `emergent`: share of n = `draws` choices of m different seeds in which that curve `looks_emergent`.
    Errors: ValueError for accuracies as in `seed_statistics`, fewer than two scales, m outside 1..K, and fewer than one draw.
    """
    runs, rows = checked_runs(values, scales), []
    check_least(scales=(len(runs), 2), draws=(draws, 1))
    for m in afford:
        if not 1 <= m <= runs.shape[1]:
            raise ValueError(f"afford: got {m}, allowed are 1 to {runs.shape[1]} seeds")
        rng = seeds.child("afford", m).numpy()
        order = rng.permuted(np.tile(np.arange(runs.shape[1]), (draws, 1)), axis=1)
        chosen = runs[:, order[:, :m]]  # [S, draws, m]
        for report, curve in (("best", chosen.max(-1)), ("median", np.median(chosen, axis=-1))):
            rows.append((m, report, float(looks_emergent(curve.T, jump).mean()), draws))
    return pd.DataFrame(rows, columns=["afford", "report", "emergent", "n"])


def _checked(y: Values) -> Curves:
    y = checked_values("curves", y)
    if y.shape[-1] < 2:
        raise ValueError(f"curves: got {y.shape[-1]} scales, allowed are 2 or more")
    return y


def _steps(y: Curves) -> Float64[np.ndarray, "*K _"]:
    """Squared steps in units of the curve's range (0 for a flat curve), so that small curves don't vanish."""
    reach = np.ptp(y, axis=-1)[..., None]
    steps = np.diff(y)
    return np.divide(steps, reach, out=np.zeros_like(steps), where=reach > 0) ** 2
