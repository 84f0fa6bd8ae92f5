"""Executed notebooks as plain HTML pages that need no server, no kernel and no network for their figures."""

from pathlib import Path
from typing import Any

WIDGET = "application/vnd.jupyter.widget-view+json"


def strip_widgets(notebook: Any) -> None:
    """Drop the live view of a widget where a static picture of it stands beside: a stored page has no kernel to move it."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGET in data and {"image/png", "text/html"} & set(data):
                del data[WIDGET]


def write_html(notebook: Any, title: str, path: Path) -> None:
    """Render the notebook with its outputs."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(embed_images=True, exclude_input_prompt=True, exclude_output_prompt=True)
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    path.write_text(page, encoding="utf-8")
