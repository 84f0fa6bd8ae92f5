"""Executed notebooks as HTML pages that need no server, no kernel and no network: figures inside, formulas as MathML."""

import copy
import re
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from lib.runs.formulas import formulas_in_html, mathml

PAGES = Path(__file__).parent / "pages"
WIDGET = "application/vnd.jupyter.widget-view+json"
CAPTION = re.compile(r"\s*<p><em>(.*)</em></p>\s*", re.DOTALL)
SCRIPT = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)
NET_SCRIPT = re.compile(
    r"""<script\b[^>]*\bsrc\s*=\s*["']?(https?:)?//|<script\b[^>]*>\s*import\b[^;\n]*["']https?:""", re.IGNORECASE
)
NET_STYLE = re.compile(r"""<link\b[^>]*\bhref\s*=\s*["']?(https?:)?//[^>]*>""", re.IGNORECASE)
NUMBERED = ("equation", "align", "gather", "multline")


def strip_widgets(notebook: Any) -> None:
    """Drop the live view of a widget where a static picture of it stands beside: a stored page has no kernel to move it."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if WIDGET in data and {"image/png", "text/html"} & set(data):
                del data[WIDGET]


def write_html(notebook: Any, title: str, path: Path, failed: bool = False) -> None:
    """Render the notebook with its outputs as one self-contained page at `path`, inside a run's folder."""
    page, _ = _exporter().from_notebook_node(_still(notebook), resources={"page": _facts(title, failed)})
    path.write_text(page, encoding="utf-8")


@cache
def _exporter() -> "PageExporter":
    """One for each process: it compiles its templates once."""
    return PageExporter()


def _facts(title: str, failed: bool) -> dict[str, str]:
    """What the page's template asks for. A failed run lies one folder deeper, so its way to the gallery is longer."""
    return {
        "title": title,
        "gallery": "../../../index.html" if failed else "../../index.html",
        "light": HtmlFormatter(style="default").get_style_defs(".highlight"),
        "dark": HtmlFormatter(style="github-dark").get_style_defs(".highlight"),
    }


def _still(notebook: Any) -> Any:
    """A copy whose outputs stand still: no widget state, no script from the net, every picture with its caption as alt text."""
    page = copy.deepcopy(notebook)
    strip_widgets(page)
    for cell in page.cells:
        picture = None
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            _keep_what_needs_no_net(data)
            caption = CAPTION.fullmatch(data.get("text/html", ""))
            if caption:
                data["text/html"] = f'<p class="caption">{formulas_in_html(caption[1])}</p>'
                if picture is not None:
                    picture.metadata["alt"] = unescape(re.sub(r"<[^>]*>", "", caption[1]))
            picture = output if "image/png" in data else None
    return page


def _keep_what_needs_no_net(data: dict[str, Any]) -> None:
    """A picture wins over HTML that needs a script; what is left loses the scripts and styles that come from elsewhere."""
    if WIDGET in data:
        data.clear()
        data["text/html"] = '<p class="live">Here the running notebook shows a live control.</p>'
    elif "text/html" in data:
        if "image/png" in data and SCRIPT.search(data["text/html"]):
            del data["text/html"]
        else:
            kept = SCRIPT.sub(lambda found: "" if NET_SCRIPT.match(found[0]) else found[0], data["text/html"])
            data["text/html"] = NET_STYLE.sub("", kept)


class Renderer(IPythonRenderer):
    """Markdown as notebooks have it, with formulas as MathML."""

    def block_math(self, body: str) -> str:
        """$$...$$."""
        return mathml(body, display=True)

    def inline_math(self, body: str) -> str:
        """$...$."""
        return mathml(body)

    def latex_environment(self, name: str, body: str) -> str:
        r"""A bare environment, \begin{align}...\end{align}; without numbers, as JupyterLab shows it."""
        name = f"{name}*" if name in NUMBERED else name
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", display=True)

    def block_mermaidjs(self, code: str) -> str:
        """A diagram's source, as drawing it would take a script."""
        return f"<pre>{self.escape_html(code.strip())}</pre>"


class PageExporter(HTMLExporter):
    """nbconvert's HTML with the suite's own page around it."""

    def __init__(self) -> None:
        streams = Config({"CoalesceStreamsPreprocessor": {"enabled": True}})  # or each step of a progress bar is a line
        super().__init__(
            config=streams, embed_images=True, exclude_input_prompt=True, exclude_output_prompt=True,
            extra_template_paths=[str(PAGES)], template_file="notebook.html.j2",
        )  # fmt: skip

    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        """Markdown to HTML."""
        attachments = context.get("cell", {}).get("attachments", {})
        return MarkdownWithMath(Renderer(escape=False, attachments=attachments, exclude_anchor_links=True)).render(source)
