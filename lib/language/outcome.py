"""What was measured on every mix: tidy tables, and the arrays that numbers and figures are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64

from lib.language.adapters import Adapter
from lib.language.weights import NEGATIVE, POSITIVE, Anchor


@dataclass
class Rows:
    """Where measurements gather."""

    likelihoods: list[dict[str, Any]] = field(default_factory=list)
    neutral: list[dict[str, Any]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)
    turns: list[dict[str, Any]] = field(default_factory=list)
    turned: list[dict[str, Any]] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Outcome:
    """Tidy tables of all mixes; `repeat` numbers the sets of anchors, `mix` the distinct mixes.

    `points`: group, attribute, value, mix. `likelihoods`: repeat, mix, attribute, side, text, nats, tokens. `neutral`: repeat,
    mix, text, nats, bytes. `texts`: repeat, mix, kind, prompt, sample, text. `scores`: repeat, mix, attribute, judge, prompt,
    sample, score. `turns`: repeat, before, after, prompt, judge, attribute, score; `turned`: the texts. `written`: repeat, mix,
    kind, prompt, sample, nats, tokens, what the texts of the base and of single sliders cost the base, given their prompts.
    `references`: as in `Materials`. `anchors`: the adapters of every repeat.
    """

    points: pd.DataFrame
    likelihoods: pd.DataFrame
    neutral: pd.DataFrame
    texts: pd.DataFrame
    scores: pd.DataFrame
    turns: pd.DataFrame
    turned: pd.DataFrame
    written: pd.DataFrame
    references: pd.DataFrame
    anchors: Sequence[Mapping[Anchor, Adapter]]

    @property
    def repeats(self) -> range:
        """Numbers of the sets of anchors."""
        return range(len(self.anchors))

    def curve(self, group: str, attribute: str) -> dict[float, int]:
        """Ascending value -> mix, of the points of a group that move an attribute (empty where there are none)."""
        chosen = self.points[(self.points["group"] == group) & (self.points["attribute"] == attribute)]
        return dict(sorted(zip(chosen["value"].tolist(), chosen["mix"].tolist(), strict=True)))

    def side(self, mixes: Sequence[int], attribute: str, side: str, repeat: int) -> Float64[np.ndarray, "V T"]:
        """Nats per token of each held-out text of one side, under each of the mixes."""
        table = self.likelihoods
        chosen = table[(table["repeat"] == repeat) & (table["attribute"] == attribute) & (table["side"] == side)]
        costs = chosen.assign(cost=chosen["nats"] / chosen["tokens"]).pivot(index="mix", columns="text", values="cost")
        return costs.loc[list(mixes)].to_numpy(np.float64)

    def margins(self, mixes: Sequence[int], attribute: str, repeat: int) -> Float64[np.ndarray, "V T"]:
        """NLL of negative less NLL of positive held-out texts, nats per token, text by text."""
        return self.side(mixes, attribute, NEGATIVE, repeat) - self.side(mixes, attribute, POSITIVE, repeat)

    def shares(self, mixes: Sequence[int], attribute: str, judge: str, repeat: int, prompts: int) -> Float64[np.ndarray, "V P"]:
        """Mean score of each prompt's continuations, as a share of the judge's own gap: 0 and 1 are held-out texts' means."""
        table = self.scores[self.scores["prompt"] < prompts]
        chosen = table[(table["repeat"] == repeat) & (table["attribute"] == attribute) & (table["judge"] == judge)]
        means = chosen.pivot_table(index="mix", columns="prompt", values="score")
        low, high = self.ends(attribute, judge)
        return (means.loc[list(mixes)].to_numpy(np.float64) - low) / (high - low)

    def ends(self, attribute: str, judge: str, shortest: bool = False) -> tuple[float, float]:
        """The judge's mean score of held-out negative and positive texts as long as continuations or (`shortest`) half of one."""
        table = self.references
        rows = table[(table["attribute"] == attribute) & (table["judge"] == judge)].sort_values("tokens")
        row = rows.iloc[0 if shortest else -1]
        return float(row["negative"]), float(row["positive"])

    def bits(self, mixes: Sequence[int], repeat: int) -> Float64[np.ndarray, "V N"]:
        """Bits per byte of each neutral paragraph under each of the mixes."""
        chosen = self.neutral[self.neutral["repeat"] == repeat]
        costs = chosen.assign(bits=chosen["nats"] / chosen["bytes"] / np.log(2)).pivot(index="mix", columns="text", values="bits")
        return costs.loc[list(mixes)].to_numpy(np.float64)

    def turn(self, judge: str, repeat: int) -> Float64[np.ndarray, "2 2 P"]:
        """Scores of second halves by alpha before and after the turn, as shares of the judge's gap between texts as short."""
        chosen = self.turns[(self.turns["repeat"] == repeat) & (self.turns["judge"] == judge)]
        low, high = self.ends(chosen["attribute"].iloc[0], judge, shortest=True)
        table = chosen.pivot(index=["before", "after"], columns="prompt", values="score").to_numpy(np.float64)
        return (table.reshape(2, 2, -1) - low) / (high - low)

    def costs(self, mix: int, repeat: int, kind: str, prompts: int) -> Float64[np.ndarray, "2 P"]:
        """What the continuations of each prompt of a kind cost the base in nats, and their tokens."""
        chosen = _of(self.written, mix, repeat, kind)
        sums = chosen.groupby("prompt")[["nats", "tokens"]].sum().reindex(range(prompts), fill_value=0)
        return sums.to_numpy(np.float64).T

    def repetitions(self, mix: int, repeat: int, kind: str, prompts: int) -> Float64[np.ndarray, "2 P"]:
        """Words in the continuations of each prompt of a kind that stand among the four words before them, and all words."""
        chosen = _of(self.texts, mix, repeat, kind)
        counts = np.zeros((2, prompts))
        for prompt, text in zip(chosen["prompt"], chosen["text"], strict=True):
            counts[:, prompt] += repeated(text)
        return counts

    def texts_of(self, mix: int, repeat: int) -> list[str]:
        """The continuations that one mix wrote."""
        return self.texts[(self.texts["mix"] == mix) & (self.texts["repeat"] == repeat)]["text"].tolist()


def _of(table: pd.DataFrame, mix: int, repeat: int, kind: str) -> pd.DataFrame:
    """The rows of what one mix wrote."""
    return table[(table["mix"] == mix) & (table["repeat"] == repeat) & (table["kind"] == kind)]


def gathered(points: pd.DataFrame, rows: Rows, references: pd.DataFrame, anchors: Sequence[Mapping[Anchor, Adapter]]) -> Outcome:
    """The tables of all measurements."""
    frames = (rows.likelihoods, rows.neutral, rows.texts, rows.scores, rows.turns, rows.turned, rows.written)
    return Outcome(points, *map(pd.DataFrame, frames), references, anchors)


def distinct(texts: Sequence[str], n: int = 2) -> float:
    """Different n-grams of words as a share of all of them, over all texts together [li2016]; NaN where there is none."""
    found = [tuple(words[i : i + n]) for words in (text.lower().split() for text in texts) for i in range(len(words) - n + 1)]
    return len(set(found)) / len(found) if found else float("nan")


def repeated(text: str) -> tuple[int, int]:
    """How many words stand among the four words before them, and how many there are."""
    words = text.lower().split()
    return sum(word in words[max(0, i - 4) : i] for i, word in enumerate(words)), len(words)
