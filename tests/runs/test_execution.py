"""Runs appear whole or not at all, whatever happens: kill -9, a full disk, a failing cell, an interruption."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from papermill.exceptions import PapermillExecutionError

from lib.runs import execute
from lib.runs.execute import RunFailed
from lib.runs.job import Job
from lib.runs.launch import DONE, FAILED, PRESENT, Progress, perform, run_jobs
from lib.runs.locks import HOST
from lib.runs.places import complete, finished, finished_runs, sweep_leftovers
from lib.runs.process import Launcher

pytestmark = pytest.mark.xdist_group("runs")

WHOLE = {"notebook.ipynb", "notebook.html", "results.json", "provenance.json", "tables", "figures"}


def job(entry, force=False, **changes):
    return Job.of("tiny", entry.study.params.parse(changes), force)


def run_one(*args, **kwargs):
    (progress,) = run_jobs([job(*args, **kwargs)], 1, lambda p: None)
    return progress


def folders(outputs):
    """Everything under the study's folder that is not hidden, and what is left of unfinished work."""
    root = outputs / "tiny"
    runs = [f for f in root.iterdir() if f.name[0] != "." and f.name != "failed"] if root.exists() else []
    leftovers = list((root / ".partial").iterdir()) if (root / ".partial").exists() else []
    return runs, leftovers


def test_a_run_is_whole_and_is_not_done_twice(tiny, outputs):
    first = run_one(tiny)
    assert first.state == DONE, first.error
    (run,), leftovers = folders(outputs)
    assert run == first.job.folder
    assert {f.name for f in run.iterdir()} == WHOLE
    assert leftovers == []
    results, facts = (json.loads((run / name).read_text()) for name in ("results.json", "provenance.json"))
    assert results["schema"] == 1
    assert {c["key"]: c["verdict"] for c in results["claims"]} == {
        "centred": "held", "large": "not held", "many": "not tested at this size",
    }  # fmt: skip
    assert results["metrics"]["mean"]["n"] == 4
    assert results["expected"][0]["within"]
    assert facts["wall_s"] > 0 < facts["cpu_s"]
    assert 50 < facts["peak_rss_mb"] < 2000
    assert {"start", "draw", "figure", "finish"} <= {c["id"] for c in facts["cells"] if c["wall_s"] > 0}
    assert len(pd.read_parquet(run / "tables" / "draws.parquet")) == 4
    assert {f.suffix for f in (run / "figures").iterdir()} == {".png", ".svg"}
    stamp = (run / "provenance.json").stat().st_mtime_ns
    assert run_one(tiny).state == PRESENT
    assert (run / "provenance.json").stat().st_mtime_ns == stamp

    again = run_one(tiny, force=True)
    assert again.state == DONE
    assert (run / "provenance.json").stat().st_mtime_ns != stamp
    assert json.loads((run / "results.json").read_text())["metrics"] == results["metrics"], "same seed, same numbers"
    assert folders(outputs) == ([run], [])


def test_a_failing_cell_keeps_its_notebook_apart_and_the_finished_run(tiny, outputs):
    progress = run_one(tiny, fail=True)
    assert progress.state == FAILED
    assert progress.error == "RuntimeError: asked to fail"
    assert progress.cell == "trouble"
    runs, leftovers = folders(outputs)
    assert runs == leftovers == []
    kept = Path(progress.kept)
    assert kept.parent == outputs / "tiny" / "failed"
    assert {"notebook.ipynb", "notebook.html", "error.json"} == {f.name for f in kept.iterdir()}
    assert json.loads((kept / "error.json").read_text())["cell"] == "trouble"
    assert "asked to fail" in (kept / "notebook.ipynb").read_text()


