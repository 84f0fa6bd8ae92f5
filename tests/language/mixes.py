"""The study of mixes at the tests' own size, and outcomes made by hand with known answers."""

import numpy as np
import pandas as pd
import torch

from lib.language.adapters import Adapter
from lib.language.outcome import Rows, gathered
from lib.language.plan import points_of, works_of
from lib.language.setup import Setup

A, B = "generated-formality", "generated-sentiment"
LAYER = "model.layers.0.self_attn.q_proj"
LOW, GAP = 0.45, 0.1  # mean score of negative texts, and by how much that of positive ones is higher


def setup_of(**changes):
    given = {
        "backbone": "tiny", "attributes": (A, B), "anchor_seeds": 1, "rank": 2, "lora_alpha": 4.0, "dropout": 0.0, "lr": 1e-2,
        "steps": 4, "batch": 2, "block": 16, "corpus": 40, "judges": ("ngram", "lexicon"), "judge_texts": 60,
        "alphas": (0.0, 0.5, 1.0), "extrapolated": (-1.0, 1.5, 3.0), "held_out": 4, "text_tokens": 24, "prompts": 4, "samples": 1,
        "tokens": 64, "temperature": 1.0, "matched_prompts": True, "neutral": 3, "neutral_tokens": 24, "focus": 0.5,
        "others_alpha": 0.5, "joint_prompts": 2, "lambdas": (0.0, 1.0), "simplex_steps": 2, "shuffled": True, "swapped": True,
        "mixture_alphas": (0.5,), "correlated": True, "batch_size": 8, "precision": "full",
        "device": "cpu",
    }  # fmt: skip
    return Setup(**given | changes)


def adapter(*rows, base="made"):
    """A rank-1 adapter with the update rows x (1, 0, ...)."""
    a = torch.eye(4)[:1].double()
    return Adapter({LAYER: (a, torch.tensor(rows, dtype=torch.float64)[:, None])}, 1.0, base)


def outcome_of(setup, margin, share, bits, repeats=1, spread=0.0):
    """An outcome with given numbers: `margin(point, attribute, repeat)`, `share(...)`, `bits(point, repeat)`.

    Text k of the held-out ones has its margin shifted by spread * (k - mean), as have scores and bits.
    """
    points = points_of(setup)
    works = works_of(points)
    places = {work.mix: index for index, work in enumerate(works)}
    rows = Rows()
    for repeat in range(repeats):
        for point in points:
            place = {"repeat": repeat, "mix": places[point.mix]}
            if any(row["repeat"] == repeat and row["mix"] == place["mix"] for row in rows.neutral):
                continue
            for name in setup.styles:
                for k, shift in enumerate(_shifts(setup.held_out, spread)):
                    for side, nats in (("+", 30.0), ("-", 30.0 + 10 * (margin(point, name, repeat) + shift))):
                        row = {**place, "attribute": name, "side": side, "text": k, "nats": nats, "tokens": 10}
                        rows.likelihoods.append(row)
                for k, shift in enumerate(_shifts(setup.prompts, spread)):
                    for judge in setup.judges:
                        score = LOW + GAP * (share(point, name, repeat) + shift)
                        rows.scores.append({**place, "attribute": name, "judge": judge, "prompt": k, "sample": 0, "score": score})
            for k, shift in enumerate(_shifts(setup.neutral, spread)):
                rows.neutral.append({**place, "text": k, "nats": (bits(point, repeat) + shift) * 100 * np.log(2), "bytes": 100})
            for k in range(setup.prompts):
                rows.written.append({**place, "kind": "things", "prompt": k, "sample": 0, "nats": 8.0, "tokens": 2})
                rows.texts.append({**place, "kind": "things", "prompt": k, "sample": 0, "text": f"a cat {k} a cat {k} said"})
        for before in (0.0, 1.0):
            for after in (0.0, 1.0):
                for k in range(setup.prompts):
                    facts = {"repeat": repeat, "before": before, "after": after, "prompt": k, "attribute": setup.attributes[0]}
                    for judge in setup.judges:
                        rows.turns.append({**facts, "judge": judge, "score": LOW + GAP * (0.1 * before + 0.6 * after)})
                    rows.turned.append({**facts, "first half": "a", "second half": "b"})
    table = pd.DataFrame([{"group": p.group, "attribute": p.attribute, "value": p.value, "mix": places[p.mix]} for p in points])
    references = pd.DataFrame(
        [
            {"attribute": n, "judge": j, "tokens": setup.tokens, "positive": LOW + GAP, "negative": LOW}
            for n in setup.styles
            for j in setup.judges
        ]
    )
    return gathered(table, rows, references, [anchors_of(setup) for _ in range(repeats)])


def anchors_of(setup):
    """Updates: attribute i has (1 + shared, +-1 in its own place)."""
    found = {}
    for place, name in enumerate(dict.fromkeys((*setup.attributes, *setup.styles))):
        for sign, way in (("+", 1.0), ("-", -1.0)):
            own = [0.5] + [0.0] * 7
            own[1 + place] = way
            found[name, sign] = adapter(*own)
    return found


def _shifts(count, spread):
    return spread * (np.arange(count) - (count - 1) / 2)
