"""Every notebook: its anatomy, and that it runs. The quick size is for `make test-notebooks`."""

import json
import os
import re
import subprocess
import sys

import nbformat
import papermill
import pytest

from lib.runs.job import Job
from lib.runs.launch import DONE, run_jobs
from lib.studies.params import read_yaml
from lib.studies.registry import HOME, SLUGS, find
from tests.notebooks.anatomy import ANATOMY, form_faults, headings, study_faults, text

START_HERE = HOME / "notebooks" / "start-here.ipynb"
CELL_SECONDS = 180


def read(path):
    nbformat.validate(nbformat.read(path, as_version=nbformat.NO_CONVERT))
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("slug", SLUGS)
def test_anatomy(slug):
    entry = find(slug)
    assert list(study_faults(read(entry.notebook), entry.study)) == []


@pytest.mark.parametrize("slug", SLUGS)
def test_title_and_question_are_the_declared_ones(slug):
    entry = find(slug)
    first = read(entry.notebook)["cells"][0]
    assert headings(first)[0] == (1, entry.study.title)
    assert entry.study.question in " ".join(text(first).split())


def test_start_here_has_the_same_form_and_knows_every_study():
    notebook = read(START_HERE)
    assert list(form_faults(notebook)) == []
    words = "\n".join(map(text, notebook["cells"]))
    assert [slug for slug in SLUGS if slug not in words] == []


def test_no_other_notebook_lies_there():
    assert {path.stem for path in (HOME / "notebooks").rglob("*.ipynb")} == {*SLUGS, "start-here"}


