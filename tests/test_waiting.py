"""How threads of one computation wait for each other, as GNU's OpenMP itself says when it is loaded."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARIES = list(Path(importlib.util.find_spec("torch").origin).parent.glob("lib/libgomp*"))
LOAD = f"import ctypes; ctypes.CDLL({str(LIBRARIES[0])!r})" if LIBRARIES else ""
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="torch brings another OpenMP library here")


def spins(code, **chosen):
    """How often a waiting thread turns before it sleeps, in a process whose environment is clean but for `chosen`."""
    clean = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = clean | {"OMP_DISPLAY_ENV": "verbose"} | chosen
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return next(int(line.split("'")[1]) for line in done.stderr.splitlines() if "GOMP_SPINCOUNT" in line)


def test_threads_soon_sleep_while_they_wait():
    assert spins(f"import lib; {LOAD}") < spins(LOAD) / 100


def test_runs_and_their_processes_have_lib_before_torch():
    assert spins("import lib.runs.child, lib.runs.template, torch") == spins(f"import lib; {LOAD}")


@pytest.mark.parametrize("chosen", [{"GOMP_SPINCOUNT": "777"}, {"OMP_WAIT_POLICY": "active"}])
def test_what_somebody_chose_stays(chosen):
    assert spins(f"import lib; {LOAD}", **chosen) == spins(LOAD, **chosen)
