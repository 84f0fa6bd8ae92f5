"""Sweeps on a real Slurm: controller, node and login all on this machine, started for the test."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
import yaml

from tests.runs.sweeping import check, end, finished, sweep, until

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"

pytestmark = [
    pytest.mark.xdist_group("sweeps"),
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not all(shutil.which(name, path=PATH) for name in NEEDED),
        reason="NO SLURM HERE: apt-get install slurmctld slurmd slurm-client munge, and be root",
    ),
]

CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={home}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=1500 State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def said(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def slurm():
    """A folder with a running one-node Slurm; its commands work in this environment."""
    home = Path(tempfile.mkdtemp(prefix="slurm"))
    home.chmod(0o755)
    for name in ("state", "spool"):
        (home / name).mkdir()
    (home / "munge.key").write_bytes(os.urandom(1024))
    (home / "munge.key").chmod(0o400)
    host = socket.gethostname().split(".")[0]
    conf = CONF.format(host=host, home=home, ports=free_ports(2), cores=os.cpu_count())
    (home / "slurm.conf").write_text(conf)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", PATH)
        patch.setenv("SLURM_CONF", str(home / "slurm.conf"))
        places = [f"--{name.replace('_', '-')}={home}/munge.{name.split('_')[0]}" for name in ("socket", "pid_file", "log_file")]
        keys = [f"--key-file={home}/munge.key", f"--seed-file={home}/munge.seed"]
        subprocess.run(["munged", "--force", *keys, *places], check=True, capture_output=True)
        subprocess.run(["slurmctld"], check=True)
        until(lambda: (home / "slurmctld.pid").exists(), "slurmctld")
        subprocess.run(["slurmd"], check=True)
        try:
            until(lambda: said("sinfo", "-h", "-o", "%T").strip() == "idle", "an idle node")
            yield home
        finally:
            said("scancel", "--full", "-u", "root")
            for name in ("slurmd", "slurmctld", "munge"):
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int((home / f"{name}.pid").read_text()), signal.SIGKILL if name == "slurmd" else signal.SIGTERM)
            shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def asked(slurm, tmp_path):
    """A file for --slurm that fits the tests' cluster."""
    file = tmp_path / "slurm.yaml"
    wishes = {"jobs": 1, "cores": 2, "runs_per_job": 2, "memory": "1GB", "walltime": "00:30:00", "partition": "tests"}
    file.write_text(yaml.safe_dump(wishes | {"interface": "lo", "logs": str(tmp_path / "logs")}))
    return file


def test_a_sweep_on_slurm_comes_to_its_end_and_gives_the_job_back(tiny, outputs, asked):
    end(sweep("-g", "seed=0:4", "--slurm", str(asked)))
    check(outputs, 4)
    until(lambda: said("squeue", "-h") == "", "an empty queue")


def test_a_job_that_slurm_cancels_is_asked_for_again(tiny, outputs, asked):
    process = sweep("-g", "seed=0:6", "-p", "sleep_s=0.5", "--slurm", str(asked))
    before = until(lambda: (done := finished(outputs)) and len(done) >= 2 and done, "two finished runs", process)
    first = said("squeue", "-h", "-o", "%i").split()
    subprocess.run(["scancel", *first], check=True)
    end(process)
    check(outputs, 6)
    assert {name: finished(outputs)[name] for name in before} == before
