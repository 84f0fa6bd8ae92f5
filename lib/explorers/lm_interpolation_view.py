"""What the browser gets of the lm-interpolation explorer, as plain data, and the views that draw it."""

from collections.abc import Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets as t

from lib.explorers import lm_interpolation as method
from lib.explorers.lm_interpolation_scene import Scene
from lib.explorers.lm_interpolation_state import PANES, SAMPLES, Pane, State, Text
from lib.explorers.modules import FRONT, module
from lib.figures import PALETTE
from lib.language.weights import Anchor

COLOURS = dict(zip(PANES, PALETTE, strict=False))
DIGITS = 4


class PaneView(anywidget.AnyWidget):
    """One mix: its text as it is written, and its scores."""

    _esm = module("element", "lm_interpolation_pane")
    _css = FRONT / "lm_interpolation.css"
    frame = t.Dict().tag(sync=True)


class TokensView(anywidget.AnyWidget):
    """The next token under both mixes, and below it the anchors' own texts."""

    _esm = module("element", "lm_interpolation_tokens")
    _css = FRONT / "lm_interpolation.css"
    frame = t.Dict().tag(sync=True)
    anchors = t.List().tag(sync=True)


def pane_data(scene: Scene, state: State, panes: Mapping[str, Pane], pane: str) -> dict[str, Any]:
    """A pane's text, in two parts: what both texts share, and the rest; its scores; and how far it is, in words."""
    shown, other = (panes[each] for each in (pane, *(set(PANES) - {pane})))
    words = "" if shown.error else shown.text.words
    comparable = not (shown.stale or other.stale or other.error)
    shared = method.parting(words, other.text.words, other.text.done) if comparable else len(words)
    return {
        "name": pane.upper(),
        "colour": COLOURS[pane],
        "mix": _mix_words(scene, state, pane),
        "prompt": state.prompt,
        "shared": words[:shared],
        "rest": words[shared:],
        "busy": shown.unwritten,
        "stale": shown.stale,
        "error": shown.error,
        "status": status(state, shown),
        "bars": bars(scene, state, shown, pane),
        "notes": notes(scene, state, shown, pane),
    }


def _mix_words(scene: Scene, state: State, pane: str) -> str:
    try:
        return method.mix_words(scene, state.mix(pane))
    except ValueError:  # told in the pane as an error
        return ""


def status(state: State, shown: Pane) -> str:
    """How far a text is, and how long it took."""
    text = shown.text
    if shown.error:
        return "nothing written"
    if shown.stale or not text.tokens:
        return "the mix is put in …"
    if not text.done:
        return f"writing: token {text.tokens} of {state.tokens}"
    ended = f"ended by the model at token {text.tokens} of" if text.tokens < state.tokens else "all"
    return f"{ended} {state.tokens}; {text.seconds:.2f} s, the first token after {1000 * (text.first or 0):.0f} ms"


def bars(scene: Scene, state: State, shown: Pane, pane: str) -> list[dict[str, Any]]:
    """Of each attribute: the predicted score, this text's, the mean of the samples with its interval, and real texts' means."""
    try:
        expected = method.predicted(scene, state.mix(pane))
    except ValueError:  # told in the pane as an error
        expected = {}
    fresh = not shown.stale and not shown.error
    found = []
    for index, side in enumerate(scene.sides):
        bar = {"name": side.name, "positive": side.positive, "negative": side.negative}
        bar["ends"] = [round(score, DIGITS) for score in scene.ends[side.name]]
        if side.name in expected:
            bar |= {"predicted": round(expected[side.name].value, DIGITS), "covered": expected[side.name].covered}
        if fresh and shown.text.scores:
            bar["text"] = round(shown.text.scores[side.name], DIGITS)
        if fresh and shown.samples and shown.samples.scores is not None and len(shown.samples.scores):
            mean = method.mean_of(shown.samples.scores[:, index])
            bar |= {"n": mean.n, "mean": round(mean.value, DIGITS)}
            bar |= {name: round(getattr(mean, name), DIGITS) for name in ("low", "high") if mean.low is not None}
        found.append(bar | {"said": said(bar)})
    return found


def said(bar: Mapping[str, Any]) -> str:
    """A bar in words."""
    parts = []
    if "predicted" in bar:
        parts.append(f"predicted {bar['predicted']:.2f}" + ("" if bar["covered"] else "?"))
    if "text" in bar:
        parts.append(f"this text {bar['text']:.2f}")
    if "mean" in bar:
        interval = f" ({bar['low']:.2f} to {bar['high']:.2f})" if "low" in bar else ""
        parts.append(f"mean of {bar['n']} {bar['mean']:.2f}{interval}")
    return " · ".join(parts)


def notes(scene: Scene, state: State, shown: Pane, pane: str) -> list[str]:
    """What should be said of a pane: extrapolation, predictions beyond what was measured, the samples' state."""
    mix, found = state.mix(pane), []
    counted = [name for name, out, part in zip(scene.names, mix.outside(), mix.parts, strict=True) if out and part]
    if counted:
        found.append(f"extrapolation: α of {', '.join(counted)} is outside 0 to 1")
    if any(not bar.get("covered", True) for bar in bars(scene, state, shown, pane)):
        found.append("“?”: an alpha is beyond what was measured; the last measured score is taken")
    if shown.text.done and shown.text.scores is None and not shown.stale and not shown.error:
        found.append("a text without words has no score")
    if shown.samples and not shown.error:
        found.append(samples_words(state, len(shown.samples.scores) if shown.samples.scores is not None else None, shown))
    return found


def samples_words(state: State, scored: int | None, shown: Pane) -> str:
    """How far the samples are, or how many could be scored."""
    if scored is None:
        return f"{SAMPLES} samples: token {shown.samples.tokens} of {state.tokens}"
    blank = f"; {SAMPLES - scored} of {SAMPLES} are blank and not scored" if scored < SAMPLES else ""
    return f"{SAMPLES} other texts of this mix and prompt; bar: 95 % t interval of the mean{blank}"


def tokens_data(scene: Scene, state: State, panes: Mapping[str, Pane]) -> dict[str, Any]:
    """The likeliest next tokens under both mixes, as far as they are known."""
    known = {pane: None if panes[pane].error else panes[pane].after for pane in PANES}
    bars = [vars(bar) for bar in method.next_bars(scene, **known)]
    ids, parts = [bar["id"] for bar in bars], []
    if all(each is not None for each in known.values()):
        parts.append(f"A and B differ by {method.total_variation(**known):.3f} (total variation)")
    rest = [f"{1 - np.exp(each[ids]).sum():.0%} in {pane.upper()}" for pane, each in known.items() if each is not None]
    if rest:
        parts.append(f"all other tokens: {', '.join(rest)}")
    return {"prompt": state.prompt, "colours": COLOURS, "bars": bars, "note": "; ".join(parts) or "not known yet"}


def anchors_data(scene: Scene, texts: Mapping[Anchor, Text]) -> list[dict[str, Any]]:
    """The anchors' texts, with the score of what the anchor is for."""
    found = []
    for anchor, text in texts.items():
        score = (text.scores or {}).get(anchor[0])
        found.append(
            {
                "name": method.anchor_words(scene, anchor),
                "words": text.words,
                "score": "" if score is None else f"this text: {score:.2f}",
                "done": text.done,
            }
        )
    return found
