"""Locks and leases between real processes: what a dead, a stopped and a far-away holder means."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from lib.runs import locks
from lib.runs.job import Job
from lib.runs.locks import BEAT_S, FROZEN_S, HOST, Held, abandoned, held, silence
from lib.runs.places import lease, partial_folder, publish, sweep_leftovers
from tests.runs.sweeping import WHOLE, finished, named, until

pytestmark = pytest.mark.xdist_group("runs")

ELSEWHERE = "f" * 6 if HOST != "f" * 6 else "e" * 6
HOLD = """
import sys, time
from pathlib import Path
from lib.runs.locks import Held, held
try:
    with held(Path(sys.argv[1]), steal_when_frozen="steal" in sys.argv):
        print("held", flush=True)
        sys.stdin.read()
except Held as name:
    print("refused", name, flush=True)
"""


@pytest.fixture
def holder():
    """Start a process that holds a lock until its standard input closes; what it said first comes with it."""
    started = []

    def start(path, *words):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "work.lock"


def age(path, seconds):
    """Let the last beat be some time ago."""
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_a_lock_is_held_by_one_and_gone_afterwards(lock, holder):
    process, said = holder(lock)
    assert said == "held"
    with pytest.raises(Held, match=lock.name), held(lock):
        pass
    assert holder(lock)[1] == f"refused {lock.name}"
    assert lock.exists(), "whoever was refused has taken nothing away"
    process.communicate()
    assert not lock.exists()
    with held(lock):
        assert lock.exists()
        with pytest.raises(Held), held(lock):
            pass
    assert not lock.exists()


def test_an_error_lets_go_of_the_lock(lock):
    with pytest.raises(ZeroDivisionError), held(lock):
        1 / 0  # noqa: B018
    assert not lock.exists()
    with held(lock):
        pass


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_the_system_lets_go_of_the_lock_of_a_dead_process(lock, holder, sign):
    process, _ = holder(lock)
    process.send_signal(sign)
    process.wait()
    assert lock.exists(), "it could not tidy up"
    assert holder(lock)[1] == "held"


def test_a_holder_beats(lock, holder):
    holder(lock)
    age(lock, 1000)
    until(lambda: silence(lock) < BEAT_S, "a beat")


def test_silence_is_counted_from_the_last_beat_and_leaves_nothing(lock):
    assert silence(lock) == float("inf")
    lock.touch()
    assert -0.1 < silence(lock) < 5
    age(lock, 1000)
    assert 999 < silence(lock) < 1010
    assert list(lock.parent.iterdir()) == [lock]
    assert silence(lock.parent / "nowhere" / "x.lock") == float("inf")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs a folder in which no file can be made")
def test_where_the_clock_cannot_be_read_a_holder_counts_as_alive():
    assert silence(Path("/proc/self/stat")) == 0.0
    with pytest.raises(Held), abandoned(Path("/proc/self/stat"), ELSEWHERE):
        pass


def test_a_holder_that_has_just_left_is_not_taken_for_one_that_hangs(lock, holder, monkeypatch):
    process, _ = holder(lock)

    def leave_first(path):
        process.communicate()
        return silence(path)

    monkeypatch.setattr(locks, "silence", leave_first)
    with held(lock, steal_when_frozen=True):
        assert holder(lock)[1] == f"refused {lock.name}", "it is ours now"
    assert not lock.exists()


@pytest.mark.parametrize("stopped_for", [0.5 * FROZEN_S, 2 * FROZEN_S])
def test_only_a_lease_whose_holder_hangs_is_stolen(lock, holder, stopped_for):
    process, _ = holder(lock)
    process.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "the stop")
    age(lock, stopped_for)
    assert holder(lock)[1] == f"refused {lock.name}", "a lock that is no lease is never stolen"
    assert holder(lock, "steal")[1] == ("held" if stopped_for > FROZEN_S else f"refused {lock.name}")


def test_the_holder_that_hung_comes_back_and_harms_nobody(lock, holder):
    process, _ = holder(lock)
    process.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED, "the stop")
    age(lock, 2 * FROZEN_S)
    thief, said = holder(lock, "steal")
    assert said == "held"
    process.send_signal(signal.SIGCONT)
    process.communicate()
    thief.communicate()
    assert (process.returncode, thief.returncode) == (0, 0)
    assert not lock.exists()


def test_a_dead_process_is_tidied_up_after_and_a_living_one_is_not(lock, holder):
    process, _ = holder(lock)
    with pytest.raises(Held), abandoned(lock, HOST):
        pass
    assert lock.exists()
    process.kill()
    process.wait()
    with abandoned(lock, HOST):
        assert holder(lock)[1] == f"refused {lock.name}", "one at a time tidies up"
    assert not lock.exists()


def test_a_holder_elsewhere_must_have_stopped_beating_too(lock):
    """Its lock may not be seen from here: only the beats tell."""
    lock.touch()
    with pytest.raises(Held), abandoned(lock, ELSEWHERE):
        pass
    assert lock.exists()
    age(lock, 2 * FROZEN_S)
    with abandoned(lock, ELSEWHERE):
        pass
    assert not lock.exists()


def leave(outputs, run_id, host, files=("results.json",), silent_s=None):
    """What a process left in the making; `silent_s` seconds ago its lock was touched last, None: there is no lock."""
    folder = outputs / "tiny" / ".partial" / f"{run_id}.{host}.{'0' * 8}"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("{}")
    if silent_s is not None:
        lock = folder.with_name(f"{folder.name}.lock")
        lock.touch()
        age(lock, silent_s)
    return folder


def test_leftovers_of_the_dead_go_and_the_work_of_the_living_stays(outputs, holder):
    room = outputs / "tiny" / ".partial"
    dead_here = leave(outputs, "a" * 12, HOST, silent_s=0)
    alive_here = leave(outputs, "b" * 12, HOST, silent_s=1000)
    alive_elsewhere = leave(outputs, "c" * 12, ELSEWHERE, silent_s=0.5 * FROZEN_S)
    dead_elsewhere = leave(outputs, "d" * 12, ELSEWHERE, silent_s=2 * FROZEN_S)
    without_lock = leave(outputs, "e" * 12, HOST)
    whole_elsewhere = leave(outputs, "f" * 12, ELSEWHERE, files=("results.json", "provenance.json"), silent_s=2 * FROZEN_S)
    process, said = holder(room / f"{alive_here.name}.lock")
    assert said == "held"

    sweep_leftovers("tiny")
    assert alive_here.is_dir()
    assert alive_elsewhere.is_dir()
    assert not any(folder.exists() for folder in (dead_here, dead_elsewhere, without_lock, whole_elsewhere))
    assert set(finished(outputs)) == {"f" * 12}, "what was whole is put in its place"
    assert {f.name for f in room.iterdir()} == {
        name for folder in (alive_here, alive_elsewhere) for name in (folder.name, f"{folder.name}.lock")
    }
    process.kill()
    process.wait()
    sweep_leftovers("tiny")
    assert {f.name.partition(".")[0] for f in room.iterdir()} == {"c" * 12}


def test_a_whole_run_that_is_left_over_does_not_replace_the_one_in_place(outputs):
    leave(outputs, "a" * 12, HOST, files=("provenance.json",))
    there = outputs / "tiny" / ("a" * 12)
    there.mkdir()
    (there / "provenance.json").write_text('{"first": true}')
    sweep_leftovers("tiny")
    assert (there / "provenance.json").read_text() == '{"first": true}'
    assert list((outputs / "tiny" / ".partial").iterdir()) == []


def test_leases_of_the_dead_go_and_those_of_the_living_stay(outputs, holder):
    room = outputs / "tiny" / ".partial"
    room.mkdir(parents=True)
    dead, _ = holder(room / f"{'a' * 12}.lease")
    holder(room / f"{'b' * 12}.lease")
    dead.kill()
    dead.wait()
    age(room / f"{'a' * 12}.lease", 2 * FROZEN_S)
    sweep_leftovers("tiny")
    assert [f.name for f in room.iterdir()] == [f"{'b' * 12}.lease"]
    with pytest.raises(Held), lease("tiny", "b" * 12):
        pass
    with lease("tiny", "a" * 12):
        pass


def test_the_lease_of_a_finished_run_goes_at_once_unless_somebody_makes_it_again(outputs, holder):
    """A process may be stopped when its run is in its place and the lease is not yet given back."""
    room = outputs / "tiny" / ".partial"
    room.mkdir(parents=True)
    for name in ("a" * 12, "b" * 12):
        (outputs / "tiny" / name).mkdir()
        (outputs / "tiny" / name / "provenance.json").write_text("{}")
    (room / f"{'a' * 12}.lease").touch()
    holder(room / f"{'b' * 12}.lease")
    sweep_leftovers("tiny")
    assert [f.name for f in room.iterdir()] == [f"{'b' * 12}.lease"]


def test_what_the_dead_left_of_looking_at_the_clock_goes(outputs, holder):
    room = outputs / "tiny" / ".partial"
    room.mkdir(parents=True)
    dead, _ = holder(room / "x.lock")
    dead.kill()
    dead.wait()
    alive, elsewhere = (room / f".clock.{host}.{pid}.1" for host, pid in ((HOST, os.getpid()), (ELSEWHERE, dead.pid)))
    for probe in (alive, elsewhere, room / f".clock.{HOST}.{dead.pid}.1"):
        probe.touch()
    sweep_leftovers("tiny")
    assert {f.name for f in room.iterdir() if f.name.startswith(".")} == {alive.name, elsewhere.name}
    age(elsewhere, 2 * FROZEN_S)
    sweep_leftovers("tiny")
    assert not elsewhere.exists()


def test_locks_that_another_machine_may_hold_stay_while_they_are_young(outputs):
    """It holds a lock before it makes the folder; whose a lease is, no name tells. Whether it is held is not seen from here."""
    room = outputs / "tiny" / ".partial"
    room.mkdir(parents=True)
    young = [room / f"{'a' * 12}.lease", room / f"{'a' * 12}.{ELSEWHERE}.00000000.lock"]
    for lock in [*young, room / f"{'b' * 12}.{HOST}.00000000.lock"]:
        lock.touch()
    sweep_leftovers("tiny")
    assert set(room.iterdir()) == set(young)
    for lock in young:
        age(lock, 2 * FROZEN_S)
    sweep_leftovers("tiny")
    assert list(room.iterdir()) == []


def test_a_whole_run_whose_removal_was_cut_short_is_not_put_in_its_place(tiny, outputs, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # it got no further
        with partial_folder(tiny, "a" * 12) as folder:
            (folder / "provenance.json").write_text("{}")
    sweep_leftovers("tiny")
    assert finished(outputs) == {}
    assert list((outputs / "tiny" / ".partial").iterdir()) == []


def test_a_folder_that_nobody_of_us_made_does_not_stop_every_run(outputs):
    (outputs / "tiny" / ".partial" / "stray").mkdir(parents=True)
    sweep_leftovers("tiny")


def test_the_second_to_finish_a_run_drops_its_copy(tiny, outputs):
    target = outputs / "tiny" / ("a" * 12)
    for number in range(2):
        with partial_folder(tiny, target.name) as folder:
            assert folder.name.split(".")[:2] == [target.name, HOST]
            (folder / "provenance.json").write_text(f'{{"number": {number}}}')
            assert publish(folder, target, replace=False) == target
    assert (target / "provenance.json").read_text() == '{"number": 0}'
    with partial_folder(tiny, target.name) as folder:
        (folder / "provenance.json").write_text('{"number": 2}')
        publish(folder, target, replace=True)
    assert (target / "provenance.json").read_text() == '{"number": 2}'
    assert list((outputs / "tiny" / ".partial").iterdir()) == []


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Start the process of a run; the runs that begin write their seeds to a journal."""
    monkeypatch.setenv("TINY_JOURNAL", str(tmp_path / "journal"))
    started = []
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        monkeypatch.setenv("TMPDIR", folder)

        def start(job):
            words = [sys.executable, "-m", "lib.runs.child", job.to_json()]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(words, text=True, **pipes))
            return started[-1]

        yield start
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.communicate()


