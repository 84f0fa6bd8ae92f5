"""The numbers that the study's claims rest on, one value for each draw; differences are paired within a draw.

Budgets are images per class. "soft" is the expert's epoch that is best on validation at that budget.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import spearmanr, t

from lib.distillation.experiment import Outcome, chosen
from lib.distillation.scaling import Storage, data_multiplier, storage
from lib.distillation.setup import Setup
from lib.distillation.structure import CONTROL, RANDOM

LEVEL = 0.95
Numbers = dict[str, list[float]]


def measurements(outcome: Outcome, experts: pd.DataFrame, setup: Setup) -> Numbers:
    """All numbers, by name; `experts`: the table of `Prepared`. What the setup left out is missing."""
    found = budget_measurements(outcome, experts, setup) | epoch_measurements(outcome, setup)
    found |= structure_measurements(outcome, setup) | zero_measurements(outcome, setup)
    found |= selection_measurements(outcome) if len(outcome.selection) else {}
    return found | (learned_measurements(outcome) if len(outcome.learned) else {})


def budget_measurements(outcome: Outcome, experts: pd.DataFrame, setup: Setup) -> Numbers:
    """Accuracies in % and gains in points. Without a budget in the name: at the smallest.

    `student-expert`: soft student less the expert that made its labels, the largest over budgets. `full`: the expert's after its
    last epoch. `gap/...`: full less the student, at the smallest and at the largest budget. `multiplier/ipc`: hard-labelled data
    with the same accuracy over the data used, whose bounds `multipliers` tells. `cutmix-soft/...`: a label for each CutMix view
    less one soft label, and its `growth`, at the largest budget less at the smallest. Draws share the ensemble and the
    prototypes, so that intervals of `ensemble-soft` and `prototypes...` are over images, single experts and students alone.
    """
    first, last = setup.ipcs[0], setup.ipcs[-1]
    soft, hard = (_by_budget(chosen(outcome.labellers, kind)) for kind in ("epoch", "hard"))
    full = _expert_tests(experts, setup)[setup.epochs[-1]]
    found = {"accuracy/soft": soft[first], "accuracy/hard": hard[first], "accuracy/full": full}
    found |= {"soft-hard": soft[first] - hard[first]} | {f"soft-hard/{ipc}": soft[ipc] - hard[ipc] for ipc in setup.ipcs}
    prototypes = ("prototypes epoch", "prototypes hard") if setup.prototypes else ()
    for kind in ("ensemble", *prototypes):
        found[f"{kind.replace(' ', '_')}-soft"] = _by_budget(chosen(outcome.labellers, kind))[first] - soft[first]
    if setup.views:
        mixed = _by_budget(chosen(outcome.labellers, "cutmix")) - soft
        found |= {f"cutmix-soft/{ipc}": mixed[ipc] for ipc in setup.ipcs}
        found |= {"cutmix-soft/smallest": mixed[first], "cutmix-soft/growth": mixed[last] - mixed[first]}
    found |= {"gap/soft_smallest": full - soft[first], "gap/soft_largest": full - soft[last]}
    found |= {"gap/hard_smallest": full - hard[first], "gap/hard_largest": full - hard[last]}
    found["student-expert"] = _over_expert(outcome, experts, setup).max(axis=1)
    values = multipliers(outcome).pivot(index="draw", columns="ipc", values="multiplier")
    found |= {"multiplier": values[first]} | {f"multiplier/{ipc}": values[ipc] for ipc in setup.ipcs}
    return _lists(found)


def epoch_measurements(outcome: Outcome, setup: Setup) -> Numbers:
    """Which expert teaches best, at the smallest budget unless said otherwise.

    `best_epoch/...`: log2 of the epoch best on validation; `shift`: at the largest less at the smallest budget;
    `other_rate-main`: under the experts' first rate less under the main one. `entropy/last-first` (nats) and
    `entropy/rank_correlation` (with the epoch): of labels at the largest budget. `last-hard`: gain of the last epoch's labels;
    `warm-last`: what they gain when softened by the temperature best on validation; `soft-warm`: what that does not recover;
    `temperature-soft`: the epoch and temperature (other than 1) best together, less the best epoch alone.
    """
    first, last = setup.ipcs[0], setup.ipcs[-1]
    table, soft = outcome.labellers, chosen(outcome.labellers)
    epochs = np.log2(_by_budget(soft, "epoch"))
    found = {
        "best_epoch/smallest": epochs[first],
        "best_epoch/largest": epochs[last],
        "best_epoch/shift": epochs[last] - epochs[first],
    }
    if len(setup.expert_lrs) > 1:
        other = chosen(table[table["expert_lr"] == setup.expert_lrs[0]], "rate")
        found["best_epoch/other_rate-main"] = np.log2(_by_budget(other, "epoch"))[first] - epochs[first]
    own = table[(table["kind"] == "epoch") & (table["ipc"] == last)].pivot(index="draw", columns="epoch", values="entropy")
    found["entropy/last-first"] = own[setup.epochs[-1]] - own[setup.epochs[0]]
    if len(setup.epochs) > 1:
        found["entropy/rank_correlation"] = own.apply(lambda row: spearmanr(row, setup.epochs).statistic, axis=1)
    late, hard = table[table["epoch"] == setup.epochs[-1]], _by_budget(chosen(table, "hard"))[first]
    cold = _by_budget(chosen(late, "epoch"))[first]
    found["last-hard"] = cold - hard
    if setup.temperatures:
        warm = _by_budget(chosen(late, "temperature"))[first]
        found |= {"warm-last": warm - cold, "soft-warm": _by_budget(soft)[first] - warm}
        found["temperature-soft"] = _by_budget(chosen(table, "temperature"))[first] - _by_budget(soft)[first]
    return _lists(found)


def structure_measurements(outcome: Outcome, setup: Setup) -> Numbers:
    """What each way of taking labels apart costs, in points, at the smallest of structure_ipcs, where names have no budget.

    `swap/first_loss`, `swap/last_loss`: k = 1 and k = C - 1; `swap/second_loss`: k = 2, the first that leaves the top alone.
    """
    found = {}
    for place, ipc in enumerate(setup.structure_ipcs):
        tests = outcome.structure[outcome.structure["ipc"] == ipc].pivot(index="draw", columns="arm", values="test")
        hard = _by_budget(chosen(outcome.labellers, "hard"))[ipc]
        swap = outcome.swap[outcome.swap["ipc"] == ipc].pivot(index="draw", columns="k", values="test")
        smoothing, ranks = tests["equal-entropy smoothing"], sorted(swap.columns)
        here = {"smoothing-hard": smoothing - hard, f"{CONTROL}-smoothing": tests[CONTROL] - smoothing}
        here |= {f"{CONTROL}-{arm.split()[0]}_rest": tests[CONTROL] - tests[arm] for arm in ("shuffled rest", "mean rest")}
        losses = {"first": ranks[1], "second": ranks[min(2, len(ranks) - 1)], "last": ranks[-1]}
        here |= {f"swap/{name}_loss": swap[0] - swap[k] for name, k in losses.items()}
        here["swap/first-last"] = here["swap/first_loss"] - here["swap/last_loss"]
        found |= {f"{name}/{ipc}": values for name, values in here.items()} | (here if place == 0 else {})
    return _lists(found)


def zero_measurements(outcome: Outcome, setup: Setup) -> Numbers:
    """Accuracy in % on a class that is left out, mean over the classes tried; without a budget in the name at the smallest."""
    means = outcome.zero.groupby(["draw", "ipc", "arm"])["test"].mean().unstack("arm")
    names = {"zero/control": CONTROL, "zero/soft": "no image", "zero/no_label": "no label", "zero/hard": "hard without image"}
    found = {}
    for place, ipc in enumerate(setup.structure_ipcs):
        here = {name: means.xs(ipc, level="ipc")[arm] for name, arm in names.items()}
        found |= {f"{name}/{ipc}": values for name, values in here.items()} | (here if place == 0 else {})
    return _lists(found)


def selection_measurements(outcome: Outcome) -> Numbers:
    """Accuracy of students of the easiest and of the hardest bin of images, less that of random images and of each other.

    In points, each with `/soft` and `/hard` labels. `selection/repair`: how much less soft labels lose from easiest to hardest.
    """
    found = {}
    for labels, rows in outcome.selection.groupby("labels"):
        tests = rows.pivot(index="draw", columns="bin", values="test")
        ends = {"easiest": tests[0], "hardest": tests[tests.columns.max()]}
        found |= {f"selection/{end}-random/{labels}": values - tests[RANDOM] for end, values in ends.items()}
        found[f"selection/easiest-hardest/{labels}"] = ends["easiest"] - ends["hardest"]
    found["selection/repair"] = found["selection/easiest-hardest/hard"] - found["selection/easiest-hardest/soft"]
    return _lists(found)


def learned_measurements(outcome: Outcome) -> Numbers:
    """Learned labels against others, at the smallest of structure_ipcs: gains in points, and whom they resemble, in nats.

    `nearer/learned`: JS to single experts, on average, less JS to the ensemble, after the epoch whose single experts are nearest;
    `nearer/shuffled`: the same for learned labels with the rest of each row shuffled, which tells how much of it any labels have.
    """
    tests = outcome.learned.pivot(index="draw", columns="arm", values="test")
    found = {f"learned-{arm}": tests["learned"] - tests[arm] for arm in ("hard", "expert", "ensemble")}
    apart = outcome.learned[outcome.learned["arm"] == "learned"].set_index("draw")
    found |= {f"learned/js_{arm}": apart[f"js {arm}"] for arm in ("hard", "expert", "ensemble")}
    near = outcome.nearness.set_index(["labels", "draw", "epoch"])
    at = [(draw, rows["expert"].idxmin()[1]) for draw, rows in near.loc["learned"].groupby(level="draw")]
    for labels in ("learned", "shuffled"):
        rows = near.loc[labels].loc[at]
        found[f"nearer/{labels}"] = rows["expert"] - rows["ensemble"]
    found["nearer/learned-shuffled"] = found["nearer/learned"] - found["nearer/shuffled"]
    return _lists(found)


def multipliers(outcome: Outcome) -> pd.DataFrame:
    """draw, ipc, multiplier, bound: of the chosen soft labels against hard ones, each draw by itself."""
    soft, hard = chosen(outcome.labellers), chosen(outcome.labellers, "hard")
    parts = [worth(mine, hard[hard["draw"] == draw]) for draw, mine in soft.groupby("draw")]
    return pd.concat(parts, ignore_index=True)[["draw", "ipc", "multiplier", "bound"]]


def worth(rows: pd.DataFrame, hard: pd.DataFrame) -> pd.DataFrame:
    """The rows with `multiplier` and `bound`: `data_multiplier` of `test` at `ipc`, against hard labels' `test` by `ipc`."""
    found = [data_multiplier(hard["ipc"], hard["test"], ipc, test) for ipc, test in zip(rows["ipc"], rows["test"], strict=True)]
    return rows.assign(multiplier=[each.value for each in found], bound=[each.bound for each in found])


