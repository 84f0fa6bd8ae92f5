"""The Dask engine and workers that are not as they should be: of another checkout, mute, or dead whenever they get work."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from distributed import Client

from lib.runs.job import Job
from lib.runs.launch import FAILED, Progress
from lib.runs.sweeps import cluster
from lib.runs.sweeps.cluster import DaskEngine, check_workers
from lib.runs.sweeps.engines import ClusterLost
from lib.studies import ParamError
from tests.runs.sweeping import PATIENCE_S, checkout, dask, descendants, until

pytestmark = pytest.mark.xdist_group("sweeps")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A scheduler that forgives no dead worker, and a worker whose lib is not ours: address and the worker's process."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(checkout() / "lib", folder / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "lib" / "seeds.py").open("a") as file:
        file.write("# changed\n")
    with dask(1, folder, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as (address, _, (worker,)):
        yield address, worker


@pytest.fixture
def client(place):
    with Client(place[0], timeout=PATIENCE_S, set_as_default=False) as made:
        made.wait_for_workers(1, timeout=PATIENCE_S)
        yield made


@pytest.fixture
def engine(client, tmp_path):
    return DaskEngine(client, None, tmp_path, 1, lambda *_: None)


def test_a_worker_of_another_checkout_is_named(client, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER_S", PATIENCE_S)
    (address,) = client.nthreads()
    with pytest.raises(ParamError) as refused:
        check_workers(client)
    assert str(refused.value).startswith(f"--scheduler: worker {address} has another source of lib, allowed: ")


def test_workers_that_do_not_answer_are_not_waited_for(place, client, engine, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER_S", 0.5)
    mute = [*descendants(place[1]), place[1]]
    with ThreadPoolExecutor(1) as pool:
        try:
            for process in mute:
                process.send_signal(signal.SIGSTOP)
            pool.submit(check_workers, client).result(timeout=20)
            pool.submit(engine.close, True).result(timeout=20)
        finally:
            for process in mute:
                process.send_signal(signal.SIGCONT)


def test_every_worker_that_a_run_has_cost_is_counted_as_the_scheduler_counts(client, engine, tiny):
    """Not as this process is configured, which may be another machine: there three are forgiven."""
    future = client.submit(os._exit, 3, pure=False)
    until(future.done, "the end of the worker and the task")
    p = engine._outcome(Progress(Job.of("tiny", tiny.size_params("test"))), future)
    assert (p.state, p.kind, p.strikes) == (FAILED, "worker", 1)


def test_an_answer_that_a_dying_scheduler_takes_along_is_a_lost_cluster(tiny, tmp_path):
    with dask(1, tmp_path) as (address, scheduler, _):
        client = Client(address, timeout=PATIENCE_S, set_as_default=False)
        engine = DaskEngine(client, None, tmp_path, 1, lambda *_: None)
        engine.submit(
            Job.of("tiny", tiny.size_params("test"))
        )  # the folder holds no plan: refused at once, and that is an answer
        (_, future), = engine._futures.values()  # fmt: skip
        until(future.done, "the answer")
        scheduler.kill()
        scheduler.wait()
        with pytest.raises(ClusterLost):
            engine.next(timeout=PATIENCE_S)
        engine.close(now=True)
