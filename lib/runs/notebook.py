"""The record of a run, kept from inside the notebook: start, metric, table, figure, certify, finish."""

import ast
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lib.parallel import imap
from lib.studies import Entry, Metric, ParamError, StudyParams, find

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SCHEMA = 1
LONGEST_TABLE = 60  # rows that are shown
S = TypeVar("S")
T = TypeVar("T")


def start(slug: str, namespace: Mapping[str, Any]) -> "Run":
    """Begin a run of study `slug` from a notebook: `run = start("...", globals())`.

    Parameters are the names of the study's schema found in `namespace`; they are checked here too, so that plain
    papermill and Run All refuse what `studies run` refuses. Raises ParamError.
    """
    from lib.figures import use_style

    entry = find(slug)
    fields = entry.study.params.model_fields
    if strangers := [name for name in _injected(namespace.get("In", [])) if name not in fields]:
        raise ParamError(f"{strangers[0]}: there is no such parameter; allowed: {', '.join(fields)}")
    params = entry.study.params.parse({name: namespace[name] for name in fields if name in namespace})
    use_style()
    return Run(entry, params, os.environ.get("STUDIES_RUN_DIR"))


def _injected(history: list[str]) -> list[str]:
    """Names that papermill assigned in the cell it injects; papermill itself only warns of unknown ones."""
    cells = [ast.parse(source).body for source in history if source.startswith("# Parameters\n")]
    return [
        t.id for body in cells for node in body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)
    ]


class Run:
    """What a notebook measured. With a folder (set by `studies run`) it is also written down; without one, only shown."""

    def __init__(self, entry: Entry, params: StudyParams, folder: str | Path | None) -> None:
        self.study, self.params = entry.study, params
        self.size = entry.size_of(params)
        self.folder = Path(folder) if folder else None
        self.metrics: dict[str, Metric] = {}
        self.figures: list[dict[str, Any]] = []
        self.tables: list[dict[str, Any]] = []
        self.certificates: list[dict[str, Any]] = []
        self.device = "cpu"
        self.results: dict[str, Any] | None = None

    def __repr__(self) -> str:
        where = "recorded under outputs/" if self.folder else "shown here only; `studies run` also records it"
        return f"{self.study.title}: {self.size} size, seed {self.params.seed}, {where}"

    def progress(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
        """Iterate with a text progress bar that reads well in a notebook, a terminal and a log."""
        import sys

        from tqdm import tqdm

        return iter(tqdm(items, desc=what, total=total, file=sys.stdout, mininterval=0.5, ncols=88))

    def map(self, function: Callable[[S], T], items: Iterable[S], what: str) -> Iterator[T]:
        """`function` of every item, in order, behind a progress bar: a study's own parallel work.

        In this process, or on the Dask cluster whose scheduler STUDIES_SCHEDULER names; `lib.parallel.imap` says what is the
        same in both, and what is raised.
        """
        items = list(items)
        return self.progress(imap(function, items, os.environ.get("STUDIES_SCHEDULER") or None), what, len(items))

    def metric(self, name: str, values: Iterable[float] | float, unit: str = "") -> Metric:
        """Record a number: one value per independent repeat. Raises ValueError that names the metric."""
        try:
            self.metrics[name] = Metric.of(values, unit)
        except ValueError as error:
            raise ValueError(f"metric {name}: {error}") from None
        return self.metrics[name]

    def interval(self, name: str, value: float, low: float, high: float, n: int, unit: str = "") -> Metric | None:
        """Record a number of all `n` repeats at once with a 95 % interval of its own, such as a bootstrap's.

        Ends that are NaN: it has no interval. A value that is NaN is undefined in this run: nothing is recorded, and claims that
        need it are not tested. Raises ValueError that names the metric.
        """
        if math.isnan(value):
            return None
        try:
            self.metrics[name] = Metric.measured(value, low, high, n, unit)
        except ValueError as error:
            raise ValueError(f"metric {name}: {error}") from None
        return self.metrics[name]

    def certify(self, name: str, value: float, at_most: float) -> None:
        """Record a numerical certificate and stop the run, by name, if it is violated or not a number."""
        good = math.isfinite(value) and value <= at_most
        self.certificates.append({"name": name, "value": float(value), "at_most": float(at_most), "ok": good})
        if not good:
            raise ArithmeticError(f"certificate {name}: got {value:g}, allowed: a finite number <= {at_most:g}")

    def table(self, name: str, frame: "pd.DataFrame", caption: str) -> None:
        """Keep a table (parquet) and show it, of a long one the first and last rows."""
        from IPython.display import HTML, display

        if self.folder:
            path = self._file("tables", f"{name}.parquet")
            frame.to_parquet(path)
        self.tables.append({"name": name, "caption": caption, "rows": len(frame), "columns": list(map(str, frame.columns))})
        shown = frame.to_html(float_format="{:.4g}".format, border=0, max_rows=LONGEST_TABLE)
        display(HTML(shown), HTML(f"<p><em>Table {name}. {escape(caption)}</em></p>"))

    def figure(self, name: str, figure: "Figure", caption: str) -> None:
        """Keep a matplotlib figure (PNG and SVG) and show it once."""
        import matplotlib.pyplot as plt
        from IPython.display import HTML, display

        if self.folder:
            figure.savefig(self._file("figures", f"{name}.png"), dpi=160)
            figure.savefig(self._file("figures", f"{name}.svg"))
        self.figures.append({"name": name, "caption": caption})
        display(figure, HTML(f"<p><em>Figure {name}. {escape(caption)}</em></p>"))
        plt.close(figure)

    def finish(self) -> None:
        """Judge the study's claims on the recorded metrics, show the verdicts, and write results.json."""
        from IPython.display import HTML, display

        from lib.runs.scoreboard import claims_table, expected_rows

        self.results = {
            "schema": SCHEMA,
            "study": self.study.slug,
            "title": self.study.title,
            "question": self.study.question,
            "paper": self.study.paper,
            "cover": self.study.cover,
            "size": self.size,
            "params": self.params.model_dump(),
            "device": self.device,
            "metrics": {name: asdict(metric) for name, metric in self.metrics.items()},
            "claims": [claim.judge(self.metrics) for claim in self.study.claims],
            "expected": expected_rows(self.study, self.metrics) if self.size == "quick" and self.params.seed == 0 else [],
            "certificates": self.certificates,
            "tables": self.tables,
            "figures": self.figures,
        }
        if self.folder:
            self._file("", "results.json").write_text(json.dumps(self.results, indent=1, allow_nan=False), encoding="utf-8")
        display(HTML(claims_table(self.results["claims"])))

    def _file(self, room: str, name: str) -> Path:
        assert self.folder is not None
        path = self.folder / room / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
