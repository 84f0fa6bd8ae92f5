"""An executed notebook becomes one page that draws its formulas and figures without network, kernel or script."""

import base64
import io
import re

import nbformat.v4 as v4
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from lib.runs.formulas import formulas_in_text, mathml
from lib.runs.html import WIDGET, strip_widgets, write_html

NET = re.compile(r"""(src|srcset|data)\s*=\s*["']?(https?:)?//|@import|url\(|import\b[^;]*["']https?:""")


def png(colour="steelblue"):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def markdown(source):
    return v4.new_markdown_cell(source)


def code(*outputs, source="x"):
    return v4.new_code_cell(source, outputs=list(outputs))


def shown(**data):
    return v4.new_output("display_data", {name.replace("__", "/"): value for name, value in data.items()})


def stream(name, text):
    return v4.new_output("stream", name=name, text=text)


@pytest.fixture
def render(tmp_path):
    """The page of some cells, parsed; what it would fetch from the net is refused on the way."""

    def rendered(*cells, title="A study", folder="runs/0a", **metadata):
        path = tmp_path / "outputs" / folder / "notebook.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_html(v4.new_notebook(cells=list(cells), metadata=metadata), title, path, failed="failed" in folder)
        text = path.read_text(encoding="utf-8")
        assert not NET.search(text)
        soup = BeautifulSoup(text, "html.parser")
        assert not soup.select('link[href^="http"], link[href^="//"]')
        return soup

    return rendered


def test_formulas_in_markdown_become_mathml_and_keep_their_source(render):
    page = render(markdown("The mean $\\bar x \\le 1$ and\n\n$$W_2^2(\\mu,\\nu)=\\min_\\pi \\int \\|x-y\\|^2\\,d\\pi$$\n\nend."))
    inline, block = page.select("main math")
    assert inline.get("display") != "block"
    assert block["display"] == "block"
    assert inline.select_one("annotation").text == "\\bar x \\le 1"
    assert "$" not in page.main.get_text()


@pytest.mark.parametrize("name", ["align", "align*", "equation", "gather"])
def test_a_bare_environment_is_a_formula_without_number(render, name):
    page = render(markdown(f"\\begin{{{name}}} a = b \\end{{{name}}}"))
    (formula,) = page.select("main math")
    assert formula["display"] == "block"
    formula.annotation.extract()
    assert formula.get_text().split() == ["a=b"]


@pytest.mark.parametrize("source", ["`$x$`", "```\n$x$\n$$y$$\n```", "```python\ncost = '$x$'\n```", "    $x$"])
def test_dollars_in_code_stay_dollars(render, source):
    page = render(markdown(source))
    assert not page.select("math")
    assert "$x$" in page.select_one("main code, main pre").get_text()


def test_formulas_in_a_table_and_in_a_heading(render):
    page = render(markdown("## About $K$\n\n| rule | cost |\n|---|---|\n| greedy | $O(K^2)$ |"))
    assert page.select_one("h2 math") is not None
    assert page.select_one("td math msup") is not None


@pytest.mark.parametrize("tex", ["\\frac{1}{", "\\nosuchcommand", "\\left( x", "a & b"])
def test_what_is_no_tex_stays_readable_with_the_reason(render, tex):
    page = render(markdown(f"so ${tex}$ it is"))
    code = page.select_one("code.tex")
    assert code.text == tex
    assert code["title"]


def test_formulas_of_the_field_are_known():
    for tex in (
        r"\operatorname*{arg\,min}_\theta \mathbb{E}_{x\sim\mathcal{D}}\left[\ell(f_\theta(x))\right]",
        r"\begin{aligned} a &= b \\ &= c \end{aligned}",
        r"f(x) = \begin{cases} 1 & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}",
        r"T_\#\mu=\nu,\quad \widetilde{W} \hat p_\theta \lVert x \rVert_2 \mathbf{x}^\top \boldsymbol\Sigma^{1/2}",
        r"\begin{pmatrix} a & b \\ c & d \end{pmatrix} \binom{n}{k} \underbrace{a+b}_{n}",
        r"\xrightarrow{n\to\infty} \mathbb{1}[p_i \ne p_j] \coloneqq \dfrac12 \langle C, P\rangle - \varepsilon H(P)",
    ):
        assert mathml(tex, display=True).startswith("<math")


def test_dollars_in_plain_text_are_formulas_only_where_they_hug_ink():
    assert formulas_in_text("from $5 to $6 & <b>") == "from $5 to $6 &amp; &lt;b&gt;"
    assert formulas_in_text("a \\$ sign$") == "a \\$ sign$"
    assert formulas_in_text("if $a<b$ then").startswith("if <math>")
    assert "<mo>&lt;</mo>" in formulas_in_text("$a<b$")


def test_latex_outputs_are_drawn(render):
    page = render(code(shown(text__latex="$\\displaystyle \\frac{1}{2}$", text__plain="1/2")))
    assert page.select_one("mfrac") is not None


