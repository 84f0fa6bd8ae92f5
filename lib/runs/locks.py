"""Locks that say whether a process lives: the system lets go of them when it dies, and a heartbeat tells when it hangs."""

import contextlib
import math
import os
import platform
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

HOST = sha256(platform.node().encode()).hexdigest()[:6]  # names this machine in file names
BEAT_S = 5.0
PROBE = ".clock."  # how the name of a file begins that only lives while the file system's clock is read
FROZEN_S = 60.0  # without a beat for so long, a process is taken to hang


class Held(Exception):
    """A living process holds the lock."""


@contextlib.contextmanager
def held(path: Path, steal_when_frozen: bool = False) -> Iterator[None]:
    """Hold the lock `path` and touch it every few seconds; the file is removed on the way out. Raises Held.

    With `steal_when_frozen` a holder that lives but has not beaten for a minute (a stopped process, a machine asleep)
    counts for nothing, and the work goes on without the lock.
    """
    lock = FileLock(path, timeout=0)
    if not _acquired(lock, path, steal_when_frozen):
        yield
        return
    over = threading.Event()
    beating = threading.Thread(target=_beat, args=(path, over), daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        path.unlink(missing_ok=True)
        lock.release()


def _acquired(lock: FileLock, path: Path, steal_when_frozen: bool) -> bool:
    """Take the lock; False where its holder hangs and counts for nothing. Raises Held."""
    while True:
        try:
            lock.acquire()
            return True
        except Timeout:
            quiet_s = silence(path)
        if math.isfinite(quiet_s):  # else its holder has just left, and it can be had
            if steal_when_frozen and quiet_s > FROZEN_S:
                return False
            raise Held(path.name)


@contextlib.contextmanager
def abandoned(path: Path, host: str) -> Iterator[None]:
    """Take over the lock of a dead process, to tidy up after it. Raises Held while its holder may be alive.

    Some network file systems keep locks apart for each machine. So for a holder on another machine its heartbeat
    must have stopped as well.
    """
    if host != HOST and silence(path) < FROZEN_S:
        raise Held(path.name)
    try:
        with FileLock(path, timeout=0):
            yield
            path.unlink(missing_ok=True)
    except Timeout:
        raise Held(path.name) from None


def silence(path: Path) -> float:
    """Seconds since the last beat by the file system's own clock; infinite where there is no such file.

    Zero where the clock cannot be read, as on a full disk: a holder of whom nothing is known counts as alive.
    """
    try:
        last = path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
    except OSError:
        return 0.0
    probe = path.with_name(f"{PROBE}{HOST}.{os.getpid()}.{threading.get_ident()}")
    try:
        probe.touch()
        return probe.stat().st_mtime - last
    except OSError:
        return 0.0
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def drop_probes(room: Path) -> None:
    """Remove the files of processes that died while they read the clock."""
    for probe in room.glob(f"{PROBE}*"):
        host, _, process = probe.name.removeprefix(PROBE).partition(".")
        dead = host == HOST and not psutil.pid_exists(int(process.partition(".")[0]))
        if dead or silence(probe) > FROZEN_S:
            probe.unlink(missing_ok=True)


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
