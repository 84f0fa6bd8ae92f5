"""Trained anchors in the suite's cache: whoever asks for the same ones again has them at once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from lib.data.artefacts import artefact, artefact_folder
from lib.language.adapters import Adapter, load_adapter, save_adapter
from lib.language.backbone import Backbone
from lib.language.training import Name, Progress, Recipe, expected_seconds, train_anchors
from lib.seeds import Seeds

KIND, VERSION = "anchor", 1  # raise the version when the same recipe trains to something else


def anchors(backbone: Backbone, corpora: Mapping[Name, Sequence[str]], recipe: Recipe, seeds: Seeds) -> dict[Name, Adapter]:
    """`train_anchors`, out of the cache where possible: one artefact for each anchor, all that are absent trained in one go.

    An anchor is known by the backbone's fingerprint, the recipe, its corpus, its name and its seed. Errors as there, and
    DataUnavailable where the cache cannot be written.
    """
    keys = {name: _key(backbone, name, corpora[name], recipe, seeds) for name in corpora}
    folders = {name: artefact_folder(KIND, key) for name, key in keys.items()}
    # Locks are taken in this order, whoever asks: two runs never wait for each other.
    ordered = sorted(corpora, key=lambda name: folders[name].name)
    trained: dict[Name, Adapter] = {}

    def absent() -> list[Name]:
        return [name for name in ordered if not folders[name].is_dir()]

    def secure(name: Name) -> Path:
        def build(folder: Path, progress: Progress) -> None:
            if name not in trained:
                others = [other for other in absent() if other != name]
                trained.update(train_anchors(backbone, {n: corpora[n] for n in (name, *others)}, recipe, seeds, progress))
                # Stored before this one is: a run that waits for this one then finds all of them.
                for other in others:
                    secure(other)
            save_adapter(trained[name], folder, backbone.name)

        if name in trained:
            return artefact(KIND, keys[name], build)
        many = max(1, len(absent()))  # one that is there but damaged is not absent
        seconds = partial(expected_seconds, backbone, recipe, many)
        return artefact(KIND, keys[name], build, seconds=seconds, what=f"{many} anchors" if many > 1 else None)

    paths = {name: secure(name) for name in ordered}
    return {name: load_adapter(paths[name], backbone.fingerprint) for name in corpora}


def _key(backbone: Backbone, name: Name, texts: Sequence[str], recipe: Recipe, seeds: Seeds) -> dict[str, Any]:
    """All that the anchor depends on, as JSON."""
    corpus = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()
    return {
        "name": name if isinstance(name, str) else " ".join(name), "parts": [name] if isinstance(name, str) else list(name),
        "base": backbone.fingerprint, "recipe": asdict(recipe.resolved(backbone)), "corpus": corpus,
        "seed": [seeds.root, *seeds.path], "version": VERSION,
    }  # fmt: skip
