"""Stored runs and sweeps written by hand, as `studies` leaves them, and a page taken apart."""

import itertools
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

from PIL import Image

from lib.studies import Claim, Metric

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLAIM = Claim("gap", "Soups gain accuracy.", "table 1", "gap > 0", ("gap",), lambda m: m["gap"].mean > 0, paper_number="71.6 %")
GAPS = {"held": [1.0, 2.0, 3.0], "not held": [-1.0, -2.0, -3.0], "not tested at this size": [1.0]}


class Page(HTMLParser):
    """Every element of a page with its attributes, and the text between; complains about elements that are not closed."""

    VOID = ("meta", "img", "br", "input", "link", "hr")

    def __init__(self, path):
        super().__init__()
        self.elements, self.open, self.words = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag, **attributes):
        return [a for t, a in self.elements if t == tag and all(a.get(k.rstrip("_")) == v for k, v in attributes.items())]

    def verdicts(self):
        return [a["data-verdict"] for _, a in self.elements if "data-verdict" in a]


def draw(path, size=(640, 480), colour="steelblue"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def shelve(folder, study="alpha", size="quick", hours=0.0, verdict="held", figures=("cover",), **changes):
    """A finished run as `studies run` leaves it."""
    for name in figures:
        draw(folder / "figures" / f"{name}.png")
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "schema": 1, "study": study, "title": f"The study {study}", "question": "Does it hold?", "paper": "A paper. 2026.",
        "cover": "cover", "size": size, "params": {"seed": 3, "rate": 1e-3, "parts": ["a", "b"]}, "device": "cpu", "metrics": {},
        "claims": [CLAIM.judge({"gap": Metric.of(GAPS[verdict], "points")})], "expected": [], "certificates": [], "tables": [],
        "figures": [{"name": name, "caption": f"What {name} shows."} for name in figures], "notebook_s": 1.0,
    }  # fmt: skip
    provenance = {
        "schema": 1, "started_utc": (BEGIN + timedelta(hours=hours)).isoformat(), "wall_s": 61.5, "cpu_s": 100.0,
        "peak_rss_mb": 2048.0, "threads": 2, "machine": {"system": "x", "processor": "A chip", "cores": 2},
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results | changes))
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "notebook.html").write_text("<p>ran</p>")
    return folder


def fail(root, run_id="0c", **changes):
    """A failed run as `studies run` leaves it."""
    folder = root / "alpha" / "failed" / f"{run_id}-20260301T120000"
    folder.mkdir(parents=True)
    facts = {
        "study": "alpha", "size": "laptop", "params": {"seed": 9}, "run_id": run_id, "started_utc": BEGIN.isoformat(),
        "error": "ValueError: no", "cell": "the-cell",
    }  # fmt: skip
    (folder / "error.json").write_text(json.dumps(facts | changes))
    (folder / "notebook.html").write_text("<p>failed</p>")
    return folder


def plan(root, axes, study="alpha", sweep_id="a1b2c3d4e5f6", **changes):
    """A sweep's folder as the planner leaves it; runs are named r000, r001, ... in grid order."""
    folder = root / study / "sweeps" / sweep_id
    folder.mkdir(parents=True)
    points = list(itertools.product(*axes.values()))
    facts = {
        "schema": 1, "study": study, "sweep_id": sweep_id, "size": "custom", "title": f"The study {study}", "axes": axes,
        "base": {"rate": 1e-3, "parts": ["a", "b"]}, "runs": [f"r{number:03}" for number in range(len(points))],
        "created_utc": BEGIN.isoformat(), "headline": "gap",
    }  # fmt: skip
    (folder / "plan.json").write_text(json.dumps(facts | changes))
    return folder


def measure(folder, gap=lambda params: [1.0, 2.0, 3.0], claims=(CLAIM,), only=None):
    """Finish the runs of a planned sweep (those whose names are in `only`); `gap` gives a run's repeats."""
    facts = json.loads((folder / "plan.json").read_text())
    for run, values in zip(facts["runs"], itertools.product(*facts["axes"].values()), strict=True):
        if only is None or run in only:
            params = dict(zip(facts["axes"], values, strict=True)) | facts["base"]
            metrics = {"gap": Metric.of(gap(params), "points"), "cost": Metric.of(1.0, "s")}
            shelve(
                folder.parents[1] / run, facts["study"], facts["size"], figures=(), params=params,
                metrics={name: asdict(metric) for name, metric in metrics.items()},
                claims=[claim.judge(metrics) for claim in claims],
            )  # fmt: skip
    return folder


def row(**changes):
    """A row of benchmarks.json."""
    times = {"ours_s": 0.002, "peer": "POT", "peer_s": 0.01, "ratio": 5.0, "repeats": 7}
    return {"name": "sinkhorn", **times, "device": "cpu", "size": 512} | changes


def patch(file, **changes):
    """Change some keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
