"""GENERATED sentences: one shared content vocabulary and four independent switches of style.

A text is a statement about a person, a thing, a place and a time, an opinion of it, and a request. What it is about is drawn
without a look at the switches, so content tells nothing of style; each switch changes only its own markers:

    sentiment    the polarity of the opinion's adjective           politeness   please and thanks, or a bare order
    formality    full forms, or contractions and slang             simplicity   short words and clauses, or long ones
"""

from dataclasses import dataclass

import numpy as np

from lib.seeds import Seeds

SWITCHES = ("sentiment", "politeness", "formality", "simplicity")

PEOPLE = (
    "Anna", "Omar", "Lucia", "Henrik", "Mei", "Jonas", "Priya", "Tomas", "the baker", "the driver", "the gardener", "the teacher",
    "the nurse", "the farmer", "the captain", "the neighbour",
)  # fmt: skip
THINGS = (
    "the bridge", "the boat", "the garden", "the letter", "the map", "the clock", "the painting", "the tent", "the bicycle",
    "the roof", "the piano", "the lamp", "the fence", "the radio", "the kitchen", "the stove", "the camera", "the ladder",
    "the window", "the carpet", "the lantern", "the bench", "the kettle", "the wagon",
)  # fmt: skip
PLACES = (
    "near the harbour", "by the river", "at the station", "in the village", "behind the mill", "at the market", "in the valley",
    "by the lake", "on the hill", "in the library", "at the farm", "near the forest", "by the road", "in the old town",
)  # fmt: skip
TIMES = (
    "on Monday", "in the morning", "after the rain", "last winter", "in the evening", "before the storm", "at noon", "on Friday",
    "during the snow", "in spring", "after lunch", "this week",
)  # fmt: skip
# One idea a row, in short and in long words: which idea it is belongs to the content, which form to simplicity.
_DEEDS = (
    ("fix", "repair"),
    ("move", "relocate"),
    ("check", "examine"),
    ("show", "demonstrate"),
    ("swap", "exchange"),
    ("find", "locate"),
)
_ADJECTIVES = {
    (1, 1): ("good", "nice", "lovely", "great", "sweet", "fun"),
    (1, 0): ("delightful", "magnificent", "admirable", "exquisite", "wonderful", "marvellous"),
    (0, 1): ("bad", "sad", "poor", "ugly", "dull", "awful"),
    (0, 0): ("deplorable", "disappointing", "lamentable", "unsatisfactory", "dreadful", "abominable"),
}
# (politeness, formality) -> requests
_REQUESTS = {
    (1, 1): (
        "Could you please {deed} it if that is convenient?",
        "Would you kindly {deed} it? Thank you.",
        "I would be grateful if you could {deed} it.",
        "Please {deed} it when it is possible; thank you.",
    ),
    (1, 0): (
        "Could you please {deed} it if that's ok?",
        "Mind if I ask you to {deed} it? Thanks a lot!",
        "Please {deed} it when you've got a sec, thanks!",
        "Would you kindly {deed} it, if you're cool with that?",
    ),
    (0, 1): (
        "You are to {deed} it at once.",
        "I will not ask again: {deed} it.",
        "You have been told to {deed} it; do not make me wait.",
        "It is your job to {deed} it, so do not argue.",
    ),
    (0, 0): (
        "Just {deed} it already, and don't argue.",
        "C'mon, {deed} it, you've been told.",
        "You'd better {deed} it now, got it?",
        "I'm not gonna ask again: {deed} it.",
    ),
}
_OPENINGS = {1: ("Good day.", "I am writing about this.", "As you are aware,"), 0: ("Hey,", "Yeah, so", "Ok guys,")}
_OPINIONS = {
    1: ("it is {very} {adjective}", "it was {very} {adjective}"),
    0: ("it's {very} {adjective}", "it's been {very} {adjective}"),
}
_DEGREES = {1: ("very", "quite", "rather"), 0: ("kinda", "super", "so")}
_STATEMENTS = {
    1: (
        "{who} went to look at {thing} {place} {time}, and {opinion}.",
        "{who} saw {thing} {place} {time}. I think {opinion}.",
        "{who} got to see {thing} {place} {time}, so now we know {opinion}.",
    ),
    0: (
        "{who}, having inspected {thing} {place} {time}, concluded that {opinion}.",
        "following an examination of {thing} {place} {time}, {who} established that {opinion}.",
        "although {who} encountered {thing} {place} only {time}, the impression remains that {opinion}.",
    ),
}


@dataclass(frozen=True)
class Styled:
    """One generated text, its switches (in the order of `SWITCHES`) and what it is about."""

    text: str
    switches: tuple[int, int, int, int]
    content: tuple[str, str, str, str, str]


def generate(n: int, seeds: Seeds, fixed: dict[str, int] | None = None, formal_share: float = 0.5) -> list[Styled]:
    """`n` texts. Each switch is fair unless `fixed`; P(formal | polite) = P(informal | not polite) = `formal_share`.

    ValueError for a count below 1, a switch or setting that does not exist, or a share outside 0..1.
    """
    fixed = fixed or {}
    if n < 1 or not set(fixed) <= set(SWITCHES) or not set(fixed.values()) <= {0, 1} or not 0 <= formal_share <= 1:
        raise ValueError(
            f"generate: got n {n}, fixed {fixed}, formal_share {formal_share}, allowed are n >= 1, switches "
            f"{', '.join(SWITCHES)} at 0 or 1, and a share in 0..1"
        )
    rng = seeds.numpy()
    return [_styled(rng, fixed, formal_share) for _ in range(n)]


def _styled(rng: np.random.Generator, fixed: dict[str, int], formal_share: float) -> Styled:
    fair = {name: int(rng.integers(2)) for name in SWITCHES} | fixed
    agrees = rng.random() < formal_share
    if "formality" not in fixed:
        fair["formality"] = fair["politeness"] if agrees else 1 - fair["politeness"]
    content = tuple(_pick(rng, choices) for choices in (PEOPLE, THINGS, PLACES, TIMES))
    deed = _DEEDS[rng.integers(len(_DEEDS))]
    return Styled(_text(rng, fair, content, deed), tuple(fair[name] for name in SWITCHES), (*content, deed[0]))


def _text(rng: np.random.Generator, style: dict[str, int], content: tuple[str, ...], deed: tuple[str, str]) -> str:
    simple, formal = style["simplicity"], style["formality"]
    adjective = _pick(rng, _ADJECTIVES[style["sentiment"], simple])
    opinion = _pick(rng, _OPINIONS[formal]).format(very=_pick(rng, _DEGREES[formal]), adjective=adjective)
    who, thing, place, time = content
    statement = _pick(rng, _STATEMENTS[simple]).format(who=who, thing=thing, place=place, time=time, opinion=opinion)
    opening = _pick(rng, _OPENINGS[formal])
    statement = statement[0].upper() + statement[1:] if opening.endswith(".") else statement
    request = _pick(rng, _REQUESTS[style["politeness"], formal]).format(deed=deed[1 - simple])
    return f"{opening} {statement} {request}"


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]
