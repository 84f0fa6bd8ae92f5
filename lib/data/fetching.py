"""Running a download program with visible progress, and checking what it brought."""

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from lib.data.errors import HashMismatch, SourceFailed

Progress = Callable[[int], None]


def sha256_of(path: Path) -> str:
    """The sha256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(path: Path, expected: str, origin: str) -> Path:
    """The same path, once its sha256 is the expected one.

    Raises:
        HashMismatch: the file differs from what the catalogue pins.
    """
    if (actual := sha256_of(path)) != expected:
        raise HashMismatch(
            f"{path.name} from {origin}: sha256 is {actual}, the catalogue pins {expected}. Nothing was stored. "
            "The download was damaged or the source has changed."
        )
    return path


def run_watched(command: list[str], folder: Path, progress: Progress) -> None:
    """Run `command` in the new folder `folder`; `progress` hears how many bytes have gathered there so far.

    Raises:
        SourceFailed: the program is missing or ended with an error; the message is its own.
    """
    folder.mkdir()
    # pip gathers a download in its temporary folder: make that a place where it can be watched.
    environment = {**os.environ, "TMPDIR": str(folder)}
    log = folder / "log.txt"
    with log.open("wb") as sink:
        try:
            child = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        except FileNotFoundError:
            raise SourceFailed(f"the program {command[0]} is not on this machine") from None
        _watch(child, folder, progress)
    if child.returncode != 0:
        reason = _reason(log.read_text(errors="replace"))
        raise SourceFailed(reason or f"{command[0]} ended with exit code {child.returncode}")


def _watch(child: subprocess.Popen, folder: Path, progress: Progress) -> None:
    """Wait for the child; an interrupt in a notebook reaches only the kernel, so end the child with it."""
    try:
        while child.poll() is None:
            progress(_gathered(folder))
            try:
                child.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    except BaseException:
        child.kill()
        child.wait()
        raise
    progress(_gathered(folder))


def _gathered(folder: Path) -> int:
    """Bytes in the files below `folder`, where files and folders may vanish while they are counted."""
    total = 0
    for place, _, names in os.walk(folder):  # unlike Path.rglob, passes over a folder that has just vanished
        for name in names:
            try:
                total += os.stat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total


def _reason(said: str) -> str:
    """The line that tells most: pip hides an unreachable index behind 'no matching distribution'."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any("connection broken" in line for line in lines):
        return "the package index could not be reached"
    errors = [line for line in lines if line.startswith(("ERROR", "E:"))]
    return (errors or lines or [""])[-1][:300]
