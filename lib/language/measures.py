"""The numbers that the study's claims rest on. No name of an attribute is in a name: least, largest and mean are over attributes.

A margin is the mean over held-out texts of NLL(negative) - NLL(positive), in nats per token. A share is a score in units of the
judge's own gap between held-out texts of the two sides: 0 is what it gives negative texts, 1 what it gives positive ones.
"""

import numpy as np
from jaxtyping import Float64
from scipy.stats import rankdata

from lib.language.intervals import Drawn, Numbers, draws, joined, means, ratio
from lib.language.measures_of_anchors import Measurements, geometry_measurements, text_measurements
from lib.language.outcome import Outcome
from lib.language.plan import MIXTURE, SHUFFLED, SWAPPED
from lib.language.setup import CORRELATED, Setup
from lib.language.weights import NEGATIVE, POSITIVE
from lib.seeds import Seeds

PerAlpha = Float64[np.ndarray, "V R"]


def measurements(outcome: Outcome, setup: Setup, seeds: Seeds) -> Measurements:
    """All numbers by name; each function below says which it adds. What was not measured at this size is absent."""
    of_texts, of_prompts = draws(setup.held_out, seeds.child("texts")), draws(setup.prompts, seeds.child("prompts"))
    of_prose, of_few = draws(setup.neutral, seeds.child("neutral")), draws(max(1, setup.joint_prompts), seeds.child("joint"))
    groups = [(margin_numbers, of_texts), (joint_numbers, of_texts), (control_numbers, of_texts), (tied_numbers, of_texts)]
    groups += [(score_numbers, of_prompts), (turn_numbers, of_prompts), (neutral_numbers, of_prose)]
    groups += [(joint_score_numbers, of_few)] if setup.joint_prompts else []
    found: Measurements = {}
    for numbers, drawn in groups:
        found |= joined([numbers(outcome, setup, repeat, drawn) for repeat in outcome.repeats], drawn.shape[1])
    return found | geometry_measurements(outcome, setup) | text_measurements(outcome, setup, seeds.child("judges"))


def slider(outcome: Outcome, setup: Setup, attribute: str, repeat: int, drawn: Drawn) -> dict[float, Numbers]:
    """The margin at each alpha of one attribute's slider."""
    curve = outcome.curve("alpha", attribute)
    return dict(zip(curve, means(outcome.margins(list(curve.values()), attribute, repeat), drawn), strict=True))


def margin_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """Of single sliders: `margin/change_least`, M(1) - M(0); `margin/spearman_least` with alpha in 0..1; `margin/bend_largest`,
    how far M lies off the chord, as a share of the change; `margin/middle_least`, the smaller step to or from the middle, as a
    share of the change: positive where the middle lies between; `likelihood/sides_least`, by how much positive texts get likelier
    and negative ones less likely, the smaller of both; `extrapolation/margin_gain_least`, M(near) - M(1) as a share.
    """
    found: dict[str, list[Numbers]] = {name: [] for name in ("change", "spearman", "bend", "middle", "sides", "near")}
    for name in setup.attributes:
        m = slider(outcome, setup, name, repeat, drawn)
        change = m[1.0] - m[0.0]
        found["change"].append(change)
        found["spearman"].append(_rank_correlation(np.stack([m[alpha] for alpha in setup.alphas])))
        chords = [np.abs(m[a] - m[0.0] - a * change) for a in setup.alphas[1:-1]]
        found["bend"].append(ratio(np.max(chords, axis=0), change))
        steps = m[setup.middle] - m[0.0], m[1.0] - m[setup.middle]
        found["middle"].append(ratio(np.minimum(*steps), change))
        found["near"].append(ratio(m[setup.near] - m[1.0], change))
        ends = [outcome.curve("alpha", name)[alpha] for alpha in (0.0, 1.0)]
        rises = [means(outcome.side(ends, name, side, repeat), drawn) for side in (NEGATIVE, POSITIVE)]
        found["sides"].append(np.minimum(rises[0][1] - rises[0][0], rises[1][0] - rises[1][1]))
    least = {name: np.min(values, axis=0) for name, values in found.items()}
    return {
        "margin/change_least": least["change"], "margin/spearman_least": least["spearman"],
        "margin/middle_least": least["middle"],
        "margin/bend_largest": np.max(found["bend"], axis=0), "likelihood/sides_least": least["sides"],
        "extrapolation/margin_gain_least": least["near"],
    }  # fmt: skip


