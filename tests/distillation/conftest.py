"""One small task on real digits and two experts on it, and made-up photographs, shared by the tests of this room."""

import io
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from lib.data import entries
from lib.data.entry import Entry
from lib.data.readers import read_hub_photographs
from lib.data.sources import Library
from lib.distillation.experts import train_experts
from lib.distillation.photographs import PHOTOGRAPHS, Photographs
from lib.distillation.pool import load_task
from lib.nets import MLP
from lib.seeds import Seeds

settings.register_profile("distillation", deadline=None)  # the machine is shared: a slow example is not a failure
settings.load_profile("distillation")

EXPERTS = {"experts": 2, "epochs": [0, 1, 2, 4, 8, 16, 40], "batch_size": 64, "lr": 0.05, "momentum": 0.0}


@pytest.fixture(scope="module")
def one_thread():
    """Nets so small lose by a second thread, and on a busy machine wait for it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def digits():
    return load_task("digits")


@pytest.fixture(scope="session")
def net():
    return MLP((64, 64, 10))


@pytest.fixture(scope="session")
def make_experts(digits, net):
    """A function that trains the two experts, with changes."""

    def make(task=digits, net=net, seeds=Seeds(0), **changes):
        return train_experts(task, net, seeds=seeds, **(EXPERTS | changes))

    return make


@pytest.fixture(scope="session")
def experts(make_experts):
    return make_experts()


@dataclass(frozen=True)
class StandIn:
    """Made-up pictures in place of a collection of photographs: `train` and `test` for each class, of these sizes in pixels."""

    name: str = "stand-in"
    classes: int = 4
    train: int = 30
    test: int = 8
    sizes: tuple[tuple[int, int], ...] = ((16, 16),)

    def entry(self):
        """The catalogue's entry, whose source gives them as the Hub gives CIFAR-10."""
        splits = {"train": self.classes * self.train, "test": self.classes * self.test}
        source = Library(package="numpy", module="numpy", read=self._read)
        return Entry(
            name=self.name, description="made up", version="1", splits=splits, sha256=None, licence="none",
            citation="nobody2026", size_mb=0.1, sources=(source,),
        )  # fmt: skip

    def _read(self):
        import datasets

        found = {}
        for split, each in (("train", self.train), ("test", self.test)):
            labels = np.tile(np.arange(self.classes), each)
            pictures = [self.picture(int(c), row, split) for row, c in enumerate(labels)]
            columns = {"img": [_png(picture) for picture in pictures], "label": labels, "place": np.arange(len(labels))}
            names = [f"kind {c}" for c in range(self.classes)]
            features = datasets.Features(
                img=datasets.Image(), label=datasets.ClassLabel(names=names), place=datasets.Value("int64")
            )
            found[split] = datasets.Dataset.from_dict(columns, features=features)
        return read_hub_photographs(datasets.DatasetDict(found), splits_kept=("train", "test"), image="img")

    def picture(self, c, row, split):
        """Noise on a colour and a slope of the class's own."""
        rng = Seeds(c).child(split, row).numpy()
        width, height = self.sizes[row % len(self.sizes)]
        slope = np.linspace(-60, 60, height)[:, None, None] * (1 if c % 2 else -1)
        colour = 90 + 80 * np.array([c & 1, c >> 1 & 1, c >> 2 & 1])
        return (colour + slope + rng.normal(0, 25, (height, width, 3))).clip(0, 255).astype(np.uint8)


def _png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return {"bytes": buffer.getvalue(), "path": None}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """A function that makes a task of a stand-in known, in a cache of the module's own; arguments change `Photographs`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIES_CACHE", str(tmp_path_factory.mktemp("cache")))

        def make(pictures=StandIn(), **changes):
            patch.setitem(entries._BY_NAME, pictures.name, pictures.entry())
            standard = Photographs(pictures.name, "test", 16, 16, 2 * pictures.classes, ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3)))
            patch.setitem(PHOTOGRAPHS, pictures.name, replace(standard, **changes))
            return pictures.name

        make.kind = StandIn
        yield make
