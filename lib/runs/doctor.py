"""`studies doctor`: the environment, the devices, the data and the disk, each with what to do where something is missing."""

import importlib.util
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from rich.console import Console

from lib.runs.places import outputs_root
from lib.runs.provenance import processor, threads
from lib.studies import slugs
from lib.studies.registry import HOME


def _lock_mismatches() -> list[str]:
    """Packages whose installed version is not the locked one."""
    wrong = []
    for line in (HOME / "requirements.lock").read_text(encoding="utf-8").splitlines():
        name, equals, wanted = line.partition("==")
        if equals and not line.startswith("#"):
            try:
                have = version(name)
            except PackageNotFoundError:
                have = "missing"
            if have.split("+")[0] != wanted:
                wrong.append(f"{name} {have} (lock: {wanted})")
    return wrong


def report() -> bool:
    """Print the report; False where something has to be mended before studies can run."""
    console, wrong = Console(highlight=False, soft_wrap=True), _lock_mismatches()
    console.print(
        f"[bold]environment[/]  python {sys.version.split()[0]}, {'as locked' if not wrong else 'differs from the lock:'}"
    )
    for line in wrong:
        console.print(f"  [red]{line}[/] (mend: make setup)")
    console.print(f"[bold]processor[/]    {processor()}, {threads()} threads")
    console.print(f"[bold]accelerator[/]  {_accelerator()}")
    free = shutil.disk_usage(next(p for p in (outputs_root(), *outputs_root().parents) if p.exists())).free
    console.print(
        f"[bold]disk[/]         {free / 2**30:.1f} GiB free for {outputs_root()}{' [red](low)[/]' if free < 2**30 else ''}"
    )
    console.print(f"[bold]studies[/]      {', '.join(slugs())}")
    data = subprocess.run([sys.executable, "-m", "lib.data"], capture_output=True, text=True)
    console.print("[bold]data[/]")
    console.print(data.stdout.rstrip() or data.stderr.rstrip(), markup=False)
    return not wrong and free > 2**28 and data.returncode == 0


def _accelerator() -> str:
    if importlib.util.find_spec("torch") is None:
        return "[red]torch is missing[/] (mend: make setup)"
    import torch

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return "none; everything runs on the processor (paper size wants a GPU)"
