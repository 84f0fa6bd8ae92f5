"""The catalogue's texts: readers on small files with a known answer, and known facts of the real corpora."""

import numpy as np
import pytest

from lib.data import catalogue, load
from lib.data.corpora import CORPORA
from lib.data.corpus_readers import read_movie_reviews, read_numbered_verses, read_tweets, read_valences, read_verses
from lib.data.sources import Wheel

HEAD = "# made by a program\nfrom somewhere import Bible\n\nbible = Bible(\n    Version.OURS,\n"


def _module(tmp_path, text, starts, ends):
    path = tmp_path / "plain_text.py"
    path.write_text(f"{HEAD}    {text!r},\n    {starts!r},\n    {ends!r},\n    False,\n)\n", encoding="utf-8")
    return path


def test_verses_are_cut_at_their_places_and_the_module_is_never_run(tmp_path):
    path = _module(tmp_path, "In the beginning. And then.", {1001001: 0, 1001002: 17}, {1001001: 17, 1001002: 27})
    verses = read_verses(path)["train"]
    assert verses["verse"] == [1001001, 1001002]
    assert verses["text"] == ["In the beginning.", "And then."]


def test_numbered_verses_follow_the_numbers_and_not_the_places(tmp_path):
    text = (
        "1. One. 2. Two. 3. Three (of many).1. A new book. 2. Its second. 4. Its fourth. 1. A song.1. The song's first. "
        "2. Its end. 2.\\43:1\\Left over. 1.\\43:2\\The last. 1. New. 2. Newer."
    )
    chapters = {1001: 3, 2001: 4, 3001: 2, 4001: 2, 4003: 2}
    starts = {chapter * 1000 + verse: 0 for chapter, verses in chapters.items() for verse in range(1, verses + 1)}
    verses = read_numbered_verses(_module(tmp_path, text, starts, starts))["train"]
    assert dict(zip(verses["verse"], verses["text"], strict=True)) == {
        1001001: "One.",
        1001002: "Two.",
        1001003: "Three (of many).",
        2001001: "A new book.",
        2001004: "Its fourth.",  # the second swallowed the third and is left out
        3001001: "The song's first.",  # its heading bore the same number
        3001002: "Its end.",
        4001001: "Left over.",
        4001002: "The last.",
        4002001: "New.",  # the second chapter of its book, which the module calls the third
        4002002: "Newer.",
    }


def test_a_text_with_other_chapters_than_the_module_names_is_refused(tmp_path):
    starts = {1001001: 0, 1001002: 0, 1002001: 0, 1002002: 0}
    with pytest.raises(ValueError, match="chapters: got 1 in the text, allowed are the 2 that the module names"):
        read_numbered_verses(_module(tmp_path, "1. One. 2. Two.", starts, starts))


def test_reviews_and_tweets_keep_text_and_label(tmp_path):
    reviews = tmp_path / "reviews.csv"
    reviews.write_text('text,label,source\n"good, really",1,imdb\nbad,0,rotten_tomatoes\n', encoding="utf-8")
    splits = read_movie_reviews(reviews)
    assert splits["viewers"].to_list() == [{"text": "good, really", "label": 1}]
    assert splits["critics"].to_list() == [{"text": "bad", "label": 0}]
    tweets = tmp_path / "tweets.csv"
    tweets.write_bytes("sentiment,confidence,text\npositive,0.9,caf\xe9\nneutral,,so\n".encode("latin-1"))
    assert read_tweets(tweets)["train"].to_list() == [{"text": "café", "label": 2}, {"text": "so", "label": 1}]


def test_valences_are_the_second_column(tmp_path):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("good\t1.9\t0.9\t[2, 2]\nbad\t-2.5\t0.6\t[-3, -2]\n", encoding="utf-8")
    assert read_valences(lexicon)["train"].to_list() == [{"text": "good", "valence": 1.9}, {"text": "bad", "valence": -2.5}]


def test_every_corpus_is_a_pinned_wheel_of_the_catalogue():
    assert all(entry in catalogue() for entry in CORPORA)
    for entry in CORPORA:
        assert all(isinstance(source, Wheel) for source in entry.sources)  # so it exists on every platform
        assert entry.licence


@pytest.mark.network
def test_critics_are_balanced_and_viewers_too():
    for split in ("critics", "viewers"):
        reviews = load("movie-reviews", split)
        assert np.bincount(reviews["label"]).tolist() == [reviews.num_rows // 2] * 2
    assert reviews.features["label"].names == ["negative", "positive"]


@pytest.mark.network
def test_four_translations_say_the_same_verse():
    verse = 44020010  # Acts 20:10
    said = {}
    for name in ("bible-king-james", "bible-world-english", "bible-basic-english", "bible-weymouth"):
        table = load(name)
        said[name] = table["text"][table["verse"][:].index(verse)]
    assert all("Paul" in text and "his life is" in text for text in said.values()), said
    assert len(set(said.values())) == 4


@pytest.mark.network
def test_basic_english_stays_in_step_to_the_last_verse():
    basic, king = (load(name)[:] for name in ("bible-basic-english", "bible-king-james"))
    assert (basic["verse"][-1], king["verse"][-1]) == (66022021, 66022021)
    assert "grace" in basic["text"][-1]
    assert len({verse // 1000 for verse in basic["verse"]}) == 1189
    assert basic["text"][basic["verse"].index(23066001)].startswith("The Lord says, Heaven is the seat of my power")
    assert set(basic["verse"]) - set(king["verse"]) <= {43001052}  # John 1 has a verse more there
