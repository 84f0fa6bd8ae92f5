"""Verdicts of a claim counted over runs, with Wilson's interval for the share in which it held."""

from collections import Counter
from collections.abc import Iterable

from scipy.stats import binomtest

from lib.runs.records import ClaimTally
from lib.studies.claims import HELD, NOT_HELD, NOT_TESTED


def tally(verdicts: Iterable[str]) -> ClaimTally:
    """Counts, and the 95 % interval of held / tested; runs in which the claim was not tested tell nothing about it.

    Wilson's interval: all p with |k/n - p| <= z sqrt(p (1 - p) / n), k held of n tested, z = 1.96.
    """
    count = Counter(verdicts)
    held, tested = count[HELD], count[HELD] + count[NOT_HELD]
    bounds = binomtest(held, tested).proportion_ci(0.95, method="wilson") if tested else None
    return ClaimTally(
        held=held, not_held=count[NOT_HELD], not_tested=count[NOT_TESTED],
        low=float(bounds.low) if bounds else None, high=float(bounds.high) if bounds else None,
    )  # fmt: skip
