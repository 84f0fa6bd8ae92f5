"""The tidy table of a sweep: a row for each finished run, in grid order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lib.runs.records import Plan
from lib.runs.stored import StoredRun
from lib.runs.sweeps.words import cell
from lib.studies import ParamError, find
from lib.studies.claims import HELD, NOT_HELD, NOT_TESTED

VERDICTS = [HELD, NOT_HELD, NOT_TESTED]
FACTS: dict[str, Callable[[StoredRun], Any]] = {
    "id": lambda run: run.folder.name,
    "size": lambda run: run.results.size,
    "device": lambda run: run.results.device,
    "threads": lambda run: run.provenance.threads,
    "started_utc": lambda run: run.provenance.started_utc,
    "wall_s": lambda run: run.provenance.wall_s,
    "cpu_s": lambda run: run.provenance.cpu_s,
    "peak_rss_mb": lambda run: run.provenance.peak_rss_mb,
}


def tabulate(plan: Plan, runs: Sequence[StoredRun]) -> pd.DataFrame:
    """The table of `runs`, which stand in grid order.

    Columns: run.<fact>; each parameter under its own name, the axes first, lists as tuples; metric.<name> (the mean),
    metric.<name>.low, .high (95 % over the repeats within that run) and .n; claim.<key> (the verdict). What a run did not
    measure is NaN. `attrs` tells what the columns mean: axes, headline, title, units, and each claim's metrics.
    """
    columns: dict[str, Any] = {f"run.{name}": [fact(run) for run in runs] for name, fact in FACTS.items()}
    columns |= {name: [cell(run.results.params[name]) for run in runs] for name in plan.parameters}
    for name in _union(run.results.metrics for run in runs):
        columns |= _measured(name, runs)
    for key in _union((claim.key for claim in run.results.claims) for run in runs):
        columns[f"claim.{key}"] = _verdicts(key, runs)
    frame = pd.DataFrame(columns)
    frame.attrs = _meaning(plan, runs)
    return frame


def _union(names: Iterable[Iterable[str]]) -> list[str]:
    """All names, each once, in order of appearance."""
    return list(dict.fromkeys(name for some in names for name in some))


def _measured(name: str, runs: Sequence[StoredRun]) -> dict[str, Any]:
    """The four columns of a metric."""
    found = [run.results.metrics.get(name) for run in runs]
    numbers = {
        f"metric.{name}{end}": np.array([getattr(metric, part, None) for metric in found], dtype=float)  # None is NaN
        for part, end in (("mean", ""), ("low", ".low"), ("high", ".high"))
    }
    return numbers | {f"metric.{name}.n": pd.array([metric.n if metric else None for metric in found], dtype="Int64")}


def _verdicts(key: str, runs: Sequence[StoredRun]) -> pd.Categorical:
    """The column of a claim."""
    return pd.Categorical(
        [next((claim.verdict for claim in run.results.claims if claim.key == key), None) for run in runs], categories=VERDICTS
    )


def _meaning(plan: Plan, runs: Sequence[StoredRun]) -> dict[str, Any]:
    """What the table's columns mean."""
    evidence: dict[str, list[str]] = {}
    for claim in (claim for run in runs for claim in run.results.claims):
        known = evidence.setdefault(claim.key, [])
        known += [name for name in claim.evidence if name not in known]
    return {
        "study": plan.study, "title": plan.title, "size": plan.size, "sweep_id": plan.sweep_id, "axes": plan.axes,
        "headline": plan.headline, "planned": len(plan.runs), "evidence": evidence, "parameter_units": _parameter_units(plan),
        "units": {name: metric.unit for run in runs for name, metric in run.results.metrics.items()},
    }  # fmt: skip


def _parameter_units(plan: Plan) -> dict[str, str]:
    """Units as the study declares them; stored results may outlive their study."""
    try:
        fields = find(plan.study).study.params.model_fields
    except ParamError:
        return {}
    extras = {name: fields[name].json_schema_extra for name in plan.axes if name in fields}
    return {name: extra["unit"] for name, extra in extras.items() if isinstance(extra, dict) and extra.get("unit")}
