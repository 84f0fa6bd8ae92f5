"""What is stored is read with suspicion: damage is named and left out, and costs nothing else its place."""

import json
import math

import matplotlib
import pytest

from lib.runs.gallery import build
from lib.runs.provenance import describe
from lib.runs.stored import read_shelf
from tests.runs.stored_runs import BEGIN, Page, draw, fail, patch, shelve

matplotlib.use("Agg")


@pytest.fixture
def page(tmp_path):
    """Draw the gallery of the test's folder and read it."""
    return lambda: Page(build(tmp_path))


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda run: (run / "results.json").write_text('{"schema": 1,'), "beta/bad/results.json Invalid JSON"),
        (lambda run: (run / "results.json").write_bytes(b"\xff\xfe"), "beta/bad/results.json Invalid JSON"),
        (lambda run: (run / "results.json").write_text("[]"), "beta/bad/results.json Input should be"),
        (lambda run: (run / "results.json").unlink(), "beta/bad/results.json is missing"),
        (lambda run: (run / "provenance.json").unlink(), "beta/bad/provenance.json is missing"),
        (lambda run: patch(run / "results.json", schema=7), "beta/bad/results.json schema: Input should be 1, got 7"),
        (lambda run: patch(run / "provenance.json", schema=None), "beta/bad/provenance.json schema: Input should be 1, got None"),
        (lambda run: patch(run / "provenance.json", started_utc="yesterday"), "started_utc"),
        (lambda run: patch(run / "results.json", figures=[{"name": "../../secret", "caption": ""}]), "figures.0.name"),
        (lambda run: patch(run / "results.json", claims=[{"statement": "s"}]), "claims.0"),
        (lambda run: (run / "results.json").unlink() or (run / "results.json").mkdir(), "beta/bad/results.json Is a directory"),
    ],
)
def test_a_damaged_run_is_named_and_left_out_and_the_others_stay(page, tmp_path, harm, why):
    shelve(tmp_path / "alpha" / "0a")
    harm(shelve(tmp_path / "beta" / "bad", study="beta"))
    shown = page()
    assert "1 thing could not be shown" in shown.text
    assert "beta/bad" in shown.text
    assert why in shown.text
    assert "The study alpha" in shown.text
    assert "The study beta" not in shown.text


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda file: file.unlink(), "figures/cover.png is missing"),
        (lambda file: file.write_bytes(b"no picture"), "figures/cover.png cannot be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:120]), "figures/cover.png cannot be read"),
    ],
)
def test_a_damaged_picture_costs_the_picture_only(page, tmp_path, harm, why):
    run = shelve(tmp_path / "alpha" / "0a", figures=("cover", "second"))
    harm(run / "figures" / "cover.png")
    shown = page()
    assert why in shown.text
    assert [a["alt"] for a in shown.all("img")] == ["What second shows."]
    assert shown.verdicts() == ["held"]


def test_a_damaged_failure_is_named(page, tmp_path):
    (fail(tmp_path) / "error.json").write_text("{")
    assert "alpha/failed/0c-20260301T120000/error.json Invalid JSON" in page().text


def test_runs_in_the_making_and_sweeps_and_strangers_are_no_runs(page, tmp_path):
    shelve(tmp_path / "alpha" / ".partial" / "0a.12")
    shelve(tmp_path / "alpha" / "sweeps" / "seeds")
    draw(tmp_path / "published" / "pictures" / "readme.png")
    (tmp_path / "notes" / "mine").mkdir(parents=True)
    shown = page()
    assert "Nothing has been run yet" in shown.text
    assert "could not be shown" not in shown.text


@pytest.mark.parametrize("text", ["{", "{}", "7"])
def test_unreadable_benchmarks_are_named(page, tmp_path, text):
    (tmp_path / "benchmarks.json").write_text(text)
    assert "1 thing could not be shown: benchmarks.json" in page().text


def test_what_a_run_writes_is_what_the_gallery_reads(tiny, tmp_path, capsys):
    import matplotlib.pyplot as plt

    from lib.runs.job import Job
    from lib.runs.notebook import Run

    params, folder = tiny.size_params("quick"), tmp_path / "tiny" / "0a"
    run = Run(tiny, params, folder)
    run.metric("mean", [0.1, -0.1, 0.0, 0.05])
    run.interval("median", 0.02, -0.1, 0.05, 4)
    assert run.interval("mode", math.nan, math.nan, math.nan, 4) is None, "undefined: nothing is recorded"
    with pytest.raises(ValueError, match=r"metric spread: low, high: got 2\.0 and 1\.0"):
        run.interval("spread", 1.5, 2.0, 1.0, 4)
    figure, axes = plt.subplots()
    axes.plot([0, 1])
    run.figure("draws", figure, "Draws.")
    run.finish()
    cost = {"wall_s": 1.0, "cpu_s": 1.0, "peak_rss_mb": 100.0, "started_utc": BEGIN.isoformat(timespec="seconds")}
    facts = describe(tiny, Job.of("tiny", params)) | {"cells": [], "device": "cpu"}
    (folder / "provenance.json").write_text(json.dumps(facts | cost))
    shelf = read_shelf(tmp_path)
    assert shelf.damages == []
    (stored,) = shelf.runs
    assert stored.results.params == params.model_dump()
    assert {name: (m.mean, m.low, m.high, m.n) for name, m in stored.results.metrics.items() if name != "mean"} == {
        "median": (0.02, -0.1, 0.05, 4)
    }
    assert [c.verdict for c in stored.results.claims] == ["held", "not held", "not tested at this size"]
    shown = Page(build(tmp_path))
    assert len(shown.all("img")) == 1
    assert "Needs many repeats." in shown.text
