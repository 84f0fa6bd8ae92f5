"""What a study of mixes stands on before any anchor exists: the model, texts, judges, prompts and neutral prose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lib.language.attributes import AttributeData, Sides, load_attribute
from lib.language.backbone import Backbone, load_backbone
from lib.language.encoder import SentenceEncoder, load_encoder
from lib.language.judges import judge_of
from lib.language.judging import judge
from lib.language.neutral import neutral_prompts, neutral_texts
from lib.language.reading import reader
from lib.language.scorers import Scorer
from lib.language.setup import Setup
from lib.seeds import Seeds

LEAST_GAP = 0.05  # between a judge's mean scores of real texts of both sides: scores are measured in it


@dataclass(frozen=True)
class Style:
    """One attribute: its texts, the held-out ones that are read (cut), its judges by name, and the kind of its prompts.

    The tied pair has no judges: no text of its mixes is scored.
    """

    data: AttributeData
    read: Sides
    judges: Mapping[str, Scorer]
    kind: str


@dataclass(frozen=True)
class Materials:
    """What is at hand.

    `backbone`: the model that is mixed and measured (`lib.language.reading`); `trainee`: the same weights in full, that anchors
    are trained on. `styles` by attribute; `prompts` by kind; `neutral` paragraphs. `references` has a row for each attribute and
    judge: `accuracy` with `low` and `high`, and the mean score of held-out texts of the `positive` and the `negative` side, cut
    to as many `tokens` as are generated; the difference of the two is the judge's gap. Its last rows are of the first attribute
    at half as many tokens, for texts in whose middle the slider turns.
    """

    backbone: Backbone
    styles: Mapping[str, Style]
    prompts: Mapping[str, tuple[str, ...]]
    neutral: tuple[str, ...]
    references: pd.DataFrame
    trainee: Backbone


def prepare(setup: Setup, seeds: Seeds) -> Materials:
    """Load the model and the texts, train the judges.

    Errors: ValueError for texts too short to be judged, and those of the loaders (DataUnavailable among them).
    """
    trainee = load_backbone(setup.backbone, setup.device)
    backbone = reader(trainee, setup.precision)
    encoder = load_encoder(setup.device) if "embedding" in setup.judges else None
    styles = {name: _style(name, setup, backbone, encoder, seeds.child("texts", name)) for name in setup.styles}
    kinds = dict.fromkeys(style.kind for style in styles.values())
    prompts = {kind: neutral_prompts(setup.prompts, seeds.child("prompts", kind), kind) for kind in kinds}
    references = _references(styles, setup, backbone)
    prose = neutral_texts()
    chosen = seeds.child("neutral").numpy().permutation(len(prose))[: setup.neutral]
    neutral = tuple(cut([prose[index] for index in chosen], backbone, setup.neutral_tokens))
    return Materials(backbone, styles, prompts, neutral, references, trainee)


def cut(texts: Sequence[str], backbone: Backbone, tokens: int) -> list[str]:
    """The first tokens of each text."""
    return [backbone.tokenizer.decode(row[:tokens]) for row in backbone.encode(texts)]


def _cut_sides(sides: Sides, backbone: Backbone, tokens: int, count: int | None = None) -> Sides:
    """The first texts of both sides, the first tokens of each."""
    return Sides(*(tuple(cut(side[:count], backbone, tokens)) for side in (sides.positive, sides.negative)))


def _style(name: str, setup: Setup, backbone: Backbone, encoder: SentenceEncoder | None, seeds: Seeds) -> Style:
    data = load_attribute(name, seeds, setup.sizes)
    read = _cut_sides(data.held_out, backbone, setup.text_tokens, setup.held_out)
    kinds = setup.judges if name in setup.attributes else ()
    judges = {kind: judge_of(kind, data, encoder, seeds.child("judge", kind)) for kind in kinds}
    return Style(data, read, judges, setup.kind(name))


def _references(styles: Mapping[str, Style], setup: Setup, backbone: Backbone) -> pd.DataFrame:
    rows = []
    for name, tokens in [*((name, setup.tokens) for name in setup.attributes), (setup.attributes[0], setup.half)]:
        sides = _cut_sides(styles[name].data.held_out, backbone, tokens)
        for kind, scorer in styles[name].judges.items():
            found = judge(scorer, sides)
            if kind == setup.judges[0] and found.positive - found.negative < LEAST_GAP:
                raise ValueError(
                    f"tokens: got {setup.tokens}; cut to {tokens}, the judge {kind!r} cannot tell the sides of {name!r} apart "
                    f"(mean scores {found.positive:.2f} and {found.negative:.2f}), allowed are more tokens, or another judge"
                )
            rows.append(
                {
                    "attribute": name, "judge": kind, "tokens": tokens, "texts": found.n, "accuracy": found.accuracy,
                    "low": found.low, "high": found.high, "positive": found.positive, "negative": found.negative,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def corpus_table(materials: Materials) -> pd.DataFrame:
    """For each attribute: what its two sides are, whether generated, and what cleaning and matching left.

    How well topic words and length alone tell the sides is NaN for what needs no matching: translations say the same, and
    the grammar draws what a text is about without a look at its style.
    """
    rows = []
    for name, style in materials.styles.items():
        facts, pair = style.data.facts, style.data.pair
        row = {"attribute": name, "score 1": pair.positive, "score 0": pair.negative, "generated": pair.generated}
        row |= {"candidates": facts["candidates"], "kept": facts["matched"]}
        row |= {f"told by topic {when} matching": facts.get(f"topic_{when}", np.nan) for when in ("before", "after")}
        rows.append(row | {"note": pair.note})
    return pd.DataFrame(rows)
