"""A sweep's table for notebooks, in one line: `sweep_table("weight-ensembles")`."""

from pathlib import Path

import numpy as np
import pandas as pd

from lib.runs.places import outputs_root
from lib.runs.records import Plan
from lib.runs.stored import PUBLISHED, Unreadable, read_plan, read_summary
from lib.runs.sweeps.words import cell
from lib.studies.registry import HOME


def sweep_table(study: str, sweep: str | Path | None = None, *, published: bool = False) -> pd.DataFrame:
    """The table of a finished sweep of `study`, a row for each finished run in grid order.

    `sweep` is a sweep's id, the beginning of one, or the path of a sweep's folder; without it the latest finished sweep is
    read. With `published`, among the stored results that come with the suite, wherever the outputs are. Columns are as
    `tabulate` describes them; `attrs` carries axes, headline, title, sweep_id and units.
    Raises ValueError that names what was given and what there is.
    """
    folder = _folder(study, sweep, HOME / "outputs" / PUBLISHED if published else outputs_root())
    try:
        plan, summary = read_plan(folder), read_summary(folder)
    except Unreadable as error:
        raise ValueError(f"sweep: {error}") from None
    if plan.study != study:
        raise ValueError(f"study: got {study!r}, but {folder} is a sweep of {plan.study}")
    if summary is None:
        raise ValueError(f"sweep: {plan.sweep_id} of {study} is not finished; the command that began it resumes it")
    return _read(folder / "table.parquet", plan)


def _folder(study: str, sweep: str | Path | None, root: Path) -> Path:
    """The folder that is meant. Raises ValueError."""
    if sweep is not None and (folder := Path(sweep).expanduser()).parent != Path() and folder.is_dir():
        return folder
    known = _known(study, root)
    if sweep is None:
        return _latest(study, known)
    found = [folder for folder in known if folder.name.startswith(str(sweep))] if str(sweep) else []
    if len(found) != 1:
        what = "there is no such sweep" if not found else f"that begins {len(found)} of them"
        raise ValueError(f"sweep: got {str(sweep)!r}, but {what}; {study} has {', '.join(f.name for f in known)}")
    return found[0]


def _known(study: str, root: Path) -> list[Path]:
    """The study's sweeps, planned or finished. Raises ValueError where there is none."""
    every = sorted(file.parent for file in root.glob("*/sweeps/*/plan.json"))
    if not (mine := [folder for folder in every if folder.parents[1].name == study]):
        others = ", ".join(dict.fromkeys(folder.parents[1].name for folder in every))
        raise ValueError(
            f"study: got {study!r}, which has no sweep; {f'there are sweeps of {others}' if others else 'there is none at all'}"
        )
    return mine


def _latest(study: str, folders: list[Path]) -> Path:
    """The sweep that finished last; damaged ones are passed over. Raises ValueError where none has."""
    moments = {}
    for folder in folders:
        try:
            summary = read_summary(folder)
        except Unreadable:
            continue
        if summary:
            moments[folder] = summary.finished_utc
    if not moments:
        raise ValueError(f"sweep: got none, and no sweep of {study} is finished; there are {', '.join(f.name for f in folders)}")
    return max(moments, key=lambda folder: moments[folder])


def _read(file: Path, plan: Plan) -> pd.DataFrame:
    """The table with its lists as tuples. Raises ValueError where it cannot be read."""
    try:
        frame = pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"sweep: {file} cannot be read: {' '.join(str(error).split())}") from None
    for name in plan.parameters:
        if len(frame) and isinstance(frame[name].iloc[0], np.ndarray):
            frame[name] = pd.Series([cell(value.tolist()) for value in frame[name]], index=frame.index, dtype=object)
    return frame
