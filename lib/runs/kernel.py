"""A Jupyter kernel of this very environment, over ipc sockets where the system has them."""

import os
import shutil
import tempfile
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager


class RunKernelManager(AsyncKernelManager):
    """The kernel of one run.

    ipc sockets in a private folder cannot clash as TCP ports chosen in advance do. Kernel specs of the user are ignored:
    a `python3` installed elsewhere must not run our notebooks. `latest` is the one this process started last.
    """

    latest: "RunKernelManager | None" = None

    def __init__(self, **traits: object) -> None:
        super().__init__(**traits)
        self.kernel_spec_manager.kernel_dirs = []
        self._folder = tempfile.mkdtemp(prefix="studies-")
        self.connection_file = str(Path(self._folder) / "kernel.json")
        if os.name == "posix":
            self.transport = "ipc"
            self.ip = str(Path(self._folder) / "k")
        RunKernelManager.latest = self

    def cleanup_connection_file(self) -> None:
        """Remove the private folder with everything in it."""
        super().cleanup_connection_file()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill_now(self) -> None:
        """End the kernel at once; safe in a signal handler."""
        process = getattr(self.provisioner, "process", None)
        if process is not None and process.poll() is None:
            process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
