"""What a study's kernel will import, found without running it, and imported in advance."""

import ast
import contextlib
import gc
import importlib
from collections.abc import Iterable

from lib.runs.identity import notebook_cells, python_cells, reachable
from lib.studies import Entry

KERNEL = ("ipykernel.kernelapp", "ipykernel.ipkernel", "IPython.core.completer", "matplotlib.pyplot", "pyarrow.parquet")
PATIENT = ("lib.runs", "lib.studies", "lib.figures", "lib.data")  # rooms that import late for the sake of the command line


def wanted(entry: Entry) -> list[str]:
    """Modules that the notebook imports, and those that these rooms import late. Late imports elsewhere stay late:
    they name what few runs need."""
    sources = python_cells(notebook_cells(entry.notebook))
    names = {name for source in sources for name in imported(source)}
    for module, file in reachable([*sources, entry.source.read_text(encoding="utf-8")]).items():
        if module.startswith(PATIENT):
            names |= {module, *imported(file.read_text(encoding="utf-8"))}
    return sorted(names)


def imported(source: str) -> set[str]:
    """Every module that a source names in an import statement."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def preload(entries: Iterable[Entry]) -> None:
    """Import what the kernels of these studies need. What cannot be imported is left for the run to complain of."""
    for name in [*KERNEL, *(name for entry in entries for name in wanted(entry))]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is here now is shared with every fork; the collector need not touch it again
