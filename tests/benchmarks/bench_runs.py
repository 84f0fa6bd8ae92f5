"""What a run costs beyond its notebook's cells, and how much of two perfect workers a sweep with two slots gets done.

The notebook is the tests' tiny study. A run is timed from outside, from asking for it to its finished folder; what its cells
took, as papermill noted it, is taken off. The peer is papermill's own command line, which starts a process and a kernel for
each notebook and writes no page, record or provenance. For the sweeps the peer is the ideal: half of the time that the runs
take one after another, on the machine alone.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import nbformat

from lib.runs.job import Job
from lib.runs.launch import DONE, Progress, perform
from lib.runs.process import Launcher
from lib.runs.provenance import cell_times
from lib.runs.sweeps import cluster, planning
from lib.runs.sweeps.drive import drive
from lib.runs.sweeps.engines import Engine, LocalEngine
from lib.studies import find

HOME = Path(__file__).parents[1] / "home"
RUNS, SLOTS = 64, 2


def finished(job: Job) -> float:
    """Seconds of the cells of a finished run."""
    facts = json.loads((job.folder / "provenance.json").read_text())
    return sum(cell["wall_s"] for cell in facts["cells"])


def timed(job: Job, launcher: Launcher) -> tuple[float, float]:
    """Seconds of a run, and of that its cells."""
    began = time.perf_counter()
    p = perform(Progress(job), launcher, lambda p: None, threading.Event())
    wall = time.perf_counter() - began
    assert p.state == DONE, p.error
    return wall, finished(job)


def papermill(notebook: Path, folder: Path) -> tuple[float, float]:
    """The same for papermill's command line."""
    began, output = time.perf_counter(), folder / "out.ipynb"
    subprocess.run([sys.executable, "-m", "papermill", str(notebook), str(output)], check=True, capture_output=True)
    wall = time.perf_counter() - began
    return wall, sum(cell["wall_s"] for cell in cell_times(nbformat.read(output, as_version=4)))


def starts(repeats: int, folder: Path) -> list[dict]:
    """One run: warm, cold, and papermill's, in turn."""
    entry = find("tiny")
    seconds: dict[str, list[tuple[float, float]]] = {"warm": [], "cold": [], "papermill": []}
    launchers = {how: Launcher(["tiny"], 1, warm=how == "warm") for how in ("warm", "cold")}
    points = [entry.study.params.parse({"seed": seed}) for seed in range(1 + 2 * repeats)]
    jobs = iter(Job.many("tiny", points))
    timed(next(jobs), launchers["warm"])  # the first one waits for the template
    for _ in range(repeats):
        for how, launcher in launchers.items():
            seconds[how].append(timed(next(jobs), launcher))
        seconds["papermill"].append(papermill(entry.notebook, folder))
    for launcher in launchers.values():
        launcher.close()
    table = []
    for how, name in (("warm", "run, forked from a template"), ("cold", "run, cold start")):
        for what, take in (("in all", lambda t: t[0]), ("beyond its cells", lambda t: t[0] - t[1])):
            ours, peer = (statistics.median(map(take, seconds[key])) for key in (how, "papermill"))
            ratios = [take(p) / take(o) for o, p in zip(seconds[how], seconds["papermill"], strict=True)]
            table.append(_row(f"{name}, {what}", "papermill's command line", ours, peer, repeats, ratios))
    return table


def sweeps(sleep_s: float) -> list[dict]:
    """64 runs on two slots, once the template is there, by both engines."""
    table = []
    single = []
    with closing(Launcher(["tiny"], 1, warm=True)) as launcher:
        points = [find("tiny").study.params.parse({"seed": 1000 + i, "sleep_s": sleep_s}) for i in range(9)]
        single = [timed(job, launcher)[0] for job in Job.many("tiny", points)][1:]
    one = statistics.median(single)
    for name, make in (("in this process", _local), ("on Dask", _dask)):
        limits = {"max_seconds": None, "max_memory_mb": None}
        pairs = {"sleep_s": str(sleep_s), "n": "60" if make is _dask else "50"}
        sweep = planning.plan("tiny", "test", [f"seed=0:{RUNS + 4}"], pairs, None, limits, False)
        sweep.write()
        ends: list[float] = []
        engine: Engine = make(sweep)
        outcomes = drive(sweep, engine, lambda p, ends=ends: ends.append(time.perf_counter()), lambda slots: None)
        engine.close(now=False)
        assert all(p.state == DONE for p in outcomes), {p.error for p in outcomes}
        warm = ends[-1] - ends[3]  # the first four wait for the template
        table.append(_row(f"{RUNS} runs of {one:.2f} s, {name}", "two perfect workers", warm, one * RUNS / SLOTS, 1, []))
    return table


def _local(sweep: planning.Sweep) -> Engine:
    return LocalEngine("tiny", SLOTS, 1, lambda *_: None)


def _dask(sweep: planning.Sweep) -> Engine:
    return cluster.DaskEngine(*cluster.connect(lambda: cluster.local(SLOTS)), sweep.folder, 1, lambda *_: None)


def _row(name: str, peer: str, ours_s: float, peer_s: float, repeats: int, ratios: list[float]) -> dict:
    ratio = statistics.median(ratios) if ratios else peer_s / ours_s
    spread = {}
    if len(ratios) > 3:
        low, _, high = statistics.quantiles(ratios, n=4)
        spread = {"noise": (high - low) / 2}
    return {
        "name": name, "ours_s": ours_s, "peer": peer, "peer_s": peer_s, "ratio": ratio, "repeats": repeats, "device": "cpu",
        "size": "tiny study", **spread,
    }  # fmt: skip


def rows(device: str = "cpu", repeats: int = 7) -> list[dict]:
    """Starts, then sweeps of runs that do nothing and of runs that wait a second."""
    with tempfile.TemporaryDirectory(prefix="studies-bench-") as folder:
        before = dict(os.environ)
        os.environ.update(STUDIES_PATH=str(HOME), STUDIES_OUTPUTS=f"{folder}/outputs", PYDEVD_DISABLE_FILE_VALIDATION="1")
        try:
            return [*starts(repeats, Path(folder)), *sweeps(0.0), *sweeps(1.0)]
        finally:
            os.environ.clear()
            os.environ.update(before)
