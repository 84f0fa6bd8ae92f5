"""The report of a sweep: once all its runs have been tried, its folder gets a table, a figure, what failed, and a summary."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lib.runs.places import replaced
from lib.runs.records import FailedRow, Plan, Summary
from lib.runs.stored import StoredRun, Unreadable, read_plan, read_run

__all__ = ["FailedRow", "Summary", "write_report"]

FIGURE_FILES = ("figure.png", "figure.svg")
NO_RUN = "No run finished, so there is no figure."
NO_METRIC = "No run recorded a metric, so there is no figure."


def write_report(folder: Path, failures: Sequence[FailedRow]) -> Summary:
    """Write table.parquet, figure.png, figure.svg, failed.json and, last, summary.json of the sweep in `folder`.

    What a run's folder holds decides: a run that is there and whole is in the table, even where an earlier try failed.
    A run that is in neither place, or whose record is damaged, is listed as missing with the reason. Each file appears
    whole or not at all, and replaces the one of an earlier report. Raises ValueError where the plan cannot be read or
    does not know a failed run.
    """
    folder = folder.resolve()
    try:
        plan = read_plan(folder)
    except Unreadable as error:
        raise ValueError(f"sweep: {error}") from None
    runs, lost = gather(plan, folder.parents[1], failures)
    from lib.runs.sweeps.table import tabulate  # pandas only now: the engine starts without it

    frame = tabulate(plan, runs)
    with replaced(folder / "table.parquet") as file:
        frame.to_parquet(file)
    caption = _draw(frame, folder)
    with replaced(folder / "failed.json") as file:
        file.write_bytes(TypeAdapter(list[FailedRow]).dump_json(lost, indent=1))
    summary = _summary(runs, lost, frame, caption)
    with replaced(folder / "summary.json") as file:
        file.write_text(summary.model_dump_json(indent=1), encoding="utf-8")
    return summary


def gather(plan: Plan, home: Path, failures: Sequence[FailedRow]) -> tuple[list[StoredRun], list[FailedRow]]:
    """The plan's finished runs under `home`, and a row for each of the others, both in grid order."""
    told = {row.run_id: row for row in failures}
    if strangers := sorted(set(told) - set(plan.runs)):
        raise ValueError(f"failures: got {', '.join(strangers)}, allowed: runs of the sweep {plan.sweep_id}")
    runs, lost = [], []
    for run_id, params in zip(plan.runs, plan.points(), strict=True):
        try:
            runs.append(_planned(read_run(home / run_id), plan, params))
        except Unreadable as error:
            reason = f"{error.damage.path.name}: {error.damage.why}" if (home / run_id).is_dir() else "has not been finished"
            lost.append(told.get(run_id) or FailedRow(run_id, params, reason, state="missing"))
    return runs, lost


def _planned(run: StoredRun, plan: Plan, params: dict[str, Any]) -> StoredRun:
    """The run, if it is the one that the plan has at this point. Raises Unreadable."""
    record, file = run.results, run.folder / "results.json"
    if record.study != plan.study:
        raise Unreadable(file, f"is a run of {record.study}")
    for name in dict.fromkeys([*params, *record.params]):
        if name not in params or name not in record.params or record.params[name] != params[name]:
            given, planned = record.params.get(name, "nothing"), params.get(name, "nothing")
            raise Unreadable(file, f"{name}: got {given!r}, planned {planned!r}")
    return run


def _draw(frame: Any, folder: Path) -> str | None:
    """Write the figure and return its caption; where there is nothing to draw, no figure stays."""
    from lib.runs.sweeps.figure import draw

    drawn = draw(frame)
    if drawn is None:
        for name in FIGURE_FILES:
            (folder / name).unlink(missing_ok=True)
        return None
    figure, caption = drawn
    for name in FIGURE_FILES:
        with replaced(folder / name) as file:
            figure.savefig(file, dpi=160, metadata={"Date": None} if name.endswith(".svg") else None)
    return caption


def _summary(runs: Sequence[StoredRun], lost: Sequence[FailedRow], frame: Any, caption: str | None) -> Summary:
    from lib.runs.sweeps.judge import over_seeds
    from lib.runs.sweeps.tally import tally

    claims = [name for name in frame.columns if name.startswith("claim.")]
    costs = [run.provenance for run in runs]
    states = [row.state for row in lost]
    return Summary(
        finished=len(runs), failed=states.count("failed"), missing=states.count("missing"),
        claims={name.removeprefix("claim."): tally(frame[name].dropna()) for name in claims},
        over_seeds=over_seeds(frame), finished_utc=datetime.now(UTC), wall_s=round(sum(cost.wall_s for cost in costs), 3),
        cpu_s=round(sum(cost.cpu_s for cost in costs), 3), peak_rss_mb=max((cost.peak_rss_mb for cost in costs), default=0.0),
        caption=caption, note="" if caption else NO_METRIC if runs else NO_RUN,
    )  # fmt: skip