def jobs(tiny, **changes):
    """The same work for somebody patient and for somebody who is not."""
    params = tiny.study.params.parse(changes)
    return [*Job.many("tiny", [params]), *Job.many("tiny", [params], patient=False)]


def last_event(process):
    said = process.stdout.read()  # its standard input stays open: a run ends when nobody wants it any more
    process.wait(timeout=60)
    return said.splitlines()[-1]


@pytest.mark.slow
def test_the_same_run_is_made_by_one_while_others_wait_or_leave(tiny, outputs, child, tmp_path):
    patient, hasty = jobs(tiny, sleep_s=1)
    first = child(patient)
    until(lambda: (tmp_path / "journal").exists(), "the first at work", first)
    (kernel,) = named(first, "studies-kernel")
    kernel.suspend()  # so that the run takes until the others have come
    waiting, leaving = child(patient), child(hasty)
    assert last_event(leaving) == '{"event": "held"}'
    assert leaving.returncode == 1
    assert first.poll() is waiting.poll() is None
    kernel.resume()
    for process in (first, waiting):
        assert f'"event": "done", "folder": "{patient.folder}"' in last_event(process)
        assert process.returncode == 0
    assert (tmp_path / "journal").read_text() == "0\n", "it was begun once"
    assert {f.name for f in patient.folder.iterdir()} == WHOLE
    assert list((outputs / "tiny" / ".partial").iterdir()) == []


@pytest.mark.slow
def test_the_run_of_a_process_that_hangs_is_made_by_another_and_comes_out_once(tiny, outputs, child, tmp_path):
    """Stopped, as on a machine asleep: another makes the run; the first wakes up, finishes too and drops its copy."""
    patient, hasty = jobs(tiny, sleep_s=1)
    first = child(patient)
    until(lambda: (tmp_path / "journal").exists(), "the first at work", first)
    first.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(first.pid).status() == psutil.STATUS_STOPPED, "the stop")
    for lock in (outputs / "tiny" / ".partial").glob("*.l*"):
        age(lock, 2 * FROZEN_S)
    assert '"event": "done"' in last_event(child(hasty))
    before = finished(outputs)
    assert set(before) == {patient.run_id}
    first.send_signal(signal.SIGCONT)
    assert '"event": "done"' in last_event(first)
    assert finished(outputs) == before
    assert (tmp_path / "journal").read_text() == "0\n0\n"
    assert [f for f in Path(outputs / "tiny" / ".partial").iterdir() if f.is_dir()] == []
