"""The catalogue's large sets of colour photographs, which are kept encoded: decode them with the columns `image` and `label`."""

from functools import partial

from lib.data.entry import Entry
from lib.data.readers import read_hub_photographs
from lib.data.sources import Hub

_FROM_USERS = (
    "could not be fetched where the suite was written: the revision is the one that public code pins, rows are from its card, "
    "no sha256 is pinned"
)


class GatedHub(Hub):
    """A Hub dataset whose terms a person has to accept before it can be fetched."""

    @property
    def remedy(self) -> str:
        """What a person can do to make it reachable."""
        return (
            f"{super().remedy}; it is gated: accept its terms on the Hub's page of {self.repository} and give your access token, "
            "by `hf auth login` or in HF_TOKEN"
        )


PHOTOGRAPHS = (
    Entry(
        name="cifar10",
        description="photographs, 32 x 32 in colour, 10 balanced classes",
        version="uoft-cs/cifar10 0b27149",
        splits={"train": 50000, "test": 10000},
        sha256=None,
        licence="none stated",
        citation="krizhevsky2009",
        size_mb=144.0,
        sources=(
            Hub(
                repository="uoft-cs/cifar10",
                revision="0b2714987fa478483af9968de7c934580d0bb9a2",
                read=partial(read_hub_photographs, splits_kept=("train", "test"), image="img"),
            ),
        ),
        note=_FROM_USERS,
    ),
    Entry(
        name="cifar100",
        description="photographs, 32 x 32 in colour, 100 balanced classes",
        version="uoft-cs/cifar100 aadb3af",
        splits={"train": 50000, "test": 10000},
        sha256=None,
        licence="none stated",
        citation="krizhevsky2009",
        size_mb=142.0,
        sources=(
            Hub(
                repository="uoft-cs/cifar100",
                revision="aadb3af77e9048adbea6b47c21a81e47dd092ae5",
                read=partial(read_hub_photographs, splits_kept=("train", "test"), image="img", label="fine_label"),
            ),
        ),
        note=_FROM_USERS,
    ),
    Entry(
        name="tiny-imagenet",
        description="photographs, 64 x 64 in colour, 200 balanced classes of ImageNet, named by their WordNet numbers",
        version="zh-plus/tiny-imagenet 5a77092",
        splits={"train": 100000, "valid": 10000},
        sha256=None,
        licence="none stated; ImageNet's terms are for research and teaching only",
        citation="le2015",
        size_mb=161.0,
        sources=(
            Hub(
                repository="zh-plus/tiny-imagenet",
                revision="5a77092c28e51558c5586e9c5eb71a7e17a5e43f",
                read=partial(read_hub_photographs, splits_kept=("train", "valid")),
            ),
        ),
        note=_FROM_USERS,
    ),
    Entry(
        name="imagenet",
        description="photographs of many sizes in colour, 1000 classes (ILSVRC 2012)",
        version="ILSVRC/imagenet-1k 49e2ee2",
        splits={"train": 1281167, "validation": 50000},
        sha256=None,
        licence="ImageNet's terms: research and teaching only, to be accepted on the Hub",
        citation="russakovsky2015",
        size_mb=166000.0,
        sources=(
            GatedHub(
                repository="ILSVRC/imagenet-1k",
                revision="49e2ee26f3810fb5a7536bbf732a7b07389a47b5",
                read=partial(read_hub_photographs, splits_kept=("train", "validation")),
            ),
        ),
        note=f"{_FROM_USERS}; gated; size is about right; the download and its copy in the cache take that much room each",
    ),
)
