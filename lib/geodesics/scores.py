"""Summaries of a transfer experiment: means with intervals over repeats, paired differences, rank correlations."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr, t

LEVEL = 0.95


def mean_interval(values: np.ndarray | pd.Series) -> dict[str, float]:
    """mean, sd (n - 1), low and high end of Student's 95 % interval of the mean, and n; NaN ends for a single value."""
    x = np.asarray(values, dtype=float)
    n, mean = len(x), float(x.mean())
    sd = float(x.std(ddof=1)) if n > 1 else float("nan")
    reach = float(t.ppf((1 + LEVEL) / 2, n - 1)) * sd / n**0.5 if n > 1 else float("nan")
    return {"mean": mean, "sd": sd, "low": mean - reach, "high": mean + reach, "n": n}


def arm_summary(arms: pd.DataFrame) -> pd.DataFrame:
    """One row for each arm: its accuracy over repeats in %, arms in their order."""
    return pd.DataFrame([{"arm": arm, **mean_interval(rows["accuracy"])} for arm, rows in arms.groupby("arm", sort=False)])


def arm_differences(arms: pd.DataFrame, arm: str) -> pd.DataFrame:
    """One row for each other arm: accuracy of `arm` less its own, repeat by repeat, in points. ValueError for an unknown arm."""
    wide = arms.pivot(index="repeat", columns="arm", values="accuracy")
    if arm not in wide:
        raise ValueError(f"arm: got {arm!r}, allowed are {', '.join(wide)}")
    others = [name for name in arms["arm"].unique() if name != arm]
    return pd.DataFrame([{"against": name, **mean_interval(wide[arm] - wide[name])} for name in others])


def grid_correlations(grid: pd.DataFrame) -> pd.Series:
    """Spearman's rank correlation of predicted distance and accuracy over the grid, one for each repeat.

    NaN where either is the same at all points and it is undefined.
    """
    return pd.Series({repeat: _spearman(rows["distance"], rows["accuracy"]) for repeat, rows in grid.groupby("repeat")})


def _spearman(a: pd.Series, b: pd.Series) -> float:
    return float("nan") if np.ptp(a) == 0 or np.ptp(b) == 0 else float(spearmanr(a, b).statistic)
