"""The anatomy of a study's notebook, as laws that a machine can check. Each fault is one sentence that names the cell."""

import ast
import re
import statistics
from itertools import pairwise

from markdown_it import MarkdownIt

ANATOMY = (
    "What you will see", "The data", "The idea", "Predict first", "Experiment",
    "Results", "Claims", "Explorer", "Exercises", "References",
)  # fmt: skip
IMPORT = ast.Import | ast.ImportFrom
LONGEST, MEDIAN = 20, 15  # lines of a code cell; the parameters may take what they need
READABLE = re.compile(r"[a-z][a-z0-9-]{2,40}")
MACHINE_MADE = re.compile(r"[0-9a-f]{8}(-[0-9a-f-]*)?")  # ids that nbformat and JupyterLab give a cell when nobody does


def tags(cell):
    return set(cell["metadata"].get("tags", []))


def text(cell):
    return "".join(cell["source"])


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def tree(cell):
    """The cell's Python, without IPython's own lines."""
    return ast.parse("\n".join(line for line in text(cell).splitlines() if not line.lstrip().startswith(("%", "!"))))


def headings(cell):
    """(level, words) of every heading of a Markdown cell; a # in a code block is none."""
    if cell["cell_type"] != "markdown":
        return []
    tokens = MarkdownIt().parse(text(cell))
    return [(int(a.tag[1]), b.content) for a, b in pairwise(tokens) if a.type == "heading_open"]


def sections(notebook):
    """Anatomy's name -> the cells under that heading; a heading may go on after a colon: "The idea: averaging"."""
    found, name = {}, ""
    for cell in notebook["cells"]:
        for level, words in headings(cell):
            name = words.partition(":")[0].strip() if level == 2 else name
        found.setdefault(name, []).append(cell)
    return found


def calls(cell):
    """The cell's calls, as ast writes them."""
    return {ast.unparse(node) for node in ast.walk(tree(cell)) if isinstance(node, ast.Call)}


def form_faults(notebook):
    """What every notebook of the suite must be, a study's or not."""
    if (notebook["nbformat"], notebook["nbformat_minor"]) != (4, 5):
        yield f"the format is {notebook['nbformat']}.{notebook['nbformat_minor']}, not 4.5"
    if notebook["metadata"].get("kernelspec", {}).get("name") != "python3":
        yield "the kernel is not python3"
    if "widgets" in notebook["metadata"]:
        yield "widget state is stored"
    yield from _id_faults([cell.get("id", "") for cell in notebook["cells"]])
    first = notebook["cells"][0]
    if not headings(first) or headings(first)[0][0] != 1:
        yield "the first cell does not begin with a title"
    if sum(level == 1 for cell in notebook["cells"] for level, _ in headings(cell)) > 1:
        yield "there is more than one title"
    for cell in code(notebook):
        yield from _code_faults(cell)


def _id_faults(ids):
    for name in ids:
        if not READABLE.fullmatch(name) or MACHINE_MADE.fullmatch(name):
            yield f"cell id {name!r} is not readable"
        if ids.count(name) > 1:
            yield f"cell id {name!r} stands {ids.count(name)} times"


def _code_faults(cell):
    """Length, methods and stored outputs of one code cell."""
    if "parameters" not in tags(cell) and len(text(cell).splitlines()) > LONGEST:
        yield f"cell {cell['id']} has {len(text(cell).splitlines())} lines, more than {LONGEST}"
    for node in ast.walk(tree(cell)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield f"cell {cell['id']} defines {node.name}"
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and isinstance(node.value, ast.Lambda):
            yield f"cell {cell['id']} names a lambda"
    if "keep_output" not in tags(cell) and (cell["outputs"] or cell["execution_count"] is not None):
        yield f"cell {cell['id']} stores its output"


def study_faults(notebook, study):
    """What a study's notebook must be besides."""
    yield from form_faults(notebook)
    first = notebook["cells"][0]
    lines = [line.strip("*_> ") for line in text(first).splitlines() if not line.startswith("#")]
    questions = [line for line in lines if line.endswith("?")]
    if len(questions) != 1 or questions[0].count("?") != 1:
        yield "the first cell asks no question of one sentence"
    lengths = [len(text(cell).splitlines()) for cell in code(notebook) if "parameters" not in tags(cell)]
    if statistics.median(lengths) > MEDIAN:
        yield f"code cells have {statistics.median(lengths):g} lines on median, more than {MEDIAN}"
    yield from _start_faults(code(notebook), study.slug)
    yield from _section_faults(notebook, study)


def _start_faults(cells, slug):
    """parameters, then imports, then start."""
    tagged = [i for i, cell in enumerate(cells) if "parameters" in tags(cell)]
    importing = [i for i, cell in enumerate(cells) if any(isinstance(node, IMPORT) for node in ast.walk(tree(cell)))]
    starting = [i for i, cell in enumerate(cells) if f"start('{slug}', globals())" in calls(cell)]
    if len(tagged) != 1:
        yield f"{len(tagged)} cells are tagged parameters, not 1"
    elif importing and importing[0] <= tagged[0]:
        yield "something is imported before the parameters"
    if len(starting) != 1:
        yield f'start("{slug}", globals()) is called {len(starting)} times, not once'
    elif tagged and not all(_only_imports(cell) for cell in cells[tagged[0] + 1 : starting[0]]):
        yield "something is done between the parameters and start"
    if not any("run.finish()" in calls(cell) for cell in cells):
        yield "run.finish() is not called"


def _only_imports(cell):
    return all(isinstance(node, IMPORT) for node in tree(cell).body)


def _section_faults(notebook, study):
    """The headings in their order, and what must stand under them."""
    seconds = [words.partition(":")[0].strip() for cell in notebook["cells"] for level, words in headings(cell) if level == 2]
    if [words for words in seconds if words in ANATOMY] != list(ANATOMY):
        yield f"the headings are {seconds}, not {list(ANATOMY)} in this order"
        return
    parts = sections(notebook)
    seen = "\n".join(text(cell) for cell in parts["What you will see"] if cell["cell_type"] == "markdown")
    if not re.search(r"\bminutes?\b", seen):
        yield "What you will see does not say how many minutes it takes"
    for expected in study.expected:
        forms = {f"{expected.value:.1f}", f"{expected.value:g}", str(expected.value)}
        if not any(re.search(rf"(?<![\d.]){re.escape(form)}(?!\.?\d)", seen) for form in forms):
            yield f"What you will see does not name the number to expect for {expected.metric}: {expected.value:.1f}"
    explorers = [cell for cell in notebook["cells"] if "explorer" in tags(cell)]
    if len(explorers) != 1 or explorers[0] not in parts["Explorer"] or explorers[0]["cell_type"] != "code":
        yield "there is not exactly one code cell tagged explorer, under the heading Explorer"
    exercises = [cell for cell in notebook["cells"] if "exercise" in tags(cell)]
    if len(exercises) < 2 or any(cell not in parts["Exercises"] for cell in exercises):
        yield "there are not two or more cells tagged exercise, under the heading Exercises"
    elif all(cell["cell_type"] != "code" for cell in exercises):
        yield "no exercise has a cell that checks the answer"
