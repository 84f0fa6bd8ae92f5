"""Numbers of mixes of several attributes, of controls, of anchors trained on mixtures, and of the pair tied on purpose."""

from functools import partial
from itertools import pairwise

import numpy as np

from lib.language.intervals import Drawn, Measured, Numbers, Share, bare, difference, farthest, lowest, means, measured
from lib.language.margins import change, margins, over_sets, rise
from lib.language.measures_of_anchors import Measurements
from lib.language.outcome import Outcome
from lib.language.plan import MIXTURE, SHUFFLED, SWAPPED
from lib.language.setup import CORRELATED, Setup
from lib.language.weights import NEGATIVE, POSITIVE

SMALL = 1 / 3  # entanglement that is small: a third of what the attribute's own slider does


def entanglement(outcome: Outcome, setup: Setup, drawn: Drawn, by: str = "margin") -> dict[tuple[str, str], Measured]:
    """E[i, j]: what moving attribute i from 0 to 1 in a joint mix does to attribute j, in units of what j's own slider does.

    `by`: margins, or "score", shares by the first judge. A column's own entry is 1, or -1 where its slider moves the wrong way;
    the column is undefined where it is not certain that its own slider moves anything.
    """
    table = {
        (i, j): [_moved(outcome, setup, i, j, by, repeat, drawn) for repeat in outcome.repeats]
        for i in setup.attributes
        for j in setup.attributes
    }
    return {
        (i, j): measured([Share(*each) for each in zip(parts, table[j, j], strict=True)], drawn.shape[1])
        for (i, j), parts in table.items()
    }


def _moved(outcome: Outcome, setup: Setup, i: str, j: str, by: str, repeat: int, drawn: Drawn) -> Numbers:
    mixes = list(outcome.curve("joint", i).values())
    if by == "margin":
        values = outcome.margins(mixes, j, repeat)
    else:
        values = outcome.shares(mixes, j, setup.judges[0], repeat, setup.joint_prompts)
    low, high = means(values, drawn)
    return high - low


def joint_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """`entanglement/farthest`: E[i, j] by margin off the diagonal; `entanglement/small`: the share of those pairs whose whole
    interval lies within a third of 0 (that of an undefined one does not), n counts pairs. `lambda/step_least`: what one more step
    of lambda moves the margin, attribute at its positive anchor.
    """
    off = {f"{i} moves {j}": one for (i, j), one in entanglement(outcome, setup, drawn).items() if i != j}
    small = [max(abs(one.low), abs(one.high)) < SMALL for one in off.values()]
    steps = {}
    for name in setup.attributes:
        sets = [margins(outcome, "lambda", name, repeat, drawn) for repeat in outcome.repeats]
        for a, b in pairwise(setup.lambdas):
            steps[f"{name}, {a:g} to {b:g}"] = measured([m[b] - m[a] for m in sets], drawn.shape[1])
    return {
        "entanglement/farthest": farthest(off), "entanglement/small": bare(float(np.mean(small)), len(off)),
        "lambda/step_least": lowest(steps),
    }  # fmt: skip


def control_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """As shares of the first attribute's change: `shuffled/share`, `swapped/share`, what the controls' sliders change."""
    first, found = setup.attributes[0], {}
    units = [change(outcome, first, repeat, drawn) for repeat in outcome.repeats]
    for control in (SHUFFLED, SWAPPED):
        if outcome.curve(control, first):
            sets = [margins(outcome, control, first, repeat, drawn) for repeat in outcome.repeats]
            found[f"{control}/share"] = rise(sets, 0.0, 1.0, units, drawn.shape[1])
    return found


def mixture_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """How far anchors trained on mixed texts lie from mixes of anchors: `mixture/gap_farthest`, their margin, as a share of the
    first attribute's change; `mixture/cost_farthest`, the mean cost of both sides' texts, as a share of what the mix has gained
    over the base there: the base itself would be at 1.
    """
    first = setup.attributes[0]
    if not (curve := outcome.curve(MIXTURE, first)):
        return {}
    (base,) = outcome.curve("base", "").values()

    def costs(mix: int, repeat: int) -> Numbers:
        return sum(means(outcome.side([mix], first, side, repeat), drawn)[0] for side in (POSITIVE, NEGATIVE)) / 2

    def gap(alpha: float, repeat: int) -> Share:
        trained, mixed = (margins(outcome, group, first, repeat, drawn)[alpha] for group in (MIXTURE, "alpha"))
        return Share(trained - mixed, change(outcome, first, repeat, drawn))

    def cost(alpha: float, repeat: int) -> Share:
        mixed = costs(outcome.curve("alpha", first)[alpha], repeat)
        return Share(costs(curve[alpha], repeat) - mixed, costs(base, repeat) - mixed)

    return {
        f"mixture/{name}_farthest": farthest({f"alpha {a:g}": over_sets(outcome, partial(share, a), drawn) for a in curve})
        for name, share in (("gap", gap), ("cost", cost))
    }


def tied_numbers(outcome: Outcome, setup: Setup, drawn: Drawn) -> Measurements:
    """`tied/share`, `apart/share`: how far formality follows the slider of politeness, in units of its own slider, where the
    texts tie them and where not; `tied-apart/share`: the difference. Absent without the pair.
    """
    if not setup.correlated:
        return {}
    apart, tied, other = CORRELATED

    def share(group: str, first: str, repeat: int) -> Share:
        moved = [list(outcome.curve(group, name).values()) for name in (first, other)]
        ends = [means(outcome.margins(mixes, other, repeat), drawn) for mixes in moved]
        return Share(ends[0][1] - ends[0][0], ends[1][1] - ends[1][0])

    sets = {group: [share(group, first, k) for k in outcome.repeats] for group, first in (("tied", tied), ("apart", apart))}
    found = {f"{group}/share": measured(shares, drawn.shape[1]) for group, shares in sets.items()}
    return found | {"tied-apart/share": difference(sets["tied"], sets["apart"], drawn.shape[1])}