def start_child(work):
    return subprocess.Popen(
        [sys.executable, "-m", "lib.runs.child", work.to_json()],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def wait_for(child, moment, outputs):
    """Let the child come to a moment: at once, at the start of a named cell, or when a file of the run exists."""
    if moment == "start":
        time.sleep(0.3)
    elif moment.startswith("cell "):
        for line in child.stdout:
            if json.loads(line).get("id") == moment.removeprefix("cell "):
                return
    else:
        while not list((outputs / "tiny" / ".partial").glob(f"*/{moment}")):
            time.sleep(0.002)
            assert child.poll() is None


@pytest.mark.slow
def test_kill_9_at_five_moments_leaves_nothing_torn(tiny, outputs):
    work = job(tiny, sleep_s=0.2)
    for moment in ("start", "cell start", "cell wait", "results.json", "notebook.html"):
        child = start_child(work)
        wait_for(child, moment, outputs)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        assert all({f.name for f in run.iterdir()} == WHOLE for run in folders(outputs)[0]), moment
    progress = run_one(tiny, sleep_s=0.2)
    assert progress.state in (DONE, PRESENT), progress.error
    runs, leftovers = folders(outputs)
    assert runs == [work.folder]
    assert leftovers == []


def test_a_run_that_was_whole_but_not_yet_in_place_is_not_lost(tiny, outputs):
    """Killed between the last file and the rename: the next run finds it whole and puts it in its place."""
    partial = outputs / "tiny" / ".partial" / f"abcdefabcdef.{HOST}.12345678"
    partial.mkdir(parents=True)
    (partial / "provenance.json").write_text("{}")
    torn = outputs / "tiny" / ".partial" / f"123456123456.{HOST}.12345678"
    torn.mkdir()
    (torn / "results.json").write_text("{}")
    sweep_leftovers("tiny")
    assert [f.name for f in finished_runs("tiny")] == ["abcdefabcdef"]
    assert folders(outputs)[1] == []


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interruption_drops_only_the_run_in_the_making(tiny, outputs, sign):
    child = start_child(job(tiny, sleep_s=30))
    wait_for(child, "cell wait", outputs)
    child.send_signal(sign)
    assert child.wait(timeout=20) == 130
    runs, leftovers = folders(outputs)
    assert runs == []
    assert [f for f in leftovers if f.is_dir()] == []


def test_a_child_whose_parent_is_gone_ends_with_its_kernel(tiny, outputs):
    child = start_child(job(tiny, sleep_s=60))
    wait_for(child, "cell wait", outputs)
    child.stdin.close()
    assert child.wait(timeout=20) == 130


def test_a_child_that_is_stopped_leaves_the_run_that_started_it_alone(tiny, outputs, tmp_path, monkeypatch):
    """A notebook may run studies itself: its own folder is in the environment of what it starts."""
    (outer := tmp_path / "outer").mkdir()
    monkeypatch.setenv("STUDIES_RUN_DIR", str(outer))
    child = start_child(job(tiny))
    child.stdin.close()
    assert child.wait(timeout=20) == 130
    assert outer.is_dir()


def stop_when_it_says(word, script, work):
    """Run a script that makes the run in a way of its own, and leave it alone once it has said the word: it stops."""
    child = subprocess.Popen(
        [sys.executable, "-c", script, work.to_json()],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert any(word in line for line in child.stderr)
    child.stdin.close()
    assert child.wait(timeout=20) == 130


STOPPED_WHILE_IT_IMPORTS = """
import builtins, sys
from lib.runs import child

build = builtins.__build_class__

def pause(body, name, *bases, **words):
    if name == "RunKernelManager":  # its module is half imported
        print("importing", file=sys.stderr, flush=True)
        sys.stdin.read()  # until whoever started the run goes away
    return build(body, name, *bases, **words)

builtins.__build_class__ = pause
child.work(child.Job.from_json(sys.argv[1]), None)
"""


def test_a_run_stopped_while_its_modules_are_imported_stops(tiny, outputs):
    stop_when_it_says("importing", STOPPED_WHILE_IT_IMPORTS, job(tiny))
    assert folders(outputs) == ([], [])


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_an_interruption_that_no_wait_of_the_main_thread_hears_stops_the_run(tiny, outputs):
    """A signal may come just before a wait begins, or to another thread, and then wakes nobody; so it does here."""

    def notify(p):
        if p.cell == "wait":
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_jobs([job(tiny, sleep_s=10)], 1, notify)
    runs, leftovers = folders(outputs)
    assert runs == []
    assert [f for f in leftovers if f.is_dir()] == []


STOPPED_AT_THE_END = """
import os, sys, threading
from lib.runs import child, execute

began, over = threading.Event(), threading.Event()
unlink, publish = os.unlink, execute.publish

def run(entry, job, partial, emit):
    os.environ["STUDIES_RUN_DIR"] = str(partial)
    for name in ("results.json", "provenance.json"):
        (partial / name).write_text("{}")

def remove(*words, **where):
    if threading.current_thread() is not threading.main_thread():
        began.set()  # the removal has begun, and goes on when the run has been put in its place, or has not
        over.wait()
    unlink(*words, **where)

def move(*words, **how):
    os.unlink = remove
    print("publishing", file=sys.stderr, flush=True)
    began.wait()
    try:
        publish(*words, **how)
    finally:
        over.set()
        threading.Event().wait()

execute._run, execute.publish = run, move
child.work(child.Job.from_json(sys.argv[1]), None)
"""


def test_a_run_stopped_while_it_is_put_in_its_place_is_there_whole_or_not_at_all(tiny, outputs):
    stop_when_it_says("publishing", STOPPED_AT_THE_END, job(tiny))
    runs, leftovers = folders(outputs)
    assert all({f.name for f in run.iterdir()} == {"results.json", "provenance.json"} for run in runs)
    assert [f for f in leftovers if f.is_dir()] == []


def executed(entry, job, output, emit):
    """What papermill leaves of a run, without running it."""
    shutil.copy(entry.notebook, output)
    (output.parent / "results.json").write_text('{"device": "cpu"}')


@pytest.fixture
def partial(tmp_path, monkeypatch):
    """A folder for a run in the making."""
    monkeypatch.setenv("STUDIES_RUN_DIR", "")  # set by the run, so that it must be put back
    (folder := tmp_path / "partial").mkdir()
    return folder


def test_a_run_cut_short_within_its_last_file_is_not_whole(tiny, partial, monkeypatch):
    write = Path.write_text

    def half(file, text, **how):
        last = '"wall_s"' in text
        write(file, text[: len(text) // 2] if last else text, **how)
        if last:
            raise KeyboardInterrupt

    monkeypatch.setattr(execute, "_through_papermill", executed)
    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(KeyboardInterrupt):
        execute._run(tiny, job(tiny), partial, print)
    assert not finished(partial)
    monkeypatch.setattr(Path, "write_text", write)
    execute._run(tiny, job(tiny), partial, print)
    assert finished(partial)


def test_the_last_file_of_a_run_appears_when_all_others_are_on_disk(partial, monkeypatch):
    (partial / "tables").mkdir()
    others = [partial / "results.json", partial / "tables" / "draws.parquet"]
    for file in others:
        file.write_text("{}")
    synced, appeared, replace = set(), [], os.replace
    monkeypatch.setattr(os, "fsync", lambda number: synced.add(os.fstat(number).st_ino))
    monkeypatch.setattr(os, "replace", lambda source, target: (appeared.append(set(synced)), replace(source, target)))
    complete(partial, "{}")
    assert appeared == [{file.stat().st_ino for file in [*others, partial / "provenance.json"]}]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a tiny file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_is_one_clear_error_and_finished_runs_stay(tiny, small_disk, monkeypatch):
    monkeypatch.setenv("STUDIES_OUTPUTS", str(small_disk))
    finished = small_disk / "tiny" / "000000000000"
    finished.mkdir(parents=True)
    (finished / "provenance.json").write_text("{}")
    (small_disk / "ballast").write_bytes(b"x" * 1_000_000)
    progress = run_one(tiny)
    assert progress.state == FAILED
    assert progress.error.startswith("disk full while writing tiny")
    assert "\n" not in progress.error
    assert (finished / "provenance.json").read_text() == "{}"
    assert folders(small_disk)[0] == [finished]
    (small_disk / "ballast").unlink()
    assert run_one(tiny).state == DONE


def test_a_disk_that_is_full_elsewhere_is_the_cells_trouble_and_the_notebook_is_kept(tiny, outputs, monkeypatch):
    monkeypatch.setenv("TINY_JOURNAL", "/dev/full")
    progress = run_one(tiny)
    assert (progress.state, progress.kind, progress.cell) == (FAILED, "disk", "wait")
    assert progress.error == "OSError: [Errno 28] No space left on device"
    facts = json.loads((Path(progress.kept) / "error.json").read_text())
    assert (facts["kind"], facts["cell"]) == ("disk", "wait")
    assert "No space left" in (Path(progress.kept) / "notebook.ipynb").read_text()


@pytest.mark.parametrize(
    ("told", "kind"), [("[Errno 122] Disk quota exceeded: 'x'", "disk"), ("[Errno 13] Permission denied: 'x'", "cell")]
)
def test_a_quota_that_is_used_up_is_a_full_disk_too(tiny, partial, monkeypatch, told, kind):
    def fail(*_, **__):
        raise PapermillExecutionError(0, 1, "", "OSError", told, [])

    monkeypatch.setattr("papermill.execute_notebook", fail)
    trouble = execute._through_papermill(tiny, job(tiny), partial / "notebook.ipynb", print)
    assert (trouble.kind, str(trouble)) == (kind, f"OSError: {told}")


def test_a_failure_that_cannot_be_kept_is_told_all_the_same(tiny, outputs, partial, monkeypatch):
    (outputs / "tiny").mkdir(parents=True)
    (outputs / "tiny" / "failed").touch()
    monkeypatch.setattr(execute, "_through_papermill", lambda *_: RunFailed("no", "cell", "trouble"))
    with pytest.raises(RunFailed, match="no") as caught:
        execute._run(tiny, job(tiny), partial, print)
    assert (caught.value.kind, caught.value.cell, caught.value.kept) == ("cell", "trouble", None)


@pytest.fixture
def dying(tiny, outputs, tmp_path):
    """Bring jobs to the end of processes that die as they start; `said` is what they leave in their log."""

    def run(said, count=1):
        (tmp_path / "sitecustomize.py").write_text(f"import os\nos.write(1, {said!r})\nos.write(2, {said!r})\nos._exit(7)\n")
        jobs = [job(tiny, seed=seed) for seed in range(count)]
        with contextlib.closing(Launcher(["tiny"], 1, warm=False, env={"PYTHONPATH": str(tmp_path)})) as launcher:
            return [perform(Progress(one), launcher, lambda p: None, threading.Event()) for one in jobs]

    return run


def test_a_process_that_dies_without_an_event_is_told_by_its_log_whatever_bytes_are_in_it(dying):
    (p,) = dying(b"\xff died\n")
    assert (p.state, p.kind) == (FAILED, "process")
    assert p.error == "the run's process ended with code 7. \N{REPLACEMENT CHARACTER} died"


def test_runs_that_have_ended_keep_no_file_open(dying):
    before = psutil.Process().num_fds()
    outcomes = dying(b"died\n", count=3)
    assert [p.state for p in outcomes] == [FAILED] * 3
    assert psutil.Process().num_fds() == before


def test_plain_papermill_runs_the_notebook_and_refuses_unknown_names(tiny, outputs, tmp_path):
    def papermill(*words):
        return subprocess.run(
            [sys.executable, "-m", "papermill", str(tiny.notebook), str(tmp_path / "out.ipynb"), *words],
            capture_output=True, text=True,
        )  # fmt: skip

    assert papermill("-f", str(tiny.size_file("test"))).returncode == 0
    assert not outputs.exists(), "plain papermill writes where it was told and nowhere else"
    refused = papermill("-p", "no_such", "1")
    assert refused.returncode == 1
    assert "no_such: there is no such parameter; allowed: seed, n" in refused.stderr


def test_run_all_again_in_the_same_kernel_is_allowed(tiny):
    """Names that the notebook itself left behind are no parameters; only what papermill injected is looked at."""
    from lib.runs import start
    from lib.studies import ParamError

    namespace = {"In": ["", "n: int = 100"], "n": 50, "options": {"a": 1}, "rows": [1, 2], "draws": 3.0}
    assert start("tiny", namespace).params.n == 50
    assert start("tiny", namespace).params.n == 50
    injected = "# Parameters\nn = 50\nsede = 3\n"
    with pytest.raises(ParamError, match="sede: there is no such parameter"):
        start("tiny", namespace | {"In": ["", injected], "sede": 3})


def test_a_kernel_that_dies_is_a_failed_run_that_is_kept(tiny, outputs):
    child = start_child(job(tiny, sleep_s=30))
    wait_for(child, "cell wait", outputs)
    (kernel,) = [p for p in psutil.Process(child.pid).children(recursive=True) if p.name() == "studies-kernel"]
    kernel.kill()
    events = [json.loads(line) for line in child.stdout]
    assert child.wait(timeout=30) == 1
    assert events[-1]["event"] == "failed"
    assert "DeadKernelError" in events[-1]["error"]
    assert events[-1]["cell"] == "wait"
    assert json.loads((Path(events[-1]["kept"]) / "error.json").read_text())["cell"] == "wait"
    assert folders(outputs) == ([], [])
