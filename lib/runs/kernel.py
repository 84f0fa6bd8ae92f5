"""A Jupyter kernel of this very environment, over ipc sockets where the system has them."""

import asyncio
import contextlib
import math
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from queue import Empty
from typing import Any

from filelock import FileLock, Timeout
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from lib.runs.forked import ForkedKernel

FOLDER = "studies-kernel-"
SETTLED_S = 10.0  # a folder younger than this may not have its lock yet
BIND_S = 60.0  # for a kernel to open its sockets before jupyter_client's own way of waiting takes over
LEAVE_S = 2.0  # for a kernel to end before jupyter_client's own way of waiting, and of killing, takes over


class ForkedProvisioner(LocalProvisioner):
    """Lets a process that was forked in advance become the kernel, instead of starting one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Tell the waiting process how to be a kernel."""
        waiting: ForkedKernel = self.parent.waiting
        cwd = str(kwargs.get("cwd") or Path.cwd())
        waiting.begin(cmd[cmd.index("-f") :], kwargs.get("env") or os.environ, cwd)
        self.process, self.pid, self.pgid, self.cwd = waiting, waiting.pid, waiting.pid, Path(cwd)
        return self.connection_info

    async def shutdown_requested(self, restart: bool = False) -> None:
        """The kernel was asked to end, which takes it milliseconds: look more often than jupyter_client does."""
        patience = time.monotonic() + LEAVE_S
        while await self.poll() is None and time.monotonic() < patience:
            await asyncio.sleep(0.002)


class PromptClient(AsyncKernelClient):
    """A client that goes on as soon as the kernel is ready: jupyter_client's own waits for a fifth of a second of silence."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Ask until the kernel answers on shell and is heard on iopub. Raises RuntimeError as the base does."""
        asked, deadline, listen_s = set[str](), time.monotonic() + (timeout or math.inf), 0.01
        while True:
            asked.add(self.kernel_info())
            if await self._answered() and await self._idle_after(asked, listen_s):
                return
            listen_s = min(2 * listen_s, 0.2)
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {timeout:g} seconds")

    async def _answered(self) -> bool:
        with contextlib.suppress(Empty):
            said = await self.shell_channel.get_msg(timeout=1.0)
            if said["msg_type"] == "kernel_info_reply":
                self._handle_kernel_info_reply(said)
                return True
        return False

    async def _idle_after(self, asked: set[str], listen_s: float) -> bool:
        """Whether iopub says that one of our questions is dealt with: what was said before is then out of the way."""
        with contextlib.suppress(Empty):
            while True:
                said = await self.iopub_channel.get_msg(timeout=listen_s)
                if said["parent_header"].get("msg_id") in asked and said["content"].get("execution_state") == "idle":
                    return True
        return False  # the kernel spoke before our ear was there


class RunKernelManager(AsyncKernelManager):
    """The kernel of one run.

    ipc sockets in a private folder cannot clash as TCP ports chosen in advance do. Kernel specs of the user are ignored:
    a `python3` installed elsewhere must not run our notebooks. `latest` is the one this process started last;
    `waiting` is the process forked to become the next one, where there is one.
    """

    latest: "RunKernelManager | None" = None
    waiting: ForkedKernel | None = None

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self.client_factory = PromptClient
        self.kernel_spec_manager.kernel_dirs = []
        self._folder = tempfile.mkdtemp(prefix=FOLDER)
        self._lock = FileLock(Path(self._folder, "lock"))
        self._lock.acquire()  # lost with this process, however it dies
        self.connection_file = str(Path(self._folder) / "kernel.json")
        if os.name == "posix":
            self.transport = "ipc"
            self.ip = str(Path(self._folder) / "k")
        self.waiting = RunKernelManager.waiting
        if self.waiting is not None:
            self.provisioner = ForkedProvisioner(kernel_id="forked", kernel_spec=KernelSpec(), parent=self)
        RunKernelManager.latest = self

    async def _async_post_start_kernel(self, **kw: Any) -> None:
        """Wait until the sockets are there: who connects to one that is not tries again only a tenth of a second later."""
        sockets = [Path(f"{self.ip}-{port}") for port in self.ports]
        patience = time.monotonic() + (BIND_S if self.transport == "ipc" else 0.0)
        while time.monotonic() < patience and not all(socket.exists() for socket in sockets) and await self.is_alive():
            await asyncio.sleep(0.002)
        await super()._async_post_start_kernel(**kw)

    post_start_kernel = _async_post_start_kernel

    async def _async_interrupt_kernel(self) -> None:
        """Not as part of a shutdown, where jupyter_client interrupts first: the cells are over by then, and a kernel that
        is just putting its last reply away may lose its ear for the request to end."""
        if not self.shutting_down:
            await super()._async_interrupt_kernel()

    interrupt_kernel = _async_interrupt_kernel

    def cleanup_connection_file(self) -> None:
        """Remove the private folder with everything in it."""
        super().cleanup_connection_file()
        self.drop_folder()

    @property
    def pid(self) -> int | None:
        """The kernel's process while it lives."""
        process = getattr(self.provisioner, "process", None)
        return process.pid if process is not None and process.poll() is None else None

    def kill_now(self) -> None:
        """End the kernel and what it started, at once; safe in a signal handler."""
        if (pid := self.pid) is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            os.killpg(pid, signal.SIGKILL)  # it leads a group of its own

    def drop_folder(self) -> None:
        """Remove the sockets, where the process ends without cleaning up."""
        shutil.rmtree(self._folder, ignore_errors=True)


def sweep_sockets() -> None:
    """Remove the socket folders of processes that died without doing so."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*"):
        with contextlib.suppress(OSError, Timeout):
            if time.time() - folder.stat().st_mtime > SETTLED_S:
                with FileLock(folder / "lock", timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)
