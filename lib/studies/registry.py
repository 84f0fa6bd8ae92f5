"""Finds studies by name: the suite's own, and those of folders named in STUDIES_PATH.

A folder on STUDIES_PATH is laid out like the repository: studies/<slug with _>.py (with a `STUDY`), notebooks/<slug>.ipynb
and params/<slug>/*.yaml. So a private study runs, records and shows like the suite's own.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from lib.studies.params import ParamError
from lib.studies.study import Entry

SLUGS = ("weight-ensembles", "dataset-geodesics", "soft-labels", "random-scaling", "lm-interpolation")
HOME = Path(__file__).resolve().parents[2]


def _extra_homes() -> list[Path]:
    return [Path(p).resolve() for p in os.environ.get("STUDIES_PATH", "").split(os.pathsep) if p]


def _extra_files() -> dict[str, tuple[Path, Path]]:
    """slug -> (declaration file, home), for every study outside the suite."""
    return {
        file.stem.replace("_", "-"): (file, home)
        for home in _extra_homes()
        for file in sorted((home / "studies").glob("[!_]*.py"))
    }


def slugs() -> list[str]:
    """The names of all studies, the suite's own first."""
    return [*SLUGS, *(slug for slug in _extra_files() if slug not in SLUGS)]


def find(slug: str) -> Entry:
    """The study of that name. Raises ParamError that lists the known ones."""
    if slug in SLUGS:
        name = f"lib.studies.{slug.replace('-', '_')}"
        module = importlib.import_module(name)
        return Entry(module.STUDY, HOME, name, Path(str(module.__file__)))
    extra = _extra_files()
    if slug not in extra:
        raise ParamError(f"study: got {slug!r}, allowed: {', '.join(slugs())}")
    file, home = extra[slug]
    return Entry(_load(file).STUDY, home, f"studies_path.{file.stem}", file)


def _load(file: Path):  # noqa: ANN202 - a module
    name = f"studies_path.{file.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]
