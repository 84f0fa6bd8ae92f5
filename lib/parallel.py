"""The one seam for a study's own parallel work: a function over items, here or on a Dask cluster, with the same results."""

import asyncio
import ctypes
import hashlib
import os
import reprlib
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from distributed import Client, Future

S = TypeVar("S")
T = TypeVar("T")

CONNECT_S = 8.0  # seconds until a scheduler that does not answer is given up
LOOK_S = 5.0  # seconds between looks at whether anybody is left to work
PATIENCE_S = 60.0  # seconds that a cluster may be without any worker: time for one to be started again
AHEAD = 2  # items in flight for each slot of the cluster: one at work, one that waits beside it
VALUE, RAISED, REFUSED = "value", "raised", "refused"  # what a worker sends back


def imap(function: Callable[[S], T], items: Iterable[S], scheduler: str | None = None) -> Iterator[T]:
    """`function` of every item, lazily and in the items' order: in this process, or on the cluster at `scheduler`.

    Without a scheduler it is a plain loop. With the address of a Dask scheduler ("tcp://host:port") the items are computed
    by its workers, `AHEAD` items in flight for each of their threads; closing the iterator drops those that have not begun.
    The results come out the same, bit for bit, as from one process with one numeric thread (OMP_NUM_THREADS=1), if
    `function` depends on its item alone and the workers have the same packages, kind of processor and device; a worker
    stays at one numeric thread from its first item on. Function, items and results travel by cloudpickle, the function
    once for each item: send seeds and settings, not data.

    What the function raises comes out as itself at its item's place, with a note that names the item. Items of a lost worker
    are done again, so `function` may run more than once for an item. Raises RuntimeError that names the item if the workers
    on it are lost again and again (how often the scheduler decides: `distributed.scheduler.allowed-failures`), or if a worker
    has another source of lib or cannot import what the function needs. Raises ConnectionError if the scheduler does not
    answer or goes away, or if there are no workers.
    """
    return _here(function, items) if scheduler is None else _there(function, items, scheduler)


