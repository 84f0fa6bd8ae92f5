"""The crash matrix: whatever dies while a sweep runs, the same command brings every run to its end, once and whole."""

import contextlib
import os
import signal
import subprocess
import tempfile

import psutil
import pytest

from tests.runs.sweeping import begun, check, dask, descendants, end, finished, named, sweep, until

pytestmark = [pytest.mark.xdist_group("sweeps"), pytest.mark.slow]

GRID = ("-g", "seed=0:6", "--jobs", "2", "-p", "sleep_s=0.3")
RUNS, SLOTS = 6, 2


@pytest.fixture
def journal(tiny, outputs, tmp_path, monkeypatch):
    """Where every run says that it has begun; temporary files of kernels go to a folder of their own."""
    monkeypatch.setenv("TINY_JOURNAL", str(tmp_path / "journal"))
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        yield tmp_path / "journal"


def some_finished(outputs, process):
    """Wait until two runs are finished; their times."""
    return until(lambda: (done := finished(outputs)) and len(done) >= 2 and done, "two finished runs", process)


def untouched(before, outputs):
    now = finished(outputs)
    return {name: now.get(name) for name in before} == before


@pytest.mark.parametrize(
    ("victim", "engine"),
    [("studies-kernel", "local"), ("studies-kernel", "dask"), ("studies-run", "dask"), ("studies-warm", "local")],
)
def test_a_dead_kernel_child_or_template_costs_one_attempt(outputs, journal, engine, victim):
    process = sweep(*GRID, "--engine", engine)
    before = some_finished(outputs, process)
    until(lambda: named(process, victim), victim, process)[0].kill()
    said = end(process)
    check(outputs, RUNS)
    assert untouched(before, outputs)
    assert sum(begun(journal).values()) <= RUNS + 1
    if victim != "studies-warm":  # the runs of a dead template go on
        assert "died 1 times" in said or sum(begun(journal).values()) == RUNS


def test_a_dead_worker_is_replaced(outputs, journal):
    process = sweep(*GRID)
    before = some_finished(outputs, process)
    until(lambda: named(process, "studies-warm"), "a template", process)[0].parent().kill()
    end(process)
    check(outputs, RUNS)
    assert untouched(before, outputs)
    assert sum(begun(journal).values()) <= RUNS + SLOTS


@pytest.mark.parametrize(
    ("sign", "engine"),
    [(signal.SIGKILL, "local"), (signal.SIGKILL, "dask"), (signal.SIGTERM, "dask"), (signal.SIGINT, "dask")],
)
def test_a_dead_driver_costs_what_was_under_way(outputs, journal, engine, sign):
    process = sweep(*GRID, "--engine", engine)
    before = some_finished(outputs, process)
    family = descendants(process)
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert process.returncode == (130 if sign == signal.SIGINT else -sign)
    until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family), "the end of what it started")
    end(sweep(*GRID, "--engine", engine))
    check(outputs, RUNS)
    assert untouched(before, outputs)
    assert sum(begun(journal).values()) <= RUNS + SLOTS


def test_workers_and_scheduler_started_by_hand(outputs, journal, tmp_path):
    """They know nothing of this test's folders: all they need comes with the work. Then one worker dies, then the scheduler."""
    with dask(2, tmp_path, TINY_JOURNAL=str(journal), TMPDIR=os.environ["TMPDIR"]) as (address, scheduler, workers):
        process = sweep(*GRID, "--scheduler", address)
        before = some_finished(outputs, process)
        for p in [*descendants(workers[0]), workers[0]]:
            with contextlib.suppress(psutil.NoSuchProcess):  # a run may come to its end meanwhile
                p.kill()
        end(process)
        check(outputs, RUNS)
        assert untouched(before, outputs)
        assert sum(begun(journal).values()) <= RUNS + 1

        before = finished(outputs)
        more = ("-g", "seed=10:16", "-p", "sleep_s=0.3", "--scheduler", address)
        process = sweep(*more)
        until(lambda: len(finished(outputs)) >= RUNS + 2, "two more runs", process)
        before |= finished(outputs)
        scheduler.kill()
        assert "the same command goes on with the rest" in end(process, code=1)
        assert untouched(before, outputs)
    end(sweep(*more[:-2], "--jobs", "2"))
    assert len(finished(outputs)) == 2 * RUNS
    assert untouched(before, outputs)
    assert list((outputs / "tiny" / ".partial").iterdir()) == []


def test_a_worker_paused_past_its_time_out_loses_its_work_to_others_and_repeats_none(outputs, journal, tmp_path):
    ttl = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "3s"}
    with dask(2, tmp_path, TINY_JOURNAL=str(journal), TMPDIR=os.environ["TMPDIR"], **ttl) as (address, _, workers):
        process = sweep(*GRID[:2], "-p", "sleep_s=1.0", "--scheduler", address)
        before = some_finished(outputs, process)
        paused = [p for p in descendants(workers[0]) if p.name() != "studies-warm" and "studies" not in p.name()]
        for p in paused:
            p.suspend()
        end(process)
        for p in paused:
            with contextlib.suppress(psutil.NoSuchProcess):  # the scheduler may have had it ended
                p.resume()
        assert untouched(before, outputs)
        assert sum(begun(journal).values()) <= RUNS + 1
    check(outputs, RUNS)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """An outputs folder on a file system of twelve megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting a tiny file system needs root")
    monkeypatch.setenv("STUDIES_OUTPUTS", str(folder))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Leave no room in a file system."""
    with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def test_a_full_disk_fails_the_runs_that_do_not_fit_and_no_other(tiny, journal, disk):
    process = sweep(*GRID, "--engine", "local")
    before = some_finished(disk, process)
    fill(disk)
    said = end(process, code=1)
    assert "disk full while writing tiny" in said or "No space left on device" in said  # in the notebook, or in a cell
    assert "Traceback" not in said
    assert untouched(before, disk)
    (disk / "ballast").unlink()
    end(sweep(*GRID, "--engine", "local"))
    check(disk, RUNS)
    assert untouched(before, disk)


def test_two_sweeps_side_by_side_share_the_work(outputs, journal):
    """The same grid twice at the same time: each run is made once, both sweeps end well."""
    both = [sweep(*GRID, "--engine", "local") for _ in range(2)]
    for process in both:
        end(process)
    check(outputs, RUNS)
    assert begun(journal) == {str(seed): 1 for seed in range(RUNS)}
