"""Workers as Slurm jobs: a small file says what to ask Slurm for, dask-jobqueue writes and submits the job scripts."""

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lib.studies import ParamError
from lib.studies.params import read_yaml

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster

LEAVE_S = 300  # before its wall time a worker leaves by itself; runs it has under way are begun again by another one


class SlurmFile(BaseModel):
    """What a file for --slurm may hold; params/slurm.yaml explains each entry."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    jobs: int = Field(ge=1, le=1000)
    cores: int = Field(ge=1)
    runs_per_job: int = Field(ge=1)
    memory: str = Field(pattern=r"^[1-9]\d* ?(MB|GB|MiB|GiB)$")
    walltime: str = Field(pattern=r"^(\d+-)?\d{1,2}:[0-5]\d:[0-5]\d$")
    partition: str | None = None
    account: str | None = None
    interface: str | None = None
    options: list[str] = []
    before: list[str] = []
    logs: str = "outputs/slurm-logs"

    @field_validator("walltime", mode="before")
    @classmethod
    def _seconds_are_a_time(cls, given: object) -> object:
        """YAML reads 24:00:00 without quotes as a number of seconds."""
        if isinstance(given, bool) or not isinstance(given, int):
            return given
        return (
            f"{given // 3600:02d}:{given // 60 % 60:02d}:{given % 60:02d}"
            if given < 360_000
            else f"{given // 86400}-{given % 86400 // 3600:02d}:{given // 60 % 60:02d}:{given % 60:02d}"
        )

    @property
    def seconds(self) -> int:
        """The wall time in seconds."""
        days, _, clock = self.walltime.rpartition("-")
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def read_slurm_file(path: Path) -> SlurmFile:
    """The checked file. Raises ParamError that names file, entry, value and what is allowed."""
    values = read_yaml(path)
    try:
        asked = SlurmFile.model_validate(values)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        name, fields = str(fault["loc"][0]), SlurmFile.model_fields
        got = "nothing" if fault["type"] == "missing" else repr(values.get(name))
        rule = f"{', '.join(fields)}" if name not in fields else fault["msg"]
        raise ParamError(f"{path}: {name}: got {got}, allowed: {rule}") from None
    if asked.runs_per_job > asked.cores:
        raise ParamError(f"{path}: runs_per_job: got {asked.runs_per_job}, allowed: up to cores, which is {asked.cores}")
    if asked.seconds <= 2 * LEAVE_S:
        raise ParamError(f"{path}: walltime: got {asked.walltime}, allowed: more than {2 * LEAVE_S // 60} minutes")
    return asked


def slurm_cluster(asked: SlurmFile) -> "SLURMCluster":
    """A scheduler here, and the description of the jobs; nothing is submitted yet."""
    from dask_jobqueue import SLURMCluster

    return SLURMCluster(
        cores=asked.runs_per_job, processes=1, memory=asked.memory, walltime=asked.walltime, job_cpu=asked.cores,
        queue=asked.partition, account=asked.account, interface=asked.interface, job_extra_directives=asked.options,
        job_script_prologue=asked.before, log_directory=asked.logs, job_name="studies",
        worker_extra_args=["--lifetime", f"{asked.seconds - LEAVE_S}s", "--lifetime-stagger", f"{LEAVE_S // 2}s"],
        scheduler_options={"dashboard_address": "127.0.0.1:0"}, nanny=True,
    )  # fmt: skip


def job_script(asked: SlurmFile) -> str:
    """The script that `submit` would give to sbatch. The folder for logs, which dask-jobqueue makes at once, is removed."""
    logs = Path(asked.logs).absolute()
    new = [folder for folder in (logs, *logs.parents) if not folder.exists()]
    try:
        with slurm_cluster(asked) as cluster:
            return cluster.job_script()
    finally:
        with contextlib.suppress(OSError):
            for folder in new:
                folder.rmdir()


def submit(asked: SlurmFile) -> "SLURMCluster":
    """Ask Slurm for the jobs, and again for one that ends too early. Raises ParamError where there is no Slurm."""
    if shutil.which("sbatch") is None:
        raise ParamError("--slurm: got a machine without the command sbatch, allowed: a login node of a Slurm cluster")
    cluster = slurm_cluster(asked)
    cluster.adapt(minimum_jobs=asked.jobs, maximum_jobs=asked.jobs, interval="2s")
    return cluster
