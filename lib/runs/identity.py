"""The run id: a hash of the notebook, the lib modules it reaches, the resolved parameters and the lock file."""

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import lib
from lib.studies import Entry, StudyParams
from lib.studies.registry import HOME

PACKAGE = Path(str(lib.__file__)).parent


def _module_file(name: str) -> Path | None:
    """The source of `lib.x.y`, or None where there is no such module."""
    base = PACKAGE.joinpath(*name.split(".")[1:])
    return next((f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()), None)


def _imported(source: str) -> set[str]:
    """Every lib module that a source names in an import statement, lazy ones included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    parents = {".".join(name.split(".")[:i]) for name in names for i in range(1, name.count(".") + 2)}
    return {name for name in parents if name.split(".")[0] == "lib" and _module_file(name)}


@lru_cache(maxsize=1000)
def _imported_by(file: Path, changed: int) -> frozenset[str]:
    """What a file imports; `changed`, the time of its last change, makes a changed file another one."""
    return frozenset(_imported(file.read_text(encoding="utf-8")))


def reachable(sources: Iterable[str]) -> dict[str, Path]:
    """The lib modules that `sources` reach through static imports, transitively: name -> file."""
    found: dict[str, Path] = {}
    waiting = {name for source in sources for name in _imported(source)}
    while waiting:
        name = waiting.pop()
        file = _module_file(name)
        assert file is not None
        found[name] = file
        waiting |= _imported_by(file, file.stat().st_mtime_ns) - found.keys()
    return dict(sorted(found.items()))


def digest(*parts: str | bytes) -> str:
    """sha256 of the parts, each preceded by its length so that no two lists run together."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(f"{len(data)}:".encode() + data)
    return total.hexdigest()


def notebook_cells(path: Path) -> list[dict[str, Any]]:
    """The notebook's cells as stored."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def _text(cell: dict[str, Any]) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def python_cells(cells: list[dict[str, Any]]) -> list[str]:
    """Code cells without IPython's own lines."""
    code = (_text(cell) for cell in cells if cell["cell_type"] == "code")
    return ["\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("%", "!"))) for text in code]


def source_hashes(entry: Entry) -> dict[str, str]:
    """Hashes of what the run executes: notebook (sources only, not outputs), lib, lock."""
    cells = notebook_cells(entry.notebook)
    declaration = entry.source.read_text(encoding="utf-8")
    modules = reachable([*python_cells(cells), declaration])
    lock = HOME / "requirements.lock"
    return {
        "notebook": digest(*(f"{cell['cell_type']}\n{_text(cell)}" for cell in cells)),
        "lib": digest(declaration, *(part for name, f in modules.items() for part in (name, f.read_bytes()))),
        "lock": digest(lock.read_bytes()) if lock.exists() else "",
    }


def run_id(entry: Entry, params: StudyParams, hashes: Mapping[str, str] | None = None) -> str:
    """Twelve hex digits that name this work: the same work has the same id on every machine.

    `hashes` are the study's `source_hashes` where they are known already, as for the many runs of a sweep.
    """
    hashes = hashes or source_hashes(entry)
    return digest(entry.study.slug, *hashes.values(), json.dumps(params.model_dump(), sort_keys=True))[:12]