def score_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """Of generated texts, by the first judge: `score/ends_mean`, `score/ends_least`, share at alpha 1 less share at 0;
    `score/slope_least`, of the straight line over alpha in 0..1; `score/spearman_mean` with alpha there;
    `extrapolation/score_gain_mean`, share at the near alpha less share at 1.
    """
    ends, slopes, ranks, near = [], [], [], []
    for name in setup.attributes:
        s = scores(outcome, setup, name, repeat, drawn)
        inside = np.stack([s[alpha] for alpha in setup.alphas])
        ends.append(s[1.0] - s[0.0])
        slopes.append(np.polyfit(setup.alphas, inside, 1)[0])
        ranks.append(_rank_correlation(inside))
        near.append(s[setup.near] - s[1.0])
    return {
        "score/ends_mean": np.mean(ends, axis=0), "score/ends_least": np.min(ends, axis=0),
        "score/slope_least": np.min(slopes, axis=0), "score/spearman_mean": np.mean(ranks, axis=0),
        "extrapolation/score_gain_mean": np.mean(near, axis=0),
    }  # fmt: skip


def scores(
    outcome: Outcome, setup: Setup, attribute: str, repeat: int, drawn: Drawn, judge: str | None = None
) -> dict[float, Numbers]:
    """The share of the judge's gap at each alpha of one attribute's slider."""
    curve = outcome.curve("alpha", attribute)
    shares = outcome.shares(list(curve.values()), attribute, judge or setup.judges[0], repeat, setup.prompts)
    return dict(zip(curve, means(shares, drawn), strict=True))


def bits(outcome: Outcome, attribute: str, repeat: int, drawn: Drawn) -> dict[float, Numbers]:
    """Bits per byte of neutral prose at each alpha of one attribute's slider."""
    curve = outcome.curve("alpha", attribute)
    return dict(zip(curve, means(outcome.bits(list(curve.values()), repeat), drawn), strict=True))


def neutral_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """Of neutral prose: `neutral/base`, bits per byte of the model without anchors; `barrier/largest`, by which share the path
    within 0..1 rises above its dearer end; `extrapolation/near_cost_largest` and `extrapolation/far_cost_least`, by which share
    it rises from alpha 1 to the near and to the far alpha (the latter absent where no alpha is far).
    """
    found: dict[str, list[Numbers]] = {"barrier": [], "near": [], "far": []}
    for name in setup.attributes:
        b = bits(outcome, name, repeat, drawn)
        found["barrier"].append(np.max([b[a] for a in setup.alphas[1:-1]], axis=0) / np.maximum(b[0.0], b[1.0]) - 1)
        found["near"].append(b[setup.near] / b[1.0] - 1)
        if setup.far is not None:
            found["far"].append(b[setup.far] / b[1.0] - 1)
    base = means(outcome.bits(list(outcome.curve("base", "").values()), repeat), drawn)[0]
    numbers = {"neutral/base": base, "barrier/largest": np.max(found["barrier"], axis=0)}
    numbers["extrapolation/near_cost_largest"] = np.max(found["near"], axis=0)
    return numbers | ({"extrapolation/far_cost_least": np.min(found["far"], axis=0)} if found["far"] else {})


def entanglement(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn, by: str = "margin") -> Float64[np.ndarray, "n n R"]:
    """E[i, j]: what moving attribute i from 0 to 1 in a joint mix does to attribute j, in units of what j's own slider does.

    `by`: margins, or "score", shares by the first judge. Each column's own entry is 1 (or -1, where it moved the wrong way).
    """
    moved = []
    for i in setup.attributes:
        mixes = list(outcome.curve("joint", i).values())
        row = []
        for j in setup.attributes:
            if by == "margin":
                values = outcome.margins(mixes, j, repeat)
            else:
                values = outcome.shares(mixes, j, setup.judges[0], repeat, setup.joint_prompts)
            low, high = means(values, drawn)
            row.append(high - low)
        moved.append(row)
    table = np.array(moved)
    return ratio(table, np.broadcast_to(np.diagonal(table).T[None], table.shape))


