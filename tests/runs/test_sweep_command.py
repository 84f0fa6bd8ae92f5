"""`studies sweep` as a user meets it: by exit code, streams and what is on disk."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lib.runs.job import Job
from lib.runs.kernel import FOLDER
from lib.runs.sweeps import sweep_table
from tests.conftest import HOME
from tests.runs.stored_runs import Page, shelve
from tests.runs.sweeping import REPORT, STUDIES, WHOLE, checkout, end, finished, sweep, until

pytestmark = pytest.mark.xdist_group("sweeps")

GRID = ("-g", "seed=0:2", "--jobs", "2")
LOCAL = ("--engine", "local")


@pytest.fixture(autouse=True)
def kernels(monkeypatch):
    """The only place where a kernel can leave anything; its path is short, as sockets want it."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield Path(folder)


@pytest.fixture
def studies(tiny, outputs):
    """Run the command to its end."""

    def run(*words, timeout=90, **where):
        return subprocess.run([*STUDIES, *map(str, words)], capture_output=True, text=True, timeout=timeout, **where)

    return run


def failures(outputs):
    """What the only sweep's failed.json says."""
    (report,) = (outputs / "tiny" / "sweeps").iterdir()
    assert {f.name for f in report.iterdir()} == REPORT
    return json.loads((report / "failed.json").read_text())


def kept(outputs):
    return sorted((outputs / "tiny" / "failed").glob("*"))


def test_a_dry_run_shows_the_plan_and_writes_nothing(studies, outputs, tmp_path, kernels):
    here = tmp_path / "here"
    here.mkdir()
    done = studies(
        "sweep",
        "tiny",
        "-g",
        "n=10,20",
        "-g",
        "seed=0:3",
        "--dry-run",
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(checkout())},
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("tiny: sweep ")
    assert first.endswith(" over n (2) x seed (3), custom size: 6 runs, 0 already finished, 6 to do")
    assert second == "expected: not known; memory not known: nothing of this study is stored here yet"
    assert not outputs.exists()
    assert [*here.iterdir(), *kernels.iterdir()] == []


def slurm_file(folder):
    file = folder / "slurm.yaml"
    file.write_text(
        'jobs: 2\ncores: 4\nruns_per_job: 2\nmemory: 8GB\nwalltime: "01:00:00"\npartition: gpu\ninterface: lo\nlogs: slurm-logs\n'
    )
    return file


def test_a_dry_run_for_slurm_shows_the_job_script_that_would_be_submitted(studies, outputs, tmp_path):
    done = studies("sweep", "tiny", *GRID, "--slurm", slurm_file(tmp_path), "--dry-run")
    assert done.returncode == 0
    assert "2 runs, 0 already finished, 2 to do" in done.stdout
    for line in (
        "#!/usr/bin/env bash",
        "#SBATCH -J studies",
        "#SBATCH -p gpu",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH -t 01:00:00",
    ):
        assert f"\n{line}\n" in done.stdout
    assert f"\n{shlex.quote(sys.executable)} -m distributed.cli.dask_worker " in done.stdout
    assert not outputs.exists()


def test_a_dry_run_for_slurm_writes_nothing_either(studies, tmp_path):
    (here := tmp_path / "here").mkdir()
    studies("sweep", "tiny", *GRID, "--slurm", slurm_file(tmp_path), "--dry-run", cwd=here)
    assert list(here.iterdir()) == []


