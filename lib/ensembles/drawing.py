"""Figures of the weight-ensembles study, drawn from outcomes; nothing is computed here that a table does not hold."""

import itertools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.ensembles.distances import Matrix, set_diversity, spearman
from lib.ensembles.domains import Domains
from lib.ensembles.embedding import Embedding
from lib.ensembles.mechanics import Connectivity, EnsembleGap, SubsetSample
from lib.ensembles.outcome import SEQUENTIAL, SMALL, Outcome, rule_table
from lib.ensembles.walk import Members

# Colour, marker and dash of each rule, everywhere the same, so that no legend has to be learnt twice.
RULE_STYLE = {
    "uniform": ("#000000", "s", "-"),
    "random": ("#7F7F7F", "P", ":"),
    "greedy": ("#0072B2", "o", "-"),
    "greedier": ("#D55E00", "D", "-"),
    "ranked-d-far": ("#009E73", "^", "-"),
    "ranked-d-near": ("#009E73", "v", "--"),
    "ranked-e-far": ("#CC79A7", "^", "-"),
    "ranked-e-near": ("#CC79A7", "v", "--"),
}
SPLIT_TITLES = {"id_val": "ID validation", "id_test": "ID test", "ood": "OOD"}
GREY = "#9CA3AF"
WIDTHS = np.linspace(5, 1, len(SEQUENTIAL))  # paths often coincide: the wide ones lie below and stay visible


def draw_domains(domains: Domains, per_domain: int = 8) -> Figure:
    """The same images in every domain, one row each."""
    fig, axes = plt.subplots(len(domains.parts), per_domain, figsize=(7, 0.9 * len(domains.parts)), squeeze=False)
    for row, (name, parts) in zip(axes, domains.parts.items(), strict=True):
        for ax, image in zip(row, parts["train"][0][:per_domain].cpu(), strict=False):
            ax.imshow(image if image.dim() == 2 else image.permute(1, 2, 0), cmap="gray_r", vmin=0)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    return fig


def draw_distances(outcome: Outcome) -> Figure:
    """d_D and d_E of all pairs in the same order (by ID validation accuracy), and one against the other."""
    order = np.argsort(outcome.evaluator.counts(outcome.evaluator.singles, "id_val"))[::-1]
    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.4), width_ratios=(1, 1, 0.9))
    d_d, d_e = outcome.distances["d_D id_test"], outcome.distances["d_E"]
    for ax, matrix, title in ((left, d_d, "ratio error $d_D$ (ID test)"), (middle, d_e, "weight distance $d_E$")):
        shown = np.where(np.eye(len(matrix), dtype=bool), np.nan, matrix)[np.ix_(order, order)]
        sns.heatmap(shown, ax=ax, cmap="viridis", square=True, cbar_kws={"shrink": 0.8}, xticklabels=order, yticklabels=order)
        ax.set(title=title, xlabel="ingredient (best first)", ylabel="ingredient")
        ax.tick_params(labelsize=7)
    i, j = np.triu_indices(len(d_d), 1)
    right.scatter(d_e[i, j], d_d[i, j], s=14, alpha=0.6, linewidths=0)
    rank = spearman(d_e[i, j], d_d[i, j])
    right.set(xlabel="weight distance $d_E$", ylabel="ratio error $d_D$", title=f"Pairs; Spearman {_number(rank)}")
    return fig


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _legend_right(fig: Figure, ax: Axes) -> None:
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center")


def draw_accuracy_by_size(outcome: Outcome) -> Figure:
    """Accuracy after each accepted ingredient (filled) on three splits; hollow: a soup that was tried and rejected."""
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.6))
    evaluator = outcome.evaluator
    for ax, (split, title) in zip(axes, SPLIT_TITLES.items(), strict=True):
        for width, rule in zip(WIDTHS, SEQUENTIAL, strict=True):
            colour, marker, dash = RULE_STYLE[rule]
            trace = outcome.selections[rule].trace
            kept = [step.members for step in trace if step.accepted]
            tried = [(*before.members, step.candidate) for before, step in itertools.pairwise(trace) if not step.accepted]
            look = {"color": colour, "ls": dash, "marker": marker, "lw": width, "ms": 4 + width}
            ax.plot([len(m) for m in kept], _accuracy(evaluator, kept, split), label=rule, **look)
            if split == "id_val" and tried:
                sizes = np.array([len(m) for m in tried]) + 0.04 * (SEQUENTIAL.index(rule) - 3)
                ax.scatter(
                    sizes,
                    _accuracy(evaluator, tried, split),
                    s=12,
                    facecolors="none",
                    edgecolors=colour,
                    linewidths=0.8,
                    zorder=1,
                )
        level = _accuracy(evaluator, [outcome.selections["uniform"].members], split)[0]
        ax.axhline(level, color="black", lw=1, ls=(0, (1, 2)), label="uniform (all)")
        ax.set(title=title, xlabel="ingredients in the soup", ylabel="accuracy (%)" if split == "id_val" else "")
        ax.xaxis.get_major_locator().set_params(integer=True)
    _legend_right(fig, axes[0])
    return fig


