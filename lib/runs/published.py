"""The run of a study that came with the suite, for notebooks: `published_run("random-scaling").table("seeds")`."""

from lib.runs.stored import PUBLISHED, RESERVED, StoredRun, Unreadable, read_run
from lib.studies.registry import HOME


def published_run(study: str) -> StoredRun:
    """The stored run of `study` in outputs/published, of several the largest, then the latest.

    Raises ValueError that names the studies that have one, or the file that is damaged.
    """
    root = HOME / "outputs" / PUBLISHED
    folders = [file.parent for file in root.glob("*/*/provenance.json") if file.parent.name not in RESERVED]
    mine = [folder for folder in folders if folder.parent.name == study]
    if not mine:
        known = ", ".join(sorted({folder.parent.name for folder in folders}))
        there = f"there are runs of {known}" if known else "there is none at all"
        raise ValueError(f"study: got {study!r}, which has no published run; {there}")
    try:
        return max((read_run(folder, published=True) for folder in mine), key=lambda run: run.preference)
    except Unreadable as error:
        raise ValueError(f"study: {error}") from None