def joint_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """`entanglement/largest`, `entanglement/mean`: |E[i, j]| by margin off the diagonal. `lambda/rise_least`: the margin at the
    largest lambda less that at the smallest, attribute at its positive anchor, as a share of its own slider's change.
    """
    off = _off_diagonal(np.abs(entanglement(outcome, setup, repeat, drawn)))
    rises = []
    for name in setup.attributes:
        m, curve = slider(outcome, setup, name, repeat, drawn), outcome.curve("lambda", name)
        values = means(outcome.margins(list(curve.values()), name, repeat), drawn)
        rises.append(ratio(values[-1] - values[0], m[1.0] - m[0.0]))
    return {"entanglement/largest": off.max(0), "entanglement/mean": off.mean(0), "lambda/rise_least": np.min(rises, axis=0)}


def joint_score_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """`entanglement/score_mean`: |E[i, j]| by score off the diagonal."""
    return {"entanglement/score_mean": _off_diagonal(np.abs(entanglement(outcome, setup, repeat, drawn, "score"))).mean(0)}


def control_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """As shares of the first attribute's change: `shuffled/share`, `swapped/share`, what the controls' sliders change;
    `mixture/gap_largest`, how far anchors trained on mixed texts lie from the mixes of anchors.
    """
    first = setup.attributes[0]
    m = slider(outcome, setup, first, repeat, drawn)
    change, found = m[1.0] - m[0.0], {}
    for control in (SHUFFLED, SWAPPED):
        if curve := outcome.curve(control, first):
            values = means(outcome.margins([curve[0.0], curve[1.0]], first, repeat), drawn)
            found[f"{control}/share"] = ratio(values[1] - values[0], change)
    if curve := outcome.curve(MIXTURE, first):
        values = means(outcome.margins(list(curve.values()), first, repeat), drawn)
        gaps = [np.abs(v - m[a]) for a, v in zip(curve, values, strict=True)]
        found["mixture/gap_largest"] = ratio(np.max(gaps, axis=0), change)
    return found


def tied_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """`tied/share`, `apart/share`: how far formality follows the slider of politeness, in units of its own slider, where the
    texts tie them and where not; `tied-apart/share`: the difference of the sizes. Absent without the pair.
    """
    if not setup.correlated:
        return {}
    apart, tied, other = CORRELATED
    shares = {}
    for group, first in (("apart", apart), ("tied", tied)):
        moved = [list(outcome.curve(group, name).values()) for name in (first, other)]
        ends = [means(outcome.margins(mixes, other, repeat), drawn) for mixes in moved]
        shares[group] = ratio(ends[0][1] - ends[0][0], ends[1][1] - ends[1][0])
    sizes = {f"{group}/share": share for group, share in shares.items()}
    return sizes | {"tied-apart/share": np.abs(shares["tied"]) - np.abs(shares["apart"])}


def turn_numbers(outcome: Outcome, setup: Setup, repeat: int, drawn: Drawn) -> dict[str, Numbers]:
    """`turn/gain`: by how much the second half of a text follows a slider that was moved in between: share after 1 less share
    after 0, mean over both first halves.
    """
    found = means(outcome.turn(setup.judges[0], repeat), drawn)
    return {"turn/gain": (found[:, 1] - found[:, 0]).mean(0)}


def _off_diagonal(table: Float64[np.ndarray, "n n R"]) -> Float64[np.ndarray, "m R"]:
    return table[~np.eye(len(table), dtype=bool)]


def _rank_correlation(values: PerAlpha) -> Numbers:
    """Spearman's correlation of values with their place (ties get their mean rank); 0 where all are equal."""
    ranks = rankdata(values, axis=0) - (len(values) + 1) / 2
    places = np.arange(len(values)) - (len(values) - 1) / 2
    size = np.sqrt((ranks**2).sum(0) * (places**2).sum())
    return np.divide(places @ ranks, size, out=np.zeros(values.shape[1]), where=size > 0)
