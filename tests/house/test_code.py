"""Laws of the source: no global randomness, cited keys exist, rooms stay small and know only whom they may know."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter

import pytest

from lib.data import catalogue
from lib.data.models import MODELS
from lib.studies.registry import HOME, SLUGS, find

MODULES = sorted((HOME / "lib").rglob("*.py"))
KEY = re.compile(r"\[([a-z]+[0-9]{4}[a-z]?)\]")
LONGEST = 300  # lines of a module; the house aims at 250

# What draws from, or sets, a generator that the whole process shares.
SHARED = re.compile(
    r"random\.(?!Random$|SystemRandom$)\w+"
    r"|numpy\.random\.(?!default_rng$|[A-Z])\w+"
    r"|torch\.(\w+\.)*(manual_seed(_all)?|seed(_all)?|set_rng_state(_all)?)"
    r"|transformers\.set_seed"
)
TORCH_DRAWS = re.compile(r"torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial|poisson)(_like)?")
DRAWS_IN_PLACE = {"bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_"}


def source(path):
    return path.read_text(encoding="utf-8")


def room(path):
    return str(path.relative_to(HOME))


def full_name(node, imported):
    """The dotted name a call goes by, imports resolved: np.random.rand -> numpy.random.rand; None for calls on values."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([imported[node.id], *reversed(parts)]) if isinstance(node, ast.Name) and node.id in imported else None


def imports(tree):
    """The names that a source imports, and what they stand for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            plain = [alias.name.split(".")[0] for alias in node.names if not alias.asname]
            names |= dict(zip(plain, plain, strict=True)) | {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def shared_randomness(text):
    """Every call in a source that touches a shared generator."""
    tree = ast.parse(text)
    imported, found = imports(tree), []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = full_name(call.func, imported)
        own = any(word.arg == "generator" for word in call.keywords)
        in_place = isinstance(call.func, ast.Attribute) and call.func.attr in DRAWS_IN_PLACE
        if (name and SHARED.fullmatch(name)) or (not own and (in_place or (name and TORCH_DRAWS.fullmatch(name)))):
            found.append(f"line {call.lineno}: {ast.unparse(call.func)}")
    return found


def test_no_shared_generator_is_seeded_or_drawn_from():
    assert {room(path): found for path in MODULES if (found := shared_randomness(source(path)))} == {}


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ntorch.manual_seed(0)", "import torch\ntorch.cuda.manual_seed_all(0)",
        "from torch import manual_seed as m\nm(0)", "import torch\ntorch.random.manual_seed(0)",
        "import numpy as np\nnp.random.seed(0)", "import numpy as np\nnp.random.rand(3)",
        "from numpy import random\nrandom.shuffle([1])", "import numpy.random as r\nr.normal()", "import random\nrandom.seed(0)",
        "import random\nrandom.random()", "from random import shuffle\nshuffle([1])", "import torch\ntorch.randn(3)",
        "import torch\ntorch.empty(3).normal_()", "import transformers\ntransformers.set_seed(1)",
    ],
)  # fmt: skip
def test_the_search_for_shared_generators_finds(text):
    assert len(shared_randomness(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\nnp.random.default_rng(0).normal()", "import numpy as np\nnp.random.Generator(np.random.PCG64(1))",
        "import random\nrandom.Random(0)", "import torch\ntorch.randn(3, generator=torch.Generator().manual_seed(0))",
        "from lib.seeds import Seeds\nSeeds(0).child('random').numpy().random()",
        "import torch\ntorch.empty(3).normal_(generator=torch.Generator())",
    ],
)  # fmt: skip
def test_the_search_for_shared_generators_passes_over(text):
    assert shared_randomness(text) == []


def test_modules_are_small():
    assert {room(path): n for path in MODULES if (n := len(source(path).splitlines())) > LONGEST} == {}


def docstrings(text):
    """Every docstring of a source."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def cited():
    """Reference key -> where it is cited."""
    places = {}
    texts = [(room(path), text) for path in MODULES for text in docstrings(source(path))]
    for notebook in sorted((HOME / "notebooks").glob("*.ipynb")):
        texts += [(room(notebook), "".join(cell["source"])) for cell in json.loads(source(notebook))["cells"]]
    for place, text in texts:
        for key in KEY.findall(text):
            places.setdefault(key, set()).add(place)
    for entry in catalogue():
        places.setdefault(entry.citation, set()).add(f"data set {entry.name}")
    for name, model in MODELS.items():
        for key in model.citations:
            places.setdefault(key, set()).add(f"model {name}")
    for slug in SLUGS:
        places.setdefault(find(slug).study.reference, set()).add(f"study {slug}")
    return places


