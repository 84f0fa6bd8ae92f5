"""The Dask engine: a cluster of this machine's own, one whose scheduler has an address, or one that Slurm runs."""

import contextlib
import logging
import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster, SpecCluster

from lib import parallel
from lib.runs.job import Job
from lib.runs.launch import FAILED, Progress
from lib.runs.sweeps import remote
from lib.runs.sweeps.engines import ClusterLost, Heard
from lib.studies import ParamError

HERE = "127.0.0.1"
ANSWER_S = 5.0  # for the scheduler, or for all workers, to answer a question
GONE_S = 20.0  # without the scheduler, the cluster is taken for lost


class DaskEngine:
    """Runs as tasks of a Dask cluster. A task's key is its run id, so that Dask too knows the same work when it sees it."""

    def __init__(self, client: Client, cluster: Any, folder: Path, threads: int, heard: Heard) -> None:
        self._address = client.scheduler.address
        self._client, self._cluster, self._folder, self._threads = client, cluster, str(folder), threads
        self._done: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._futures: dict[str, tuple[Job, Future]] = {}
        self._silent_since: float | None = None
        self._submitted = 0  # earlier ones first: Dask by itself takes the latest
        client.subscribe_topic(remote.TOPIC, lambda said: heard(said[1]["run"], said[1]))

    @property
    def slots(self) -> int:
        """Runs that the workers take at a time, 0 also while the scheduler does not answer."""
        try:
            found = sum(self._client.sync(self._client.scheduler.ncores, callback_timeout=ANSWER_S).values())
        except Exception:  # a client that lost its scheduler fails in several ways
            self._silent_since = self._silent_since or time.monotonic()
            return 0
        self._silent_since = None
        return found

    def submit(self, job: Job) -> None:
        """Take on a job."""
        self._submitted += 1
        future = self._client.submit(
            remote.work, job.to_json(), self._folder, self._threads, remote.environment(),
            key=job.run_id, pure=False, priority=-self._submitted,
        )  # fmt: skip
        self._futures[future.key] = job, future
        future.add_done_callback(self._done.put)

    def next(self, timeout: float) -> Progress | None:
        """A job that came to its end, or None when the time is over. Raises ClusterLost."""
        try:
            future = self._done.get(timeout=timeout)
        except queue.Empty:
            self._check()
            return None
        job, _ = self._futures.pop(future.key, (None, None))
        if job is None:
            return None
        return self._outcome(Progress(job), future)

    def _outcome(self, p: Progress, future: Future) -> Progress:
        if future.status == "finished":
            try:
                facts = future.result(timeout=GONE_S)
            except (OSError, CancelledError):  # a scheduler that dies now takes the answer along; what is finished lies on disk
                raise ClusterLost(f"the scheduler at {self._address} does not answer any more") from None
            p.began, p.ended = 1.0, 1.0 + facts.pop("elapsed")
            for name, value in facts.items():
                setattr(p, name, value)
            return p
        if future.status in ("cancelled", "lost"):
            raise ClusterLost("the scheduler forgot its work, as it does when it is started anew")
        error = future.exception()
        p.state, p.kind, p.error = FAILED, "worker", f"{type(error).__name__}: {' '.join(str(error).split())}"
        p.strikes = error.allowed_failures + 1 if isinstance(error, KilledWorker) else 0
        return p

    def _check(self) -> None:
        gone = self._silent_since is not None and time.monotonic() - self._silent_since > GONE_S
        if gone or self._client.status == "closed":
            raise ClusterLost(f"the scheduler at {self._address} does not answer any more")

    def close(self, now: bool) -> None:
        """Let go; with `now`, stop what is running."""
        if now and self._client.status == "running":
            self._client.cancel([future for _, future in self._futures.values()], reason="interrupted")
            with contextlib.suppress(Exception):  # a worker that does not answer ends its run by itself
                self._client.run(remote.stop, self._folder, on_error="ignore", callback_timeout=ANSWER_S)
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)


def local(workers: int) -> LocalCluster:
    """A scheduler and one worker process with `workers` slots: a worker only waits for children, so that one will do."""
    settings = {"distributed.admin.system-monitor.gil.enabled": False}
    with dask.config.set(settings):
        return LocalCluster(
            n_workers=1,
            threads_per_worker=workers,
            memory_limit=0,
            dashboard_address=f"{HERE}:0",
            host=HERE,
            silence_logs=logging.CRITICAL,
        )


def connect(make: Callable[[], SpecCluster] | str) -> tuple[Client, SpecCluster | None]:
    """A client of the scheduler at an address, or of a cluster that is made here. Raises ParamError for no answer."""
    quiet()
    if not isinstance(make, str):
        cluster = make()
        return Client(cluster, set_as_default=False), cluster
    try:
        return parallel.connect(make), None
    except (OSError, ValueError) as error:
        told = "allowed: the address of a Dask scheduler that is running, such as tcp://host:8786"
        raise ParamError(f"--scheduler: got {make!r}, {told} ({' '.join(str(error).split())})") from None


def check_workers(client: Client) -> None:
    """Make sure that the workers that are there can run us. Raises ParamError.

    One that does not answer keeps nobody from the others: the scheduler gives its work to them.
    """
    answers = {}
    with contextlib.suppress(TimeoutError):
        answers = client.run(remote.probe, on_error="return", callback_timeout=ANSWER_S)
    for address, answer in answers.items():
        if isinstance(answer, BaseException):
            raise ParamError(
                f"--scheduler: worker {address} cannot import this package ({type(answer).__name__}: {answer}), "
                "allowed: workers started in the same environment"
            )
        if answer != parallel.source_digest():
            raise ParamError(
                f"--scheduler: worker {address} has another source of lib, "
                "allowed: workers started from this checkout as it is now"
            )


def quiet() -> None:
    """Keep Dask's own log off the terminal: what matters is said by the sweep."""
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