def _accuracy(evaluator, soups: Sequence[Members], split: str) -> list[float]:  # noqa: ANN001 - an Evaluator
    return [100 * value for value in evaluator.accuracy(list(soups), split)]


def draw_rules(table: pd.DataFrame, reference: str = "best single") -> Figure:
    """Each rule's accuracy minus the best single model's: mean over repeats with 95 % Student t interval, ID test and OOD."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True)
    rules = ["prediction ensemble", *RULE_STYLE]
    wide = table.groupby(["repeat", "rule"])[["id_test", "ood"]].mean().unstack("rule")
    for ax, split in zip(axes, ("id_test", "ood"), strict=True):
        gain = wide[split][rules].sub(wide[split][reference], axis=0)
        for y, rule in enumerate(rules):
            colour, marker, _ = RULE_STYLE.get(rule, ("#6B7280", "*", "-"))
            half = _half_width(gain[rule].to_numpy())
            ax.errorbar(gain[rule].mean(), y, xerr=half, color=colour, marker=marker, ms=7, capsize=3, ls="none")
        ax.axvline(0, color="black", lw=0.8)
        ax.set(title=f"{SPLIT_TITLES[split]}, n = {len(gain)} repeats", xlabel=f"accuracy minus {reference} (points)")
    axes[0].set_yticks(range(len(rules)), rules)
    axes[0].invert_yaxis()
    return fig


def _half_width(values: np.ndarray) -> float | None:
    from scipy.stats import sem, t

    n = len(values)
    return float(t.ppf(0.975, n - 1) * sem(values)) if n > 1 else None


def draw_diversity_by_size(outcome: Outcome) -> Figure:
    """Mean pairwise distance of the members after each addition, functional and positional."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for ax, (name, title) in zip(axes, (("d_D ood", "$d_D$ on OOD data"), ("d_E", "$d_E$")), strict=True):
        matrix = outcome.distances[name]
        for width, rule in zip(WIDTHS, SEQUENTIAL, strict=True):
            colour, marker, dash = RULE_STYLE[rule]
            soups = [step.members for step in outcome.selections[rule].curve if len(step.members) > 1]
            values = [set_diversity(matrix, members).value for members in soups]
            ax.plot([len(m) for m in soups], values, color=colour, marker=marker, ls=dash, lw=width, ms=4 + width, label=rule)
        ax.axhline(set_diversity(matrix, range(len(matrix))).value, color="black", lw=1, ls=(0, (1, 2)), label="all models")
        ax.set(xlabel="ingredients in the soup", ylabel=f"mean pairwise {title}")
        ax.xaxis.get_major_locator().set_params(integer=True)
    _legend_right(fig, axes[0])
    return fig