def nbval(path):
    """Run a notebook cell by cell, in the kernel of this environment; (exit code, report)."""
    words = [
        "-m", "pytest", "--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}", "-p", "no:cacheprovider",
        "-p", "no:xdist", "-q", str(path),
    ]  # fmt: skip
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTEST_ADDOPTS": ""}
    done = subprocess.run([sys.executable, *words], cwd=path.parent, env=os.environ | quiet, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def prepared(entry, folder, **changes):
    """The study's notebook with the parameters of its test size in it, as papermill would run it."""
    path = folder / entry.notebook.name
    params = read_yaml(entry.size_file("test")) | changes
    papermill.execute_notebook(str(entry.notebook), str(path), parameters=params, prepare_only=True, progress_bar=False)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("slug", [pytest.param(slug, marks=pytest.mark.xdist_group(f"notebook-{slug}")) for slug in SLUGS])
def test_runs_at_test_size(slug, tmp_path, outputs):
    code, report = nbval(prepared(find(slug), tmp_path))
    assert code == 0, report
    assert not outputs.exists(), "outside `studies run` a notebook writes nothing"


@pytest.mark.xdist_group("notebook-start-here")
def test_start_here_runs(tmp_path, outputs):
    path = tmp_path / "start-here.ipynb"
    path.write_bytes(START_HERE.read_bytes())
    code, report = nbval(path)
    assert code == 0, report


@pytest.mark.xdist_group("runs")
def test_a_cell_that_fails_is_seen(tiny, tmp_path, outputs):
    """The way the notebooks are run tells good from bad."""
    code, report = nbval(prepared(tiny, tmp_path, fail=True))
    assert code == 1
    assert "asked to fail" in report
    assert "1 failed, 7 passed" in report


# What must hold at quick size whatever the paper says (section 5 of the study's spec): metric -> (above, below).
GATES = {
    "weight-ensembles": {
        "uniform-mean_single/id_test": (0, 100),
        "uniform-mean_single/ood": (0, 100),
        "pairs/gain_ood": (0, 100),
        "distances/correlation": (0, 1),
        "e_far-d_far/id_test": (-1, 1),
    },
    "dataset-geodesics": {
        "toy/relative_error": (-1, 0.05),
        "toy/uniform_excess": (0, 10),
        "speed/worst_deviation": (-1, 1e-6),
        "shift/smallest_increase": (0, 100),
        "shift/renamed": (-1, 1e-8),
        "geodesic-few_shot": (0, 100),
        "geodesic-mixup": (-1, 100),
    },
    "soft-labels": {
        "soft-hard": (0, 100),
        "soft-hard/5": (0, 100),
        "best_epoch/shift": (0, 10),
        "entropy/last-first": (-3, 0),
        "warm-last": (0, 100),
        "control-smoothing": (0, 100),
        "swap/first-last": (10, 100),
        "zero/soft": (0, 100),
        "zero/hard": (-1, 1e-9),
        "selection/repair": (0, 100),
    },
    "random-scaling": {
        "change/p_success": (0, 1.01),
        "trained/solved": (0.8, 1.01),
    },
    "lm-interpolation": {
        "score/ends_mean": (0.2, 2),
        "score/slope_least": (0, 3),
        "likelihood/sides_least": (0, 10),
        "margin/step_least": (0, 1),
        "margin/bend_farthest": (-0.3, 0.3),
        "barrier/largest": (-1, 0.02),
        "shuffled/share": (-0.5, 0.5),
        "cosine/direction_largest": (0, 0.05),
    },
}


@pytest.mark.quick_size
@pytest.mark.parametrize("slug", SLUGS)
def test_quick_size_gives_the_numbers_to_expect(slug, outputs):
    entry = find(slug)
    (progress,) = run_jobs([Job.of(slug, entry.size_params("quick"))], 1, lambda p: None)
    assert progress.state == DONE, progress.error
    results = json.loads((progress.job.folder / "results.json").read_text(encoding="utf-8"))
    rows = results["expected"]
    assert [row["metric"] for row in rows] == [expected.metric for expected in entry.study.expected]
    assert [row for row in rows if not row["within"]] == []
    for metric, (above, below) in GATES[slug].items():
        assert above < results["metrics"][metric]["mean"] < below, metric


def markdown(name, source, *tag):
    return {"cell_type": "markdown", "id": name, "metadata": {"tags": [*tag]}, "source": source.splitlines(keepends=True)}


def python(name, source, *tag):
    return {**markdown(name, source, *tag), "cell_type": "code", "outputs": [], "execution_count": None}


@pytest.fixture
def good():
    """A small notebook that follows the anatomy of the tests' own study."""
    words = {
        "What you will see": "In about one minute: a mean of 0.0.",
        "Experiment": "The seeds are spread.",
    }
    cells = {name: markdown(name.lower().replace(" ", "-"), f"## {name}\n\n{words.get(name, 'Text.')}") for name in ANATOMY}
    after = {
        "What you will see": [
            python("parameters", "n: int = 3  # draws\n" * 30, "parameters"),
            python("start", 'from lib.runs import start\n\nrun = start("tiny", globals())'),
        ],
        "Experiment": [python("draw", "mean = sum(map(lambda i: i * i, range(9)))")],
        "Claims": [python("finish", "run.finish()")],
        "Explorer": [python("explore", "print(1)", "explorer")],
        "Exercises": [markdown("exercise-1", "How large is n?", "exercise"), python("check-1", "print(2)", "exercise")],
    }
    title = markdown("title", "# A tiny study\n\n*Is the mean near zero?*\n\nMore. On it.\n\n```\n# no title\n```")
    return {
        "cells": [title, *(cell for name in ANATOMY for cell in (cells[name], *after.get(name, ())))],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def the(notebook, name):
    return next(cell for cell in notebook["cells"] if cell["id"] == name)


def put(name, source):
    """A change of a cell's text."""
    return lambda notebook: the(notebook, name).update(source=source.splitlines(keepends=True))


def tag(name, *words):
    """A change of a cell's tags."""
    return lambda notebook: the(notebook, name)["metadata"].update(tags=[*words])


def drop(name):
    """A notebook without a cell."""
    return lambda notebook: notebook["cells"].remove(the(notebook, name))


def swap(one, other):
    """Two cells in each other's place."""

    def change(notebook):
        cells = notebook["cells"]
        i, j = cells.index(the(notebook, one)), cells.index(the(notebook, other))
        cells[i], cells[j] = cells[j], cells[i]

    return change


def test_a_good_notebook_has_no_fault(good, tiny, tmp_path):
    path = tmp_path / "good.ipynb"
    path.write_text(json.dumps(good), encoding="utf-8")
    assert list(study_faults(read(path), tiny.study)) == []


BROKEN = {
    "format": (lambda n: n.update(nbformat_minor=4), "the format is 4.4"),
    "kernel": (lambda n: n["metadata"]["kernelspec"].update(name="conda"), "the kernel is not python3"),
    "widget state": (lambda n: n["metadata"].update(widgets={}), "widget state is stored"),
    "machine-made id": (lambda n: the(n, "draw").update(id="a1b2c3d4"), "cell id 'a1b2c3d4' is not readable"),
    "long machine-made id": (lambda n: the(n, "draw").update(id="f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), "is not readable"),
    "capital id": (lambda n: the(n, "draw").update(id="Draw"), "cell id 'Draw' is not readable"),
    "same id twice": (lambda n: the(n, "draw").update(id="finish"), "cell id 'finish' stands 2 times"),
    "no title": (put("title", "A tiny study\n\nIs it?"), "does not begin with a title"),
    "title is code": (lambda n: n["cells"].insert(0, python("early", "print(1)")), "does not begin with a title"),
    "two titles": (put("the-data", "## The data\n\n# Again"), "more than one title"),
    "no question": (put("title", "# A tiny study\n\nIt is."), "no question"),
    "two questions": (put("title", "# A tiny study\n\nIs it? Why is it?"), "no question of one sentence"),
    "no parameters": (tag("parameters"), "0 cells are tagged parameters"),
    "two parameters": (tag("draw", "parameters"), "2 cells are tagged parameters"),
    "import first": (lambda n: n["cells"].insert(1, python("early", "import json")), "imported before the parameters"),
    "import in parameters": (put("parameters", "import json\nn = 3"), "imported before the parameters"),
    "no start": (put("start", "import lib"), "globals... is called 0 times"),
    "start of another study": (put("start", 'run = start("other", globals())'), 'start."tiny", globals... is called 0 times'),
    "work before start": (swap("start", "draw"), "something is done between the parameters and start"),
    "no finish": (put("finish", "run.finish"), r"run.finish\(\) is not called"),
    "heading missing": (drop("claims"), "the headings are"),
    "headings out of order": (swap("the-data", "the-idea"), "the headings are"),
    "heading twice": (put("the-data", "## The data\n\n## The data"), "the headings are"),
    "heading of a lower level": (put("the-data", "### The data"), "the headings are"),
    "no explorer": (tag("explore"), "exactly one code cell tagged explorer"),
    "explorer elsewhere": (swap("explore", "draw"), "exactly one code cell tagged explorer"),
    "one exercise": (tag("check-1"), "two or more cells tagged exercise"),
    "exercises unchecked": (lambda n: the(n, "check-1").update(cell_type="markdown"), "checks the answer"),
    "long cell": (put("draw", "print(1)\n" * 21), "cell draw has 21 lines"),
    "long cells": (lambda n: [put(name, text(the(n, name)) + "\nprint(1)" * 15)(n) for name in ("start", "draw", "finish")],
                   "lines on median"),
    "function": (put("draw", "def f():\n    pass"), "cell draw defines f"),
    "method in a magic cell": (put("draw", "%%time\nasync def f():\n    pass"), "cell draw defines f"),
    "class": (put("draw", "if True:\n    class A:\n        pass"), "cell draw defines A"),
    "lambda": (put("draw", "f = lambda: 1"), "cell draw names a lambda"),
    "output": (lambda n: the(n, "draw").update(outputs=[{"output_type": "stream", "name": "stdout", "text": "1"}]),
               "cell draw stores its output"),
    "execution count": (lambda n: the(n, "draw").update(execution_count=1), "cell draw stores its output"),
    "no minutes": (put("what-you-will-see", "## What you will see\n\nA mean of 0.0."), "how many minutes"),
    "no number": (put("what-you-will-see", "## What you will see\n\nOne minute, 10.0 and 0.05."), "to expect for mean: 0.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_each_broken_law_is_found(good, tiny, name):
    breakage, fault = BROKEN[name]
    breakage(good)
    assert [line for line in study_faults(good, tiny.study) if re.search(fault, line)], list(study_faults(good, tiny.study))


def test_an_output_that_is_meant_to_stay_may_stay(good, tiny):
    the(good, "draw").update(execution_count=1)
    tag("draw", "keep_output")(good)
    assert list(study_faults(good, tiny.study)) == []
