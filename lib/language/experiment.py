"""Train the anchors, make every mix of the plan, and measure what it does to held-out texts, to prompts and to plain prose."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import groupby
from operator import itemgetter

import pandas as pd

from lib.language.adapters import Adapter
from lib.language.anchors import anchors
from lib.language.attributes import Sides
from lib.language.generation import generate
from lib.language.likelihood import conditional_likelihood, text_likelihood
from lib.language.materials import Materials
from lib.language.mixing import Mixer
from lib.language.outcome import Outcome, Rows, gathered
from lib.language.plan import SHUFFLED, SWAPPED, Work, control_name, mixture_anchor, points_of, slider_weights, works_of
from lib.language.setup import Setup
from lib.language.weights import NEGATIVE, POSITIVE, Anchor
from lib.seeds import Seeds

Watched = Callable[[Iterable[Work]], Iterator[Work]]


def train_all(setup: Setup, materials: Materials, seeds: Seeds) -> list[dict[Anchor, Adapter]]:
    """All anchors, once for each of the `anchor_seeds`, out of the cache where they are there; labels are shuffled anew for each.

    Errors as `anchors`.
    """
    return [
        anchors(
            materials.trainee, corpora_of(setup, materials, seeds.child("controls", k)), setup.recipe(), seeds.child("anchors", k)
        )
        for k in range(setup.anchor_seeds)
    ]  # fmt: skip


def corpora_of(setup: Setup, materials: Materials, seeds: Seeds) -> dict[Anchor, tuple[str, ...]]:
    """The training texts of every anchor, those of the controls too."""
    sides = {name: style.data.anchors for name, style in materials.styles.items()}
    first = setup.attributes[0]
    if setup.shuffled:
        sides[control_name(first, SHUFFLED)] = sides[first].shuffled(seeds.child(SHUFFLED))
    if setup.swapped:
        sides[control_name(first, SWAPPED)] = sides[first].swapped()
    corpora = {(name, sign): texts for name, both in sides.items() for sign, texts in _signed(both)}
    return corpora | {mixture_anchor(first, alpha): mixed(sides[first], alpha) for alpha in setup.mixture_alphas}


def _signed(sides: Sides) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (POSITIVE, sides.positive), (NEGATIVE, sides.negative)


def mixed(sides: Sides, alpha: float) -> tuple[str, ...]:
    """As many texts as a side has, a share alpha of them positive; no content stands on both sides of a pair."""
    many = round(alpha * len(sides.positive))
    return sides.positive[:many] + sides.negative[many:]


def run_mixes(
    setup: Setup, materials: Materials, trained: Sequence[Mapping[Anchor, Adapter]], seeds: Seeds, watched: Watched = iter
) -> Outcome:
    """Every mix of the plan, for each set of anchors. `watched` goes through the mixes of all sets, such as behind a bar.

    A prompt's continuation is drawn with the same random numbers under every mix (common random numbers), and judged without
    the prompt. Errors as the measures'.
    """
    points = points_of(setup)
    works = works_of(points)
    places = {work.mix: index for index, work in enumerate(works)}
    table = pd.DataFrame([{"group": p.group, "attribute": p.attribute, "value": p.value, "mix": places[p.mix]} for p in points])
    rows = Rows()
    jobs = watched([(repeat, work) for repeat in range(len(trained)) for work in works])
    for repeat, of_set in groupby(jobs, itemgetter(0)):
        with Mixer(materials.backbone, trained[repeat]) as mixer:
            for _, work in of_set:
                mixer.apply(dict(work.mix))
                _measure(work, {"repeat": repeat, "mix": places[work.mix]}, rows, setup, materials, seeds.child("samples"))
            _turn(mixer, repeat, rows, setup, materials, seeds.child("turns"))
    _reread({places[point.mix] for point in points if point.group in ("base", "alpha")}, rows, setup, materials)
    return gathered(table, rows, materials.references, list(trained))


def _measure(work: Work, place: Mapping[str, Hashable], rows: Rows, setup: Setup, materials: Materials, seeds: Seeds) -> None:
    """All that is asked of the mix that the model holds now."""
    backbone, size = materials.backbone, setup.batch_size
    if work.likelihood:
        named = [
            (name, side, index, text)
            for name in work.likelihood
            for side, texts in _signed(materials.styles[name].read)
            for index, text in enumerate(texts)
        ]
        found = text_likelihood(backbone, [text for *_, text in named], size)
        for (name, side, index, _), nats, tokens in zip(named, found.nats.tolist(), found.tokens.tolist(), strict=True):
            rows.likelihoods.append({**place, "attribute": name, "side": side, "text": index, "nats": nats, "tokens": tokens})
    if work.neutral:
        found = text_likelihood(backbone, materials.neutral, size)
        for index, (nats, count) in enumerate(zip(found.nats.tolist(), found.bytes.tolist(), strict=True)):
            rows.neutral.append({**place, "text": index, "nats": nats, "bytes": count})
    _continue(work, place, rows, setup, materials, seeds)


def _continue(work: Work, place: Mapping[str, Hashable], rows: Rows, setup: Setup, materials: Materials, seeds: Seeds) -> None:
    """Continue prompts of every kind that is asked for, once, and let the judges of the attributes read what was added."""
    counts: dict[str, int] = {}
    for name, count in work.continued.items():
        kind = materials.styles[name].kind
        counts[kind] = max(counts.get(kind, 0), count)
    for kind, count in counts.items():
        asked = [(index, sample) for index in range(count) for sample in range(setup.samples)]
        prompts = [materials.prompts[kind][index] for index, _ in asked]
        nodes = [seeds.child(kind, index, sample) for index, sample in asked]
        texts = _generated(materials, prompts, nodes, setup.tokens, setup)
        for (index, sample), text in zip(asked, texts, strict=True):
            rows.texts.append({**place, "kind": kind, "prompt": index, "sample": sample, "text": text})
        for name in work.continued:
            if materials.styles[name].kind == kind:
                _judge(name, texts, [{**place, "prompt": i, "sample": s} for i, s in asked], rows.scores, materials)


def _generated(materials: Materials, prompts: list[str], nodes: list[Seeds], tokens: int, setup: Setup) -> list[str]:
    return generate(
        materials.backbone, prompts, tokens=tokens, seeds=nodes, temperature=setup.temperature, batch_size=setup.batch_size
    )


def _judge(name: str, texts: Sequence[str], places: list[dict[str, Hashable]], into: list[dict], materials: Materials) -> None:
    for kind, scorer in materials.styles[name].judges.items():
        for place, score in zip(places, scorer.score([text.strip() for text in texts]).tolist(), strict=True):
            into.append({**place, "attribute": name, "judge": kind, "score": score})


def _turn(mixer: Mixer, repeat: int, rows: Rows, setup: Setup, materials: Materials, seeds: Seeds) -> None:
    """The first attribute's slider is moved (or not) in the middle of a text: what is written then is judged alone.

    The second half begins anew from prompt and first half, so that nothing that the model remembers is from the old mix.
    """
    first = setup.attributes[0]
    style = materials.styles[first]
    prompts = list(materials.prompts[style.kind])
    for before in (0.0, 1.0):
        mixer.apply(slider_weights(first, before))
        opened = _generated(materials, prompts, [seeds.child("first", i) for i in range(len(prompts))], setup.half, setup)
        so_far = [prompt + text for prompt, text in zip(prompts, opened, strict=True)]
        for after in (0.0, 1.0):
            mixer.apply(slider_weights(first, after))
            texts = _generated(materials, so_far, [seeds.child("second", i) for i in range(len(prompts))], setup.half, setup)
            places = [{"repeat": repeat, "before": before, "after": after, "prompt": i} for i in range(len(prompts))]
            _judge(first, texts, places, rows.turns, materials)
            for place, early, late in zip(places, opened, texts, strict=True):
                rows.turned.append({**place, "first half": early, "second half": late})


def _reread(mixes: Set[int], rows: Rows, setup: Setup, materials: Materials) -> None:
    """What the texts of these mixes cost the model without anchors, given their prompts; an empty text costs nothing."""
    kept = [row for row in rows.texts if row["mix"] in mixes and row["text"]]
    prompts = [materials.prompts[row["kind"]][row["prompt"]] for row in kept]
    found = conditional_likelihood(materials.backbone, prompts, [row["text"] for row in kept], setup.batch_size)
    for row, nats, tokens in zip(kept, found.nats.tolist(), found.tokens.tolist(), strict=True):
        place = {name: row[name] for name in ("repeat", "mix", "kind", "prompt", "sample")}
        rows.written.append({**place, "nats": nats, "tokens": tokens})


def example_texts(outcome: Outcome, setup: Setup, materials: Materials, attribute: str) -> pd.DataFrame:
    """One prompt continued along a slider, with the same random numbers: columns alpha, text.

    It is the one whose score by the first judge rises most from alpha 0 to 1, in the first set of anchors.
    """
    points, kind = outcome.curve("alpha", attribute), materials.styles[attribute].kind
    start, end = outcome.shares([points[0.0], points[1.0]], attribute, setup.judges[0], 0, setup.prompts)
    prompt = int((end - start).argmax())
    texts = outcome.texts[(outcome.texts["kind"] == kind) & (outcome.texts["prompt"] == prompt) & (outcome.texts["repeat"] == 0)]
    texts = texts[texts["sample"] == 0].set_index("mix")["text"]
    opening = materials.prompts[kind][prompt]
    return pd.DataFrame(
        [{"alpha": value, "text": f"{opening} | {texts[mix].strip()}"} for value, mix in points.items() if mix in texts.index]
    )