def draw_pair_gains(outcome: Outcome, gains: Matrix) -> Figure:
    """Gain of averaging two models against how far apart they are, all pairs, with the least-squares line."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    i, j = np.triu_indices(len(gains), 1)
    for ax, (name, title) in zip(axes, (("d_D ood", "ratio error $d_D$ (OOD)"), ("d_E", "weight distance $d_E$")), strict=True):
        x, y = outcome.distances[name][i, j], 100 * gains[i, j]
        sns.regplot(x=x, y=y, ax=ax, scatter_kws={"s": 14, "alpha": 0.6, "linewidths": 0}, line_kws={"color": "#D55E00"}, seed=0)
        ax.axhline(0, color="black", lw=0.8)
        ax.set(xlabel=title, ylabel="OOD gain of the pair's soup (points)" if ax is axes[0] else "")
        ax.set_title(f"Spearman {_number(spearman(x, y))}, {len(x)} pairs")
    return fig


def draw_subsets(sample: SubsetSample) -> Figure:
    """Random subsets: diversity against accuracy, with the most diverse and the best one marked."""
    fig, ax = plt.subplots(figsize=(5.6, 3.8))
    scores = 100 * sample.scores
    ax.scatter(sample.diversity, scores, s=10, alpha=0.45, linewidths=0, color="#0072B2", label="random subset")
    for place, label, marker, colour in (
        (sample.best, "best", "*", "#D55E00"),
        (sample.most_diverse, "most diverse", "X", "#000000"),
    ):
        ax.scatter(sample.diversity[place], scores[place], s=110, marker=marker, color=colour, label=label, zorder=3)
    size = len(sample.subsets[0])
    ax.set(xlabel="diversity (mean pairwise $d_D$, OOD)", ylabel="OOD accuracy of the soup (%)")
    ax.set_title(f"{len(scores)} subsets of {size}; Spearman {_number(spearman(sample.diversity, scores))}")
    ax.legend()
    return fig


def draw_connectivity(curves: dict[str, dict[str, Connectivity]]) -> Figure:
    """Accuracy along the straight line between two models; `curves`: split -> name of the pair -> curve."""
    fig, axes = plt.subplots(1, len(curves), figsize=(4.4 * len(curves), 3.4), squeeze=False)
    for ax, (split, pairs) in zip(axes[0], curves.items(), strict=True):
        for name, curve in pairs.items():
            (line,) = ax.plot(curve.alphas, 100 * curve.accuracy, label=f"{name}: barrier {100 * curve.barrier:.1f} points")
            ax.plot([0, 1], 100 * curve.accuracy[[0, -1]], color=line.get_color(), lw=1, ls=":")
        ax.set(title=SPLIT_TITLES[split], xlabel=r"$\alpha$ in $(1-\alpha)\,\theta_i + \alpha\,\theta_j$", ylabel="accuracy (%)")
        ax.legend()
    return fig


def draw_ensemble_gap(gap: EnsembleGap) -> Figure:
    """Soup against prediction ensemble as the models are drawn together: a line of slope 2 in logarithmic axes."""
    fig, ax = plt.subplots(figsize=(4.6, 3.6))
    ax.loglog(gap.spread, gap.gap, marker="o", label="measured")
    guide = gap.gap[0] * (gap.spread / gap.spread[0]) ** 2
    ax.loglog(gap.spread, guide, color="black", ls=":", label="slope 2")
    ax.set(xlabel=r"largest distance $\Delta$ of a model from the soup", ylabel="mean |soup - ensemble| probability")
    near = gap.scales <= SMALL
    slope = np.polyfit(np.log(gap.spread[near]), np.log(gap.gap[near]), 1)[0]
    ax.axvspan(gap.spread[near].min(), gap.spread[near].max(), color="#DBEAFE", zorder=0)
    ax.set_title(f"slope {slope:.2f} where the models are near (shaded)")
    ax.legend()
    return fig


def draw_id_ood(outcome: Outcome) -> Figure:
    """ID test against OOD accuracy of the start, the ingredients, and every rule's soup."""
    fig, ax = plt.subplots(figsize=(6.4, 4.2))
    evaluator = outcome.evaluator

    def dot(soups: list[Members], **style: object) -> None:
        ax.scatter(_accuracy(evaluator, soups, "id_test"), _accuracy(evaluator, soups, "ood"), **style)

    dot(evaluator.singles, s=22, color=GREY, label="ingredient")
    dot([()], s=60, color="black", marker="X", label="start")
    together = rule_table(outcome).set_index("rule").loc["prediction ensemble"]
    ax.scatter(
        together["id_test"],
        together["ood"],
        s=90,
        color="#6B7280",
        marker="*",
        label=f"prediction ensemble ({len(evaluator.singles)})",
    )
    for rule, selection in outcome.selections.items():
        colour, marker, _ = RULE_STYLE[rule]
        dot([selection.members], s=60, color=colour, marker=marker, label=f"{rule} ({len(selection.members)})", zorder=3)
    ax.set(xlabel="ID test accuracy (%)", ylabel=f"OOD accuracy, {outcome.held_out} (%)")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="soup (ingredients)")
    return fig


def draw_maps(outcome: Outcome, points: dict[Members, int], maps: dict[str, Embedding]) -> Figure:
    """One joint map per distance: ingredients sized by OOD accuracy, and each rule's path of soups."""
    fig, axes = plt.subplots(1, len(maps), figsize=(5.4 * len(maps), 4.6), squeeze=False)
    evaluator = outcome.evaluator
    ood = np.array(_accuracy(evaluator, evaluator.singles, "ood"))
    sizes = 20 + 130 * (ood - ood.min()) / max(float(np.ptp(ood)), 1e-9)
    for ax, (title, found) in zip(axes[0], maps.items(), strict=True):
        xy = found.points
        ax.scatter(*xy[: len(ood)].T, s=sizes, color=GREY, alpha=0.6, linewidths=0, label="ingredient (size: OOD)")
        ax.scatter(*xy[points[()]], marker="X", s=70, color="black", label=r"start $\theta_0$")
        for width, (rule, selection) in zip(np.linspace(5, 1, len(RULE_STYLE)), outcome.selections.items(), strict=True):
            colour, marker, dash = RULE_STYLE[rule]
            path = xy[[points[tuple(sorted(step.members))] for step in selection.curve]]
            ax.plot(*path.T, color=colour, ls=dash, lw=width, alpha=0.9)
            ax.scatter(
                *path[-1],
                color=colour,
                marker=marker,
                s=50 + 30 * width,
                edgecolors="white",
                linewidths=0.8,
                label=rule,
                zorder=4,
            )
        ax.set(xticks=[], yticks=[], aspect="equal")
        ax.set_title(f"{title}: stress {found.stress:.2f}, rank corr. {_number(found.rank_correlation)}")
    _legend_right(fig, axes[0][0])
    return fig
