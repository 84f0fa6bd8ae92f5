"""Costly pieces that runs share (a de-quantised model, trained anchors), kept beside the datasets and named by what they are.

<root>/artefacts/<kind>-<hash of key>/...   what was built, and a manifest that holds the key
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lib.data.errors import DataUnavailable
from lib.data.whole import ABSENT, cache_root, secure

Progress = Callable[[float | int], None]
"""Told the share of the work that is done, from 0 to 1."""
Build = Callable[[Path, Progress], None]
"""Writes its files into the new, empty folder that it is given."""
Seconds = float | int | Callable[[], float]
"""What a build is expected to take, or a function that finds it out when the build begins."""


def artefact_folder(kind: str, key: Mapping[str, Any]) -> Path:
    """Where the artefact is, or would be.

    Raises:
        ValueError: the kind is not lower-case letters, digits and hyphens, or the key is not plain JSON.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind):
        raise ValueError(f"kind: got {kind!r}, allowed are lower-case letters, digits and single hyphens between them")
    try:
        canonical = json.dumps(key, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"key: got {key!r}, allowed is plain JSON without NaN or infinities ({error})") from None
    return cache_root() / "artefacts" / f"{kind}-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"


def artefact(kind: str, key: Mapping[str, Any], build: Build, *, seconds: Seconds | None = None, what: str | None = None) -> Path:
    """The folder of a sound artefact, built first where it is absent or damaged.

    `key` says all that the content depends on: another key is another artefact. `build(folder, progress)` writes the files
    and may tell its progress, which is shown beside the `seconds` it is expected to take; one without is done at once, and
    nothing is shown. `what` says what is built, by default kind and name. Two runs that want the same artefact at once build
    it once; a build that raises leaves nothing.

    Raises:
        ValueError: the kind or the key cannot name a folder.
        DataUnavailable: the cache folder cannot be written.
    """
    folder = artefact_folder(kind, key)
    label = what or (f"{kind} {key['name']}" if "name" in key else kind)
    begun = False

    def fill(scratch: Path, whole: Path, fault: str) -> dict[str, Any]:
        nonlocal begun
        if fault != ABSENT:
            print(f"The cached {label} is damaged ({fault}): building it again.", flush=True)
        whole.mkdir()
        begun = True
        if seconds is None:
            build(whole, lambda share: None)
        else:
            _watched(whole, build, label, seconds)
        return {"kind": kind, "key": dict(key)}

    try:
        fault = secure(folder, fill, lambda: print(f"Another run is building {label}: waiting for it.", flush=True))
    except OSError as error:
        if begun:
            raise
        raise DataUnavailable(
            f"{label}: the cache folder {cache_root()} cannot be filled ({error}); "
            "set STUDIES_CACHE to a folder with room that you may write"
        ) from error
    if fault is not None:
        raise DataUnavailable(f"{label} was damaged while it was written to {folder}: {fault}")
    return folder


def _watched(folder: Path, build: Build, label: str, seconds: Seconds) -> None:
    """Build under a progress bar."""
    from tqdm import tqdm

    expected = seconds() if callable(seconds) else seconds
    shape = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=1.0, desc=f"building {label} (about {expected:.0f} s, once)", bar_format=shape, file=sys.stdout) as bar:

        def told(share: float | int) -> None:
            bar.update(max(0.0, min(share, 1.0) - bar.n))

        build(folder, told)
        told(1.0)
