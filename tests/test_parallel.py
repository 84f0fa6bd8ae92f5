"""Parallel work of a study: here or on a real Dask cluster the same results come out, in order, whatever dies meanwhile."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from types import ModuleType

import dask
import pytest
import torch
from distributed import Client, LocalCluster
from threadpoolctl import threadpool_info

from lib import parallel
from lib.ensembles.experiment import Setup, run_pool
from lib.parallel import imap
from lib.runs.notebook import Run
from lib.seeds import Seeds

pytestmark = pytest.mark.xdist_group("dask")

RULES = {"accept": "ge", "reference": "soup", "rerank": True}
SEEDS = Seeds(3).child("parallel")


def until(condition, seconds=20):
    """Wait for something that must come; a failure otherwise."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes with one thread each; an item that loses its worker three times is given up."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 2}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as made,
    ):
        yield made


@pytest.fixture
def address(cluster):
    """Where the cluster is, with both its workers: one that a test killed is started again by its nanny."""
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=20)
    return cluster.scheduler_address


@pytest.fixture(params=["here", "cluster"])
def scheduler(request):
    return None if request.param == "here" else request.getfixturevalue("address")


def drawn_from(items, log):
    for item in items:
        log.append(item)
        yield item


def test_results_come_in_order_and_items_are_taken_as_needed(scheduler):
    log = []
    found = imap(lambda x: (time.sleep(0.05 * (x % 2 == 0)), x * x)[1], drawn_from(range(12), log), scheduler)
    assert log == []
    assert next(found) == 0
    assert len(log) == (1 if scheduler is None else 2 * parallel.AHEAD)
    assert list(found) == [x * x for x in range(1, 12)]
    assert log == list(range(12))


def test_nothing_comes_of_nothing(scheduler):
    assert list(imap(abs, [], scheduler)) == []


def test_the_functions_own_exception_comes_at_its_place_with_the_item_named(scheduler):
    def invert(pair):
        if pair[1] == 0:
            raise ZeroDivisionError("of noise")
        return 1 / pair[1]

    found = imap(invert, [("a", 1), ("b", 2), ("c", 0), ("d", 4)], scheduler)
    assert [next(found), next(found)] == [1, 0.5]
    with pytest.raises(ZeroDivisionError, match="of noise") as caught:
        next(found)
    notes = "\n".join(caught.value.__notes__)
    assert "item 2: ('c', 0)" in notes
    assert ("in invert" in notes) == (scheduler is not None), "the place in the code, from where it was"
    assert list(found) == []


def test_an_exception_that_cannot_travel_is_told_in_words(address):
    class OddError(Exception):
        """It wants two words and keeps one, so it cannot be opened again."""

        def __init__(self, one, two):
            super().__init__(f"{one} {two}")

    def fail(item):
        raise OddError("out of", "luck")

    with pytest.raises(RuntimeError, match="OddError: out of luck"):
        next(imap(fail, [7], address))


def test_an_end_of_the_process_asked_for_by_the_function_is_one_here_and_there(scheduler):
    with pytest.raises(SystemExit, match="3"):
        next(imap(sys.exit, [3], scheduler))


def test_what_cannot_be_sent_names_the_item(address):
    lock = threading.Lock()
    with pytest.raises(TypeError, match="lock") as caught:
        next(imap(lambda x: (lock, x), ["there"], address))
    assert "item 0: 'there': it cannot be sent to a worker" in caught.value.__notes__
    with pytest.raises(TypeError, match="lock") as caught:
        next(imap(lambda x: threading.Lock(), ["back"], address))
    assert "item 0: 'back'" in caught.value.__notes__