def _here(function: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
    for index, item in enumerate(items):
        try:
            result = function(item)
        except BaseException as error:
            error.add_note(_name(index, item))
            raise
        yield result


def _name(index: int, item: object) -> str:
    return f"item {index}: {reprlib.repr(item)}"


def _there(function: Callable[[S], T], items: Iterable[S], scheduler: str) -> Iterator[T]:
    """The same on a cluster. Closing the client is what cancels: the scheduler forgets tasks that nobody waits for."""
    run = _courier()
    with closing(connect(scheduler)) as client:
        flying: deque[tuple[str, Future]] = deque()
        coming = enumerate(items)
        while True:
            room = max(AHEAD * _slots(client, scheduler), 1) - len(flying)
            for index, item in islice(coming, max(room, 0)):
                name = _name(index, item)
                flying.append((name, client.submit(run, source_digest(), _pack((function, item), name), pure=False)))
            if not flying:
                return
            name, future = flying.popleft()
            yield _unpack(*_fetch(client, scheduler, name, future), name)


def connect(scheduler: str) -> "Client":
    """A client of the scheduler at an address. Raises ConnectionError if it does not answer, ValueError for no address.

    The scheduler is greeted first, since a client waits for ever on a port that takes calls and is mute.
    """
    from distributed import Client, rpc

    async def greet() -> None:
        async with rpc(scheduler, timeout=CONNECT_S) as stranger:
            await stranger.identity(n_workers=0)

    try:
        with ThreadPoolExecutor(1) as aside:  # a notebook's own thread has a running event loop already
            aside.submit(asyncio.run, asyncio.wait_for(greet(), CONNECT_S)).result()
        return Client(scheduler, timeout=CONNECT_S, set_as_default=False)
    except OSError as error:
        detail = f" ({error})" if str(error) else ""
        raise ConnectionError(f"scheduler {scheduler}: no answer within {CONNECT_S:g} s{detail}") from None
    except ValueError as error:
        raise ValueError(f"scheduler: got {scheduler!r}, allowed is an address such as tcp://host:port ({error})") from None


def _slots(client: "Client", scheduler: str) -> int:
    """Threads of all workers, as many items as can be computed at once."""
    try:
        return sum(client.nthreads().values())
    except Exception as error:  # a client that lost its scheduler fails in several ways
        raise ConnectionError(f"scheduler {scheduler}: connection lost ({error})") from None


def _fetch(client: "Client", scheduler: str, name: str, future: "Future") -> tuple[str, Any]:
    """What the worker sent back; only the cluster's own troubles are raised here."""
    from distributed import CancelledError, KilledWorker

    alone = 0.0
    while not _settled(future):
        alone = 0.0 if _slots(client, scheduler) else alone + LOOK_S
        if alone >= PATIENCE_S:
            raise ConnectionError(f"scheduler {scheduler}: no worker for {alone:g} s; start some with: dask worker {scheduler}")
    try:
        return future.result()
    except KilledWorker as error:
        why = "it ends its process, needs more memory than there is, or shared a worker with an item that does"
        raise RuntimeError(f"{name}: the worker on it was lost {error.allowed_failures + 1} times; {why}") from None
    except (CancelledError, OSError) as error:
        raise ConnectionError(f"scheduler {scheduler}: connection lost ({error})") from None
    except Exception as error:
        raise RuntimeError(f"{name}: the cluster could not run it ({type(error).__name__}: {error})") from error


def _settled(future: "Future") -> bool:
    """Wait a little for a future; whether it is done, in whatever way."""
    try:
        future.exception(timeout=LOOK_S)
    except TimeoutError:
        return False
    return True


def _pack(value: object, name: str) -> bytes:
    import cloudpickle

    try:
        return cloudpickle.dumps(value)
    except Exception as error:
        error.add_note(f"{name}: it cannot be sent to a worker")
        raise


def _unpack(kind: str, content: Any, name: str) -> Any:
    """The item's value, or its exception raised."""
    import cloudpickle

    if kind == REFUSED:
        raise RuntimeError(f"{name}: {content}")
    try:
        found = cloudpickle.loads(content)
        if kind == RAISED:
            raise found
    except BaseException as error:
        error.add_note(name)
        raise
    return found


def _courier() -> Callable[[str, bytes], tuple[str, Any]]:
    """What is submitted. It has no module of its own to be found in, so cloudpickle sends its code.

    The scheduler opens every task that passes through: thus it needs neither lib nor torch, and a worker without lib can
    still say so.
    """

    def subtask(source: str, payload: bytes) -> tuple[str, Any]:
        from distributed import get_worker

        try:
            from lib.parallel import perform
        except ImportError as error:
            return REFUSED, f"worker {get_worker().address} cannot import lib: {error}; start it in the suite's environment"
        return perform(source, payload, get_worker().address)

    return subtask


def perform(source: str, payload: bytes, worker: str) -> tuple[str, Any]:
    """On a worker: compute one packed item with one numeric thread, if this is the same lib; what kind of answer, and it."""
    import cloudpickle

    if source != source_digest():
        return REFUSED, f"worker {worker} has another source of lib; start it again, from this checkout"
    _one_thread()
    _keep_memory()
    try:
        function, item = cloudpickle.loads(payload)
    except ImportError as error:
        return REFUSED, f"worker {worker} cannot import what the function needs: {error}"
    _one_thread()  # opening the payload may have loaded numeric libraries
    try:
        return VALUE, cloudpickle.dumps(function(item))
    except BaseException as error:
        error.add_note(f"on worker {worker}:\n{''.join(traceback.format_exception(error))}")
        return RAISED, _packed_error(error)


def _packed_error(error: BaseException) -> bytes:
    """An exception that arrives: as itself, or told in words where it cannot be packed and opened again.

    Its traceback is already told in a note; the real one would drag along what some packages register for packing it.
    """
    import cloudpickle

    try:
        cloudpickle.loads(packed := cloudpickle.dumps(error.with_traceback(None)))
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.__notes__ = error.__notes__
        return cloudpickle.dumps(told)
    return packed


def _one_thread() -> None:
    """One numeric thread in libraries that are loaded, and by the environment in those still to come."""
    from threadpoolctl import threadpool_limits

    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    threadpool_limits(1)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def _keep_memory() -> None:
    """Take back what Dask's nanny tells glibc by MALLOC_TRIM_THRESHOLD_: to return memory to the system whenever it is freed.

    Training small networks takes about twice as long under it, with most of the time lost in page faults.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt and "MALLOC_TRIM_THRESHOLD_" in os.environ:
        mallopt(-1, 64 << 20)  # M_TRIM_THRESHOLD: bytes that are kept
        mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD: smaller blocks come from those; glibc allows no more


@lru_cache(maxsize=1)
def source_digest() -> str:
    """sha256 of lib's Python sources as they are when a process first asks: a worker that was started earlier differs."""
    home, total = Path(__file__).parent, hashlib.sha256()
    for file in sorted(home.rglob("*.py")):
        content = file.read_bytes()
        total.update(f"{file.relative_to(home).as_posix()}:{len(content)}:".encode() + content)
    return total.hexdigest()
