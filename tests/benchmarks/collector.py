"""Runs the benchmarks of a folder and keeps their rows in benchmarks.json, which the gallery shows.

A benchmark is a file bench_<name>.py with `rows(device=...)`, a list of dicts. Each needs the fields of
`lib.runs.records.Benchmark`: name, ours_s, peer, peer_s, ratio = peer_s / ours_s, repeats, device, size; more may follow.
"""

import importlib.util
import json
import math
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lib.runs.records import Benchmark

Row = dict[str, Any]


def names(folder: Path) -> list[str]:
    """The benchmarks of a folder: bench_population.py is `population`."""
    return [path.stem.removeprefix("bench_") for path in sorted(folder.glob("bench_*.py"))]


def chosen(folder: Path, only: Sequence[str]) -> list[str]:
    """All benchmarks, or those named. Raises ValueError for a name that is none."""
    for name in only:
        if name not in names(folder):
            raise ValueError(f"--only: got {name!r}, allowed: {', '.join(names(folder)) or 'nothing, there is no benchmark'}")
    return [name for name in names(folder) if not only or name in only]


def measure(folder: Path, name: str, device: str) -> list[Row]:
    """Run one benchmark; its rows, each with `bench`, the name it came from. Raises ValueError for a malformed row."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", folder / f"bench_{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    rows = [{**row, "bench": name} for row in module.rows(device=device)]
    for row in rows:
        try:
            checked = Benchmark.model_validate(row)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise ValueError(f"bench_{name}.py: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
        if not min(checked.ours_s, checked.peer_s, checked.ratio) > 0:
            raise ValueError(f"bench_{name}.py: ours_s, peer_s, ratio: got {row}, allowed: positive numbers")
    return rows


def stored(path: Path) -> list[Row]:
    """The rows that are there already. Raises ValueError where the file is damaged, rather than lose what it held."""
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_bytes())
    except ValueError:
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: got something else than a JSON list of rows; move it away and run again")
    return rows


def merge(old: Sequence[Row], new: Sequence[Row], present: Sequence[str]) -> list[Row]:
    """Old rows that still say something, then the new ones.

    Dropped are rows of a benchmark that is gone, and those measured again: same benchmark, same device.
    """
    renewed = {(row["bench"], row["device"]) for row in new}
    return [row for row in old if row.get("bench") in present and (row["bench"], row.get("device")) not in renewed] + [*new]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Replace the file in one move: readers see the old rows or the new ones. Raises ValueError for NaN."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def collect(folder: Path, path: Path, device: str = "cpu", only: Sequence[str] = ()) -> Iterator[tuple[str, list[Row]]]:
    """Run the benchmarks and yield (name, rows) after each, when its rows are on disk: none is lost to the next one's failure."""
    stored(path)  # a damaged file is refused before minutes of work
    for name in chosen(folder, only):
        rows = measure(folder, name, device)
        write(path, merge(stored(path), rows, names(folder)))
        yield name, rows


def noise(row: Row) -> str:
    """The ratio with the noise of the machine beside it, where the benchmark measured that."""
    spread = row.get("noise")
    return f"{row['ratio']:.2f}" + (f" ± {spread:.2f}" if isinstance(spread, float) and math.isfinite(spread) else "")