def bibliography():
    """references.bib as key -> fields; fails on what is not a plain entry."""
    text, entries = source(HOME / "references.bib"), {}
    for kind, key, body in re.findall(r"^@(\w+)\{([^,\s]+),\n(.*?)^\}$", text, re.MULTILINE | re.DOTALL):
        fields = re.findall(r"^ +(\w+) *= \{(.*?)\},$", body, re.MULTILINE | re.DOTALL)
        assert len(fields) == len(dict(fields)) == body.count("},\n"), f"{key}: a field is malformed or stands twice"
        assert key not in entries, f"{key} stands twice"
        entries[key] = {"kind": kind, **dict(fields)}
    assert len(entries) == text.count("\n@"), "an entry is malformed"
    return entries


def test_every_cited_key_stands_in_the_references():
    unknown = {key: sorted(places) for key, places in cited().items() if key not in bibliography()}
    assert unknown == {}


def test_every_reference_is_cited():
    assert set(bibliography()) - set(cited()) == set()


def test_references_are_complete_and_in_order():
    entries = bibliography()
    assert list(entries) == sorted(entries)
    for key, fields in entries.items():
        assert fields.keys() >= {"author", "title", "year"}, key
        assert KEY.fullmatch(f"[{key}]"), key
        assert key.rstrip("abcdefgh").endswith(fields["year"]), key
        where = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished", "book": "publisher"}[fields["kind"]]
        assert where in fields or "eprint" in fields, f"{key}: where can it be read?"
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", "1234.5678")), key
        assert ("eprint" in fields) == (fields.get("archiveprefix") == "arXiv"), key
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields.get("doi", "10.1234/x")), key
        assert all(Counter(value)["{"] == Counter(value)["}"] for value in fields.values()), key


@pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["show", SLUGS[0]]], ids=" ".join)
def test_the_quick_commands_import_nothing_heavy(words):
    code = (
        "import sys\nfrom lib.runs.cli import app\n"
        f"app({words}, standalone_mode=False)\n"
        "heavy = {'torch', 'matplotlib', 'datasets', 'papermill', 'pandas', 'sklearn', 'scipy', 'transformers', 'IPython'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert SLUGS[0] in done.stdout or find(SLUGS[0]).study.title in done.stdout
    assert done.stderr.strip() == "[]"


def layers(folder):
    """What import-linter says of the package in `folder`: exit code and report."""
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    words = ["--config", "pyproject.toml", "--no-cache"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_layers_hold():
    code, report = layers(HOME)
    assert code == 0, report


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("lib/nets/mlp.py", "import lib.runs"),
        ("lib/data/entries.py", "import lib.ensembles.soups"),
        ("lib/population/training.py", "from lib.explorers import display"),
        ("lib/studies/weight_ensembles.py", "from lib.data import load"),
        ("lib/runs/execute.py", "from lib.ensembles import soups"),
        ("lib/ensembles/soups.py", "from lib.studies import find"),
        ("lib/parallel.py", "from lib.population import train"),
    ],
)
def test_an_import_against_the_layers_is_caught(tmp_path, module, line):
    shutil.copytree(HOME / "lib", tmp_path / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOME / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    code, report = layers(tmp_path)
    assert code == 1
    assert "BROKEN" in report
    assert re.search(rf"{module.removesuffix('.py').replace('/', '.')}\s+->\s+{re.escape(line.split()[1])}", report), report


def test_every_room_is_under_the_contracts():
    """A new room must be named in each contract that is meant for it, or it would escape them all."""
    contracts = tomllib.loads(source(HOME / "pyproject.toml"))["tool"]["importlinter"]["contracts"]
    (layers,) = [c["layers"] for c in contracts if c["type"] == "layers"]
    forbidden = {frozenset(c["source_modules"]): set(c["forbidden_modules"]) for c in contracts if c["type"] == "forbidden"}
    folders = {path.parent for path in MODULES} - {HOME / "lib"}
    assert {room(folder) for folder in folders if not (folder / "__init__.py").exists()} == set(), "no package, so not checked"
    rooms = {f"lib.{folder.name}" for folder in folders if folder.parent == HOME / "lib"} - {"lib.runs", "lib.studies"}
    assert {name.strip() for layer in layers for name in layer.split("|")} == rooms
    assert forbidden[frozenset({"lib.runs"})] >= rooms
    assert forbidden[frozenset({"lib.studies"})] >= rooms | {"lib.runs"}
    assert forbidden[frozenset(rooms - {"lib.explorers"})] == {"lib.runs", "lib.studies"}
