"""Start many kernels, in a row, all at once, or all at once with a word that is lost: `python many_kernels.py row 200`.

Prints how many computed 6 * 7 and then ended by themselves when asked to, without a signal."""

import asyncio
import os
import sys

from lib.runs.forked import ForkedKernel
from lib.runs.kernel import RunKernelManager

LOST_WORD = """
import ipykernel.iostream, threading, time
Delivery = ipykernel.iostream.IOPubThread
def late(self, word, thread=threading.current_thread, wait=time.sleep, schedule=Delivery.schedule):
    if thread().name == "Control":
        wait(0.3)
        self._events.append(word)
    else:
        schedule(self, word)
Delivery.schedule = late
"""


async def compute(kernel, first=""):
    """Let the forked process become a kernel, ask it something, and end it."""
    RunKernelManager.waiting = kernel
    manager = RunKernelManager()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=100)
        reply = await client.execute(f"{first}\nanswer = 6 * 7", user_expressions={"answer": "answer"}, reply=True, timeout=60)
        right = reply["content"]["user_expressions"]["answer"]["data"]["text/plain"] == "42"
    finally:
        client.stop_channels()
        await manager.shutdown_kernel()
    return right and kernel.returncode == 0


def in_a_row(count):
    """Each from a process of its own, as runs are."""
    good = 0
    for _ in range(count):
        reader, writer = os.pipe()
        if (pid := os.fork()) == 0:
            os.write(writer, b"1" if asyncio.run(compute(ForkedKernel(lambda: None))) else b"0")
            os._exit(0)
        os.close(writer)
        good += os.read(reader, 1) == b"1"
        os.close(reader)
        os.waitpid(pid, 0)
    return good


async def at_once(kernels, first=""):
    return sum(await asyncio.gather(*(compute(kernel, first) for kernel in kernels)))


if __name__ == "__main__":
    import ipykernel.kernelapp  # noqa: F401 - what a template would have imported

    how, count = sys.argv[1], int(sys.argv[2])
    if how == "row":
        print(in_a_row(count))
    else:
        kernels = [ForkedKernel(lambda: None) for _ in range(count)]
        print(asyncio.run(at_once(kernels, LOST_WORD if how == "lost-word" else "")))