def test_in_this_process_nothing_of_dask_is_imported():
    code = (
        "import sys\nfrom lib.parallel import imap\nassert list(imap(abs, [-1, 2])) == [1, 2]\n"
        "print(sorted({'dask', 'distributed', 'cloudpickle', 'torch', 'numpy', 'threadpoolctl'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_run_map_goes_where_the_environment_says(tiny, address, monkeypatch, capsys):
    run = Run(tiny, tiny.size_params("test"), None)
    monkeypatch.delenv("STUDIES_SCHEDULER", raising=False)
    assert set(run.map(lambda _: os.getpid(), range(3), "items")) == {os.getpid()}
    assert "items: 100%" in capsys.readouterr().out
    monkeypatch.setenv("STUDIES_SCHEDULER", address)
    there = set(run.map(lambda _: os.getpid(), range(4), "items"))
    assert there
    assert os.getpid() not in there
    assert "4/4" in capsys.readouterr().out


def test_pools_have_the_same_bits_on_a_cluster_as_here(address):
    assert torch.get_num_threads() == 1, "the tests' own process computes with one thread"
    setup = Setup(
        dataset="digits", net="mlp", activation="relu", backbone="", domains=["clean", "noise", "shift"], n_models=4, width=16,
        pretrain_steps=30, steps=20, batch_size=32, bag=0.3, rates=[1e-3, 2e-3], weight_decays=[1e-4], dropouts=[0.0, 0.1],
        noises=[0.1], smoothings=[0.1], shared_start=True, members_at_once=256, device="cpu",
    )  # fmt: skip
    pool = partial(run_pool, setup=setup, seeds=SEEDS, subset_size=2, random_subsets=6, **RULES)
    pairs = [(0, "noise"), (0, "shift"), (1, "noise")]
    here, there = list(imap(pool, pairs)), list(imap(pool, pairs, address))
    for a, b in zip(here, there, strict=True):
        assert (a.repeat, a.held_out, a.measured) == (b.repeat, b.held_out, b.measured)
        assert a.table.equals(b.table)
    for a, b in zip(here[:2], there[:2], strict=True):
        assert torch.equal(a.outcome.pool.flat, b.outcome.pool.flat)
        assert a.outcome.selections == b.outcome.selections
        assert torch.equal(a.outcome.pool.predict(a.outcome.pool.flat, "ood"), b.outcome.pool.predict(b.outcome.pool.flat, "ood"))


@pytest.mark.skipif(sys.platform != "linux", reason="a matter of glibc")
def test_workers_keep_the_memory_that_they_use_over_and_over(address):
    def faults(_):
        import resource

        import numpy as np

        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(200):
            np.ones(1 << 18)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    assert next(imap(faults, range(1), address)) < 200 * 512 / 5, "pages of 4 KiB, each needed once and not 200 times"


def test_an_item_that_loses_its_worker_is_done_again(address, tmp_path):
    died = tmp_path / "died"

    def work(item):
        if item == 2 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    assert list(imap(work, range(6), address)) == list(range(6))
    assert died.exists()


def test_an_item_that_always_loses_its_worker_is_named(address, tmp_path):
    def work(item):
        with (tmp_path / "tries").open("a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="item 0: 'deadly': the worker on it was lost 3 times"):
        next(imap(work, ["deadly"], address))
    assert (tmp_path / "tries").read_text() == "xxx"
    assert list(imap(abs, [-1], address)) == [1], "the cluster lives on"


def test_closing_early_drops_what_has_not_begun(cluster, address, tmp_path):
    def work(item):
        (tmp_path / f"began-{item}").touch()
        while item and not (tmp_path / "go").exists():
            time.sleep(0.01)
        return item

    found = imap(work, range(40), address)
    assert next(found) == 0
    found.close()
    until(lambda: not cluster.scheduler.tasks and not [name for name in cluster.scheduler.clients if name.startswith("Client")])
    with Client(address, set_as_default=False) as client:
        until(lambda: sum(client.run(lambda dask_worker: len(dask_worker.state.tasks)).values()) <= 2)
    (tmp_path / "go").touch()
    with Client(address, set_as_default=False) as client:
        until(lambda: not any(client.run(lambda dask_worker: len(dask_worker.state.tasks)).values()))
    assert len(list(tmp_path.glob("began-*"))) <= 3, "the one that was done, and the two at work when it was closed"


def test_a_scheduler_that_does_not_answer(monkeypatch):
    assert parallel.CONNECT_S <= 15
    monkeypatch.setattr(parallel, "CONNECT_S", 0.5)
    with pytest.raises(ConnectionError, match=r"scheduler tcp://127\.0\.0\.1:1: no answer within 0\.5 s"):
        next(imap(abs, [1], "tcp://127.0.0.1:1"))
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"scheduler {address}: no answer"):
            next(imap(abs, [1], address))


@pytest.mark.parametrize("wrong", ["nonsense", "tcp://127.0.0.1", "post://127.0.0.1:1", ""])
def test_an_address_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match=f"scheduler: got '{wrong}', allowed is an address such as tcp://host:port"):
        next(imap(abs, [1], wrong))


