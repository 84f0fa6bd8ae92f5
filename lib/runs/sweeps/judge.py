"""Judge a study's claims on the whole of a sweep: with each seed as one independent repeat."""

import math
from collections.abc import Hashable

import pandas as pd

from lib.runs.records import OverSeeds
from lib.studies import Metric, ParamError, find
from lib.studies.claims import Claim

FEWEST = 3  # seeds that make an interval worth the name


def over_seeds(frame: pd.DataFrame) -> list[OverSeeds]:
    """At each point of the axes besides the seed: every claim judged on the metrics' means over the seeds.

    A run's own metric is a mean over its repeats; here it is one number of n = seeds, so that the interval covers all that
    the seed decides. Points with fewer than 3 seeds are left out, and so is a study that is not known here any more.
    """
    try:
        claims = find(frame.attrs["study"]).study.claims
    except ParamError:
        return []
    axes = [name for name in frame.attrs["axes"] if name != "seed"]
    parts = frame.groupby(axes, sort=False, observed=True) if axes else [((), frame)]
    return [
        OverSeeds(point=_point(axes, values), seeds=len(part), claims=[_judged(claim, part) for claim in claims])
        for values, part in parts
        if part["seed"].nunique() == len(part) >= FEWEST
    ]


def _point(axes: list[str], values: Hashable) -> dict[str, object]:
    given = values if isinstance(values, tuple) else (values,)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in zip(axes, given, strict=True)}


def _judged(claim: Claim, part: pd.DataFrame) -> dict[str, object]:
    """The claim's verdict; a metric that some run did not measure counts as not measured."""
    units = part.attrs["units"]
    found = {name: part[f"metric.{name}"] for name in claim.needs if f"metric.{name}" in part}
    evidence = {
        name: Metric.of(map(float, values), units.get(name, ""))
        for name, values in found.items()
        if all(map(math.isfinite, values))
    }
    return claim.judge(evidence)