def test_a_static_picture_takes_the_place_of_its_widget(render):
    picture = png()
    cell = code(v4.new_output("display_data", {WIDGET: {"model_id": "m"}, "image/png": picture, "text/plain": "FigureWidget()"}))
    notebook = v4.new_notebook(cells=[cell], metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {}}})
    strip_widgets(notebook)
    assert set(cell.outputs[0].data) == {"image/png", "text/plain"}
    assert "widgets" not in notebook.metadata
    page = render(*notebook.cells)
    assert page.select_one("main img")["src"] == f"data:image/png;base64,{picture}"
    assert "FigureWidget()" not in page.get_text()


def test_a_widget_with_html_beside_it_shows_the_html(render):
    page = render(code(v4.new_output("display_data", {WIDGET: {"model_id": "m"}, "text/html": "<b>static</b>"})))
    assert page.select_one("main b").text == "static"


def test_a_widget_alone_is_said_to_be_live_and_draws_no_script(render):
    state = {"application/vnd.jupyter.widget-state+json": {"state": {"m": {}}, "version_major": 2, "version_minor": 0}}
    cell = code(v4.new_output("display_data", {WIDGET: {"model_id": "m"}, "text/plain": "IntSlider()"}))
    page = render(cell, widgets=state)
    assert "live control" in page.get_text()
    assert not page.select("script")


@pytest.mark.parametrize(
    "script",
    [
        '<script src="https://cdn.example/plotly.js"></script>',
        "<script charset='utf-8' src='//cdn.example/plotly.js'></script>",
        '<script type="module">import "https://cdn.example/plotly.min.js"</script>',
        '<link rel="stylesheet" href="https://cdn.example/style.css">',
    ],
)
def test_nothing_is_loaded_from_elsewhere(render, script):
    page = render(code(shown(text__html=f"{script}<b>kept</b><script>let own = 1</script>")))
    assert page.select_one("main b").text == "kept"
    assert [s.text for s in page.select("script")] == ["let own = 1"]


def test_a_picture_wins_over_html_that_needs_a_script(render):
    page = render(code(shown(text__html='<div id="p"></div><script>draw("p")</script>', image__png=png())))
    assert page.select_one("main img") is not None
    assert not page.select("script, #p")


def test_links_that_a_reader_clicks_stay(render):
    page = render(markdown("[paper](https://arxiv.org/abs/2409.02347)"))
    assert page.select_one("main a")["href"] == "https://arxiv.org/abs/2409.02347"


def test_the_way_back_to_the_gallery_is_right_for_finished_and_failed_runs(render, tmp_path):
    for folder in ("alpha/0a", "alpha/failed/0a-2026"):
        back = render(markdown("x"), folder=folder).select_one("nav a")["href"]
        assert (tmp_path / "outputs" / folder / back).resolve() == tmp_path / "outputs" / "index.html"


def test_title_is_escaped(render):
    assert render(markdown("x"), title="a <b> & c").title.text == "a <b> & c"


def test_a_figure_takes_its_caption_as_alt_text_and_the_caption_its_formulas(render):
    caption = shown(text__html="<p><em>Losses &lt; 1 over $n$ seeds</em></p>")
    page = render(code(shown(image__png=png()), caption), code(shown(image__png=png())))
    first, second = page.select("main img")
    assert first["alt"] == "Losses < 1 over $n$ seeds"
    assert second["alt"] == "Picture drawn by the cell above"
    assert page.select_one("p.caption math") is not None


def test_a_progress_bar_shows_its_end_only(render):
    texts = "\rtrain:  0%| 0/2", "\rtrain: 50%| 1/2\rtrain: 100%| 2/2\n", "done\n"
    text = render(code(*(stream("stdout", text) for text in texts))).select_one("main pre:not(.highlight *)").get_text()
    assert text.split("\n")[:2] == ["train: 100%| 2/2", "done"]


def test_long_messages_are_folded_and_short_ones_are_not(render):
    page = render(code(stream("stderr", "warning\n" * 40)), code(stream("stderr", "a word\n")))
    long, short = page.select("details.stderr")
    assert not long.has_attr("open")
    assert short.has_attr("open")
    assert "40 lines" in long.summary.text


def test_a_traceback_is_shown(render):
    error = v4.new_output("error", ename="ValueError", evalue="no", traceback=["\x1b[0;31mValueError\x1b[0m: no"])
    assert "ValueError: no" in render(code(error)).main.get_text()


def test_code_is_there_and_can_be_hidden_without_script(render):
    page = render(code(source="answer = 41 + 1"))
    assert "answer = 41 + 1" in page.main.get_text()
    assert page.select_one("input#code").has_attr("checked")
    assert "#code:not(:checked)" in page.style.text


def test_pandas_tables_keep_their_cells(render):
    frame = pd.DataFrame({"method": ["a < b"], "accuracy": [0.5]})
    page = render(code(shown(text__html=frame.to_html(border=0))))
    assert [cell.text for cell in page.select("table.dataframe td")] == ["a < b", "0.5"]


def test_rendering_leaves_the_notebook_as_it_was(tmp_path):
    notebook = v4.new_notebook(cells=[code(shown(text__html="<p><em>$n$</em></p>"), stream("stdout", "\ra\rb\n"))])
    before = notebook.copy()
    write_html(notebook, "x", tmp_path / "notebook.html")
    assert notebook == before
    assert notebook.cells[0].outputs[0].data["text/html"] == "<p><em>$n$</em></p>"
    assert notebook.cells[0].outputs[1].text == "\ra\rb\n"
