"""A Jupyter kernel of this very environment, over ipc sockets where the system has them."""

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from lib.runs.forked import ForkedKernel


class ForkedProvisioner(LocalProvisioner):
    """Lets a process that was forked in advance become the kernel, instead of starting one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Tell the waiting process how to be a kernel."""
        waiting = RunKernelManager.waiting
        assert waiting is not None
        cwd = str(kwargs.get("cwd") or Path.cwd())
        waiting.begin(cmd[cmd.index("-f") :], kwargs.get("env") or os.environ, cwd)
        self.process, self.pid, self.pgid, self.cwd = waiting, waiting.pid, waiting.pid, Path(cwd)
        return self.connection_info

    async def wait(self) -> int | None:
        """Wait for the kernel's end, looking more often than jupyter_client does."""
        while await self.poll() is None:
            await asyncio.sleep(0.005)
        return await super().wait()


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
        self.kernel_spec_manager.kernel_dirs = []
        self._folder = tempfile.mkdtemp(prefix="studies-")
        self.connection_file = str(Path(self._folder) / "kernel.json")
        if os.name == "posix":
            self.transport = "ipc"
            self.ip = str(Path(self._folder) / "k")
        if RunKernelManager.waiting is not None:
            self.provisioner = ForkedProvisioner(kernel_id="forked", kernel_spec=KernelSpec(), parent=self)
        RunKernelManager.latest = self

    def cleanup_connection_file(self) -> None:
        """Remove the private folder with everything in it."""
        super().cleanup_connection_file()
        shutil.rmtree(self._folder, ignore_errors=True)

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