def refusal(done, outputs):
    """The one line on stderr; nothing was written."""
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("studies: ")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("\n")
    assert "Gallery" not in done.stdout
    assert not outputs.exists()
    return done.stderr.removeprefix("studies: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["tiny"], "-g: got no axis, allowed: name=values, as in -g seed=0:64"),
        (["tiny", "-g", "sede=0:4"], "sede: there is no such parameter to sweep over; allowed: seed, n, "),
        (["tiny", "-g", "seed=0:10000000"], "-g: got a grid of 10,000,000 runs, allowed: up to 10,000, or more with --yes"),
        (["tiny", "-g", "seed=0:4", "-p", "seed=1"], "seed: given with -g and with -p, allowed: one of them"),
        (["tiny", "-g", "seed=0:4", "-f", "nowhere.yaml"], "nowhere.yaml: not readable as YAML: "),
        (["no-such", "-g", "seed=0:4"], "study: got 'no-such', allowed: "),
        (["tiny", "-g", "seed=0:4", "--scheduler", "tcp://127.0.0.1:1", "--slurm", "x.yaml"], "--slurm: got it together with "),
        (["tiny", "-g", "seed=0:4", "--scheduler", "tcp://127.0.0.1:1", *LOCAL], "--engine: got local, allowed: dask, as "),
        (["tiny", "-g", "seed=0:4", "--slurm", "params/slurm.yaml", *LOCAL], "--engine: got local, allowed: dask, as "),
        (
            ["tiny", "-g", "seed=0:4", "--slurm", "some.yaml", "--threads", "2"],
            "--threads: got 2 together with --slurm, allowed: ",
        ),
        (["tiny", "-g", "seed=0:4", "--slurm", "nowhere.yaml"], "nowhere.yaml: not readable as YAML: "),
        (
            ["tiny", "-g", "seed=0:4", "--scheduler", "not an address"],
            "--scheduler: got 'not an address', allowed: the address of ",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(studies, outputs, words, answer):
    assert refusal(studies("sweep", *words), outputs).startswith(answer)


def test_a_plan_that_cannot_be_written_is_one_line(studies, outputs):
    (outputs / "tiny").mkdir(parents=True)
    (outputs / "tiny" / "sweeps").touch()
    done = studies("sweep", "tiny", *GRID, *LOCAL)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"studies: Not a directory while writing the plan under {outputs / 'tiny' / 'sweeps'}" in done.stdout


def test_a_sweep_all_of_whose_runs_were_made_otherwise_gets_its_report(studies, tiny, outputs):
    for job in Job.many("tiny", [tiny.study.params.parse({"seed": seed}) for seed in range(2)]):
        shelve(job.folder, "tiny", figures=(), params=job.params, claims=[])
    done = studies("sweep", "tiny", *GRID, *LOCAL)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 runs, 2 already finished, 0 to do" in done.stdout
    assert "2 of 2 runs finished, 0 failed" in done.stdout


def test_a_machine_without_slurm_is_told_so(studies, outputs, tmp_path):
    done = studies("sweep", "tiny", *GRID, "--slurm", slurm_file(tmp_path), env=os.environ | {"PATH": str(tmp_path)})
    assert refusal(done, outputs) == "--slurm: got a machine without the command sbatch, allowed: a login node of a Slurm cluster"


@pytest.mark.parametrize("listens", [False, True], ids=["nobody there", "somebody mute"])
def test_a_scheduler_that_does_not_answer_is_given_up_within_15_s(studies, outputs, listens):
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{port.getsockname()[1]}"
        if listens:
            port.listen()
        done = studies("sweep", "tiny", *GRID, "--scheduler", address, timeout=15)
    assert refusal(done, outputs).startswith(f"--scheduler: got '{address}', allowed: the address of a Dask scheduler")


@pytest.mark.slow
def test_a_failing_point_fails_once_keeps_its_notebook_and_stops_nobody_else(studies, outputs, tmp_path, monkeypatch):
    monkeypatch.setenv("TINY_JOURNAL", str(tmp_path / "journal"))
    words = ("sweep", "tiny", "-g", "fail=true,false", "-g", "seed=0:2", "--jobs", "2")
    done = studies(*words)
    assert done.returncode == 1, done.stderr
    assert "2 of 4 runs finished, 2 failed" in done.stdout
    assert "in cell trouble: RuntimeError: asked to fail" in done.stdout
    before = finished(outputs)
    assert len(before) == 2
    assert sorted((tmp_path / "journal").read_text().split()) == ["0", "0", "1", "1"], "each was begun once"
    rows = failures(outputs)
    assert [(row["params"]["fail"], row["params"]["seed"]) for row in rows] == [(True, 0), (True, 1)]
    for row in rows:
        assert (row["reason"], row["cell"], row["strikes"], row["state"]) == (
            "RuntimeError: asked to fail",
            "trouble",
            0,
            "failed",
        )
        assert {f.name for f in (outputs / row["kept"]).iterdir()} == {"notebook.ipynb", "notebook.html", "error.json"}
    assert [f"tiny/failed/{f.name}" for f in kept(outputs)] == sorted(row["kept"] for row in rows)
    assert list(sweep_table("tiny")["seed"]) == [0, 1]

    again = studies(*words, *LOCAL)
    assert again.returncode == 1
    assert "4 runs, 2 already finished, 2 to do" in again.stdout
    assert finished(outputs) == before
    assert len(kept(outputs)) == 4, "the same command tries them again"
    assert len(failures(outputs)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("axis", "limit", "reason"),
    [
        (("-g", "sleep_s=0,30"), ("--max-minutes", "0.15"), "the run took longer than its time limit of 9 s (--max-minutes)"),
        (
            ("-g", "hog_mb=0,900", "-p", "sleep_s=1"),
            ("--max-memory", "600"),
            "MiB, more than its limit of 600 MiB (--max-memory)",
        ),
    ],
    ids=["time", "memory"],
)
def test_a_run_beyond_its_limit_is_stopped_and_says_which_option_did_it(studies, outputs, kernels, axis, limit, reason):
    done = studies("sweep", "tiny", *axis, *limit, "--jobs", "2", *LOCAL)
    assert done.returncode == 1, done.stderr
    assert "1 of 2 runs finished, 1 failed" in done.stdout
    assert reason in done.stdout
    (row,) = failures(outputs)
    assert reason in row["reason"]
    assert (row["cell"], row["strikes"]) == ("wait", 0), "it is not tried again"
    (folder,) = kept(outputs)
    assert json.loads((folder / "error.json").read_text())["kind"] == "limit"
    assert list(kernels.iterdir()) == []


@pytest.mark.slow
def test_a_finished_sweep_is_recorded_shown_replayed_and_not_done_again(studies, outputs, kernels):
    words = ("sweep", "tiny", *GRID, "-p", "n=50")
    done = studies(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 of 2 runs finished, 0 failed" in done.stdout
    (report,) = (outputs / "tiny" / "sweeps").iterdir()
    assert {f.name for f in report.iterdir()} == REPORT
    runs = json.loads((report / "plan.json").read_text())["runs"]
    assert all({f.name for f in (outputs / "tiny" / run).iterdir()} == WHOLE for run in runs)

    page = Page(outputs / "index.html")
    assert page.all("section", id="sweeps")
    links = {a["href"] for a in page.all("a")}
    assert {f"tiny/sweeps/{report.name}/{name}" for name in ("table.parquet", "figure.svg")} <= links

    before, plan = finished(outputs), (report / "plan.json").stat().st_mtime_ns
    again = studies(*words)
    assert again.returncode == 0
    assert "2 runs, 2 already finished, 0 to do" in again.stdout
    assert "2 of 2 runs finished, 0 failed" in again.stdout
    assert finished(outputs) == before
    assert (report / "plan.json").stat().st_mtime_ns == plan

    same = studies("replay", runs[1])
    assert same.returncode == 0, same.stdout
    assert "1 bitwise the same" in same.stdout
    assert finished(outputs) == before
    assert list(kernels.glob(f"{FOLDER}*")) == []


@pytest.mark.slow
def test_runs_whose_code_changed_after_they_were_planned_are_refused(tiny, outputs, tmp_path, monkeypatch, studies):
    monkeypatch.setenv("STUDIES_PATH", str(shutil.copytree(HOME, tmp_path / "home")))
    notebook = tmp_path / "home" / "notebooks" / "tiny.ipynb"
    words = ("-g", "seed=0:3", "--jobs", "1", "-p", "sleep_s=1", *LOCAL)
    process = sweep(*words)
    before = until(lambda: finished(outputs), "a finished run", process)
    notebook.write_text(notebook.read_text().replace("A tiny study", "A changed study"))
    said = end(process, code=1)
    changed = "the code has changed since this run was planned; give the same command again"
    assert said.count(changed) >= 1
    assert {name: finished(outputs)[name] for name in before} == before
    rows = failures(outputs)
    assert rows
    assert {(row["reason"], row["strikes"], row["kept"]) for row in rows} == {(changed, 0, "")}

    first = {f.name for f in (outputs / "tiny" / "sweeps").iterdir()}
    done = studies("sweep", "tiny", *words, "--dry-run")
    assert done.returncode == 0, done.stdout
    assert "3 runs, 0 already finished, 3 to do" in done.stdout, "the same command is now another sweep"
    assert done.stdout.split()[2] not in first
