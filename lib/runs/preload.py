"""What a study's kernel will import, found without running it, and imported in advance."""

import ast
import contextlib
import gc
import importlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lib.runs.identity import notebook_cells, python_cells, reachable, source_hashes
from lib.studies import Entry

KERNEL = (  # what a kernel imports as it starts, and the notebook's record as it draws and writes
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.debugger", "IPython.core.completer", "IPython.core.completerlib",
    "IPython.core.debugger", "IPython.core.oinspect", "IPython.extensions.storemagic", "matplotlib.pyplot",
    "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "PIL.PngImagePlugin", "pandas.io.formats.style",
    "pandas.io.formats.html", "pyarrow.parquet", "fsspec.implementations.local",
)  # fmt: skip
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


def rehearse(entries: Iterable[Entry]) -> None:
    """Read, hash, render and drop each notebook: what the libraries compile for that and keep (templates, schemas, regular
    expressions, styles) costs a new process half a second."""
    import nbformat
    from nbformat import v4

    from lib.runs.html import write_html

    with tempfile.TemporaryDirectory(prefix="studies-rehearsal-") as folder:
        for entry in entries:
            source_hashes(entry)
            notebook = nbformat.read(entry.notebook, as_version=4)
            code = next(cell for cell in notebook.cells if cell.cell_type == "code")
            code.outputs = [v4.new_output("stream", text="."), v4.new_output("display_data", {"text/html": "<p><em>.</em></p>"})]
            nbformat.write(notebook, Path(folder, "notebook.ipynb"))
            write_html(notebook, entry.study.title, Path(folder, "notebook.html"))


def preload(entries: Iterable[Entry]) -> None:
    """Import what the kernels of these studies need. What cannot be imported is left for the run to complain of."""
    for name in [*KERNEL, *(name for entry in entries for name in wanted(entry))]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what is here now is shared with every fork; the collector need not touch it again