def storage_table(setup: Setup, classes: int, pixels: int) -> pd.DataFrame:
    """ipc, labels, pixel_numbers, label_numbers: of hard, top-2 and soft labels, and of a soft label for each view of an image.

    Without CutMix views in the setup, as many as students see images in their steps.
    """
    rows = []
    for ipc in setup.ipcs:
        seen = max(1, round(setup.steps * min(setup.batch_size, ipc * classes) / (ipc * classes)))
        kinds: dict[str, Storage] = {
            "hard": storage(ipc, classes, pixels, per_label=1),
            "top 2": storage(ipc, classes, pixels, per_label=4),
            "soft": storage(ipc, classes, pixels),
            "soft, each view": storage(ipc, classes, pixels, epochs=setup.views or seen),
        }
        rows += [(ipc, name, found.pixels, found.labels) for name, found in kinds.items()]
    return pd.DataFrame(rows, columns=["ipc", "labels", "pixel_numbers", "label_numbers"])


def summarised(table: pd.DataFrame, keys: Sequence[str], value: str = "test") -> pd.DataFrame:
    """One row for each group: mean over draws, low and high end of Student's 95 % interval, and n; NaN ends for one draw."""
    groups = table.groupby(list(keys), sort=False, dropna=False)[value].agg(["mean", "sem", "count"]).reset_index()
    half = t.ppf((1 + LEVEL) / 2, groups["count"] - 1) * groups["sem"]
    ends = {"low": groups["mean"] - half, "high": groups["mean"] + half, "n": groups["count"]}
    return groups.drop(columns=["sem", "count"]).assign(**ends)


def _by_budget(rows: pd.DataFrame, value: str = "test") -> pd.DataFrame:
    """One row for each draw, one column for each budget."""
    return rows.pivot(index="draw", columns="ipc", values=value)


def _expert_tests(experts: pd.DataFrame, setup: Setup) -> pd.DataFrame:
    """Test accuracy of the main experts: one row for each draw, one column for each epoch."""
    return experts[experts["expert_lr"] == setup.main_lr].pivot(index="draw", columns="epoch", values="test")


def _over_expert(outcome: Outcome, experts: pd.DataFrame, setup: Setup) -> pd.DataFrame:
    """Soft student less the very expert of its labels: one row for each draw, one column for each budget."""
    soft, tests = chosen(outcome.labellers), _expert_tests(experts, setup)
    teacher = [tests.loc[draw, epoch] for draw, epoch in zip(soft["draw"], soft["epoch"], strict=True)]
    return _by_budget(soft.assign(over=soft["test"] - teacher), "over")


def _lists(found: dict[str, pd.Series]) -> Numbers:
    return {name: values.astype(float).tolist() for name, values in found.items()}