def test_a_function_from_a_module_that_workers_lack(address, monkeypatch):
    module = ModuleType("only_here")
    exec("def double(x):\n    return 2 * x", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(RuntimeError, match=r"item 0: 1: worker tcp.* cannot import what the function needs: .*only_here"):
        next(imap(module.double, [1], address))


WORKER = "import sys, pathlib\n{first}\nfrom distributed.cli.dask_worker import main\nmain({words})"


@pytest.fixture
def by_hand(tmp_path):
    """A scheduler in a process of its own, and a function that starts a worker of it, as one does by hand."""
    started = []

    def start(code, **environment):
        words = [sys.executable, "-c", code]
        log = (tmp_path / f"log-{len(started)}").open("w")
        started.append(subprocess.Popen(words, cwd=tmp_path, env=os.environ | environment, stdout=log, stderr=log))
        return started[-1]

    file = tmp_path / "scheduler.json"
    words = ["--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = start(f"from distributed.cli.dask_scheduler import main\nmain({words})")
    address = json.loads(until(lambda: file.exists() and file.read_text()))["address"]

    def worker(first="", **environment):
        words = [address, "--no-nanny", "--no-dashboard", "--nthreads", "1"]
        return start(WORKER.format(first=first, words=words), **environment)

    yield address, worker, scheduler
    for process in started:
        process.kill()
        process.wait()


def test_a_worker_started_by_hand_computes_with_one_thread_and_a_lost_scheduler_is_told(by_hand):
    address, worker, scheduler = by_hand
    worker("import torch", OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2")

    def threads(_):
        import numpy as np
        import torch

        return torch.get_num_threads(), {pool["num_threads"] for pool in threadpool_info()}, bool(np.ones(1))

    assert next(imap(threads, range(3), address)) == (1, {1}, True)
    found = imap(lambda x: time.sleep(0.1 * x), [0, 100], address)
    next(found)
    scheduler.kill()
    with pytest.raises(ConnectionError, match=f"scheduler {address}: connection lost"):
        next(found)


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("sys.modules['lib'] = None", "worker tcp://.* cannot import lib: "),
        ("from lib import parallel\nparallel.source_digest = lambda: 'older'", "worker tcp://.* has another source of lib"),
    ],
)
def test_a_worker_without_this_lib_is_told(by_hand, first, told):
    address, worker, _ = by_hand
    worker(first)
    with pytest.raises(RuntimeError, match=f"item 0: 1: {told}"):
        next(imap(abs, [1], address))


def test_a_cluster_without_workers_is_told(by_hand, monkeypatch):
    monkeypatch.setattr(parallel, "LOOK_S", 0.1)
    monkeypatch.setattr(parallel, "PATIENCE_S", 0.3)
    with pytest.raises(ConnectionError, match=r"no worker for 0\.3"):
        next(imap(abs, [1], by_hand[0]))


def test_source_digest_follows_the_source(tmp_path):
    """A copy of lib has the digest of lib; one with another line has not."""
    shutil.copytree(parallel.Path(parallel.__file__).parent, tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    code = "import lib.parallel as p; assert p.Path.cwd() in p.Path(p.__file__).parents; print(p.source_digest())"

    def digest():
        return subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True).stdout.strip()

    same = digest()
    with (tmp_path / "lib" / "seeds.py").open("a") as file:
        file.write("# changed\n")
    other = digest()
    assert len(same) == len(other) == 64
    assert same != other
