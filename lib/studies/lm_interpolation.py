"""Declaration of the study lm-interpolation: every style between two fine-tuned language models."""

from typing import Annotated, Literal

from pydantic import Field

from lib.studies.claims import Claim, Evidence, above, below, within
from lib.studies.params import StudyParams, param
from lib.studies.study import Expected, Study

Name = Literal[
    "sentiment", "tweet-sentiment", "critic", "archaic", "simplicity", "generated-sentiment", "generated-politeness",
    "generated-formality", "generated-simplicity", "generated-politeness-formal",
]  # fmt: skip
Judge = Literal["embedding", "ngram", "lexicon"]
Alpha = Annotated[float, Field(ge=0, le=1)]
Anywhere = Annotated[float, Field(ge=-10, le=10)]


class Params(StudyParams):
    """Parameters of the study; the defaults are the quick size."""

    backbone: str = param("smollm2-135m", "language model: smollm2-135m, tiny, a local folder, or a name on the hub")
    attributes: list[Name] = param(["archaic", "simplicity", "sentiment"], "styles with two anchors each; controls use the first")
    anchor_seeds: int = param(1, "how often all anchors are trained, each time from another start", ge=1, le=100)
    rank: int = param(8, "rank of an anchor's update (LoRA)", ge=1, le=1024)
    lora_alpha: float = param(16.0, "the update is scaled by this over the rank", gt=0, le=1024)
    dropout: float = param(0.0, "share of a branch's inputs left out while it trains", ge=0, le=0.9)
    lr: float = param(0.002, "learning rate of the anchors", gt=0, le=1)
    steps: int = param(40, "training steps of each anchor", ge=1, le=1_000_000)
    batch: int = param(8, "rows in a step", ge=1, le=65_536)
    block: int = param(32, "tokens in a row", ge=2, le=8192)
    corpus: int = param(1000, "training texts of each anchor", ge=10, le=10_000_000)
    judges: list[Judge] = param(["embedding", "ngram"], "who scores texts; the first counts", min_length=1)
    judge_texts: int = param(1000, "texts a side that judges are trained on", ge=10, le=10_000_000)
    alphas: list[Alpha] = param(
        [0.0, 0.25, 0.5, 0.75, 1.0], "where a slider stands, from the negative anchor 0 to the positive 1"
    )
    extrapolated: list[Anywhere] = param([-1.0, 2.0, 4.0], "alphas beyond the anchors, ascending")
    held_out: int = param(32, "unseen texts a side whose likelihood is measured", ge=2, le=1_000_000)
    text_tokens: int = param(32, "tokens to which they are cut", ge=2, le=8192)
    prompts: int = param(24, "openings that are continued", ge=2, le=54_000)
    samples: int = param(1, "continuations of each", ge=1, le=1000)
    tokens: int = param(18, "tokens of a continuation", ge=2, le=8192)
    temperature: float = param(1.0, "temperature of sampling; 0 takes the likeliest token", ge=0, le=10)
    matched_prompts: bool = param(True, "openings about films or people, as suits the style; otherwise one kind for all")
    neutral: int = param(12, "paragraphs of plain prose for the perplexity", ge=2, le=25)
    neutral_tokens: int = param(48, "tokens to which they are cut", ge=2, le=8192)
    focus: float = param(0.5, "weight lambda of the style whose slider moves while the others stand still", gt=0, lt=1)
    others_alpha: float = param(0.5, "where the sliders of the others stand", ge=0, le=1)
    joint_prompts: int = param(0, "openings of each kind continued by joint mixes; 0 leaves them out", ge=0, le=54_000)
    lambdas: list[Alpha] = param([0.0, 0.5, 1.0], "weights of one style, at its positive anchor, among the others")
    simplex_steps: int = param(3, "steps along each edge of the triangle of three lambdas; 0 leaves it out", ge=0, le=20)
    shuffled: bool = param(True, "control: anchors trained on texts with shuffled labels")
    swapped: bool = param(False, "control: anchors trained with the two sides exchanged")
    mixture_alphas: list[Alpha] = param([], "compare with anchors trained on texts mixed in these proportions")
    correlated: bool = param(False, "control: generated styles that are tied on purpose")
    batch_size: int = param(24, "texts that pass through the model at once", ge=1, le=65_536)
    precision: Literal["auto", "full", "bfloat16"] = param(
        "auto", "of products with frozen matrices; auto: bfloat16 where native"
    )
    device: Literal["auto", "cpu", "cuda"] = param("auto", "where to compute; auto takes a GPU if there is one")


SCORES = "scores are shares of the judge's own gap between unseen texts of both sides"
EVERY = "each with its own 95 % interval"


def _near_works(m: Evidence) -> bool:
    """The style gets stronger and prose does not fall apart."""
    stronger = above("extrapolation/margin_gain_least", "extrapolation/score_gain_least")(m)
    return stronger and below("extrapolation/near_cost_largest", bound=0.25)(m)


def _near_orthogonal(m: Evidence) -> bool:
    """Updates of different attributes on average; and directions beside what is left of one in another training."""
    again = m["cosine/direction_again"].low
    return below("cosine/rows_mean", bound=0.1)(m) and again is not None and below("cosine/direction_largest", bound=again / 3)(m)


CLAIMS = (
    Claim(
        "score-follows-alpha",
        "Moving the interpolation weight moves the style of generated text, for every attribute.",
        "paper: abstract (predictable and consistent change in the outputs); judges, units and bound are ours",
        f"the slope of the score on alpha in 0..1 lies above 0 for every attribute, {EVERY} ({SCORES})",
        ("score/slope_least",),
        above("score/slope_least"),
    ),
    Claim(
        "score-is-consistent",
        "It moves it far and steadily: the style is controlled.",
        "paper: abstract (consistent); the bounds are the suite's own for a small model",
        "for every attribute the score at alpha 1 lies more than 0.4 above that at 0, and the rank correlation of mean score and "
        f"alpha in 0..1 is above 0.8, {EVERY} ({SCORES})",
        ("score/ends_least", "score/spearman_least"),
        lambda m: above("score/ends_least", bound=0.4)(m) and above("score/spearman_least", bound=0.8)(m),
    ),
    Claim(
        "likelihood-follows-alpha",
        "With alpha, unseen texts of the positive side get likelier and those of the negative side less likely.",
        "ours (the same statement without sampling and without a judge)",
        f"both changes, from alpha 0 to 1, in nats per token, lie above 0 for every attribute, {EVERY}",
        ("likelihood/sides_least",),
        above("likelihood/sides_least"),
    ),
    Claim(
        "every-step-counts",
        "Between the anchors every step of alpha towards the positive one is a step in its direction.",
        "paper: abstract (continuous interpolation); measured by the margin, without a judge, which is ours",
        f"what each step from one alpha in 0..1 to the next adds to the margin lies above 0, for every attribute, {EVERY}",
        ("margin/step_least",),
        above("margin/step_least"),
    ),
    Claim(
        "close-to-a-line",
        "The change is predictable: the margin lies close to the straight line between the anchors.",
        "ours (what predictable could mean; the paper says predictable in its abstract)",
        "the distance from the chord lies within 20 % of the change, at every alpha within 0..1 and for every attribute, "
        f"{EVERY}",
        ("margin/bend_farthest",),
        within("margin/bend_farthest", bound=0.2),
    ),
    Claim(
        "no-barrier",
        "On the way from anchor to anchor no worse model is passed.",
        "ours (linear mode connectivity; the paper draws perplexity along the path)",
        "bits per byte of neutral prose rise less than 2 % above the chord from anchor to anchor, at every alpha within 0..1 "
        f"and for every attribute, {EVERY}",
        ("barrier/largest",),
        below("barrier/largest", bound=0.02),
    ),
    Claim(
        "low-entanglement",
        "With several attributes in one mix, a slider moves mainly its own attribute, for most pairs.",
        "paper: abstract (little entanglement between most attributes); the measure and its bound are ours",
        "for more than half of the ordered pairs the whole 95 % interval of E[i, j], by margin, lies within a third of what "
        "attribute j's own slider does; an undefined one does not (n counts pairs)",
        ("entanglement/small",),
        lambda m: m["entanglement/small"].mean > 0.5,
    ),
    Claim(
        "no-pair-is-entangled",
        "No pair of attributes is entangled.",
        "ours (the paper names exceptions of its own; these are other attributes)",
        "for every pair the whole 95 % interval of E[i, j], by margin, lies within a third of what attribute j's own slider does",
        ("entanglement/farthest",),
        within("entanglement/farthest", bound=1 / 3),
    ),
    Claim(
        "near-orthogonal",
        "The updates of different attributes are nearly orthogonal.",
        "paper: its analysis of the updates (low average cosine, say notes on it; row by row, as in its code); bounds are ours",
        "three sets of anchors or more: 95 % intervals of the mean row-wise cosine of updates of different attributes below 0.1, "
        "and of the largest |cosine| of two attributes' directions (positive less negative update) below a third of that of one "
        "attribute's directions in two sets",
        ("cosine/rows_mean", "cosine/direction_largest", "cosine/direction_again"),
        _near_orthogonal,
    ),
    Claim(
        "lambda-weighs",
        "The more weight an attribute has in a mix, the nearer the mix to its anchor.",
        "paper: its curves over lambda, as described in notes on it; the measure is ours",
        f"what each step of lambda to the next adds to the margin lies above 0 for every attribute, {EVERY}",
        ("lambda/step_least",),
        above("lambda/step_least"),
    ),
    Claim(
        "a-little-beyond",
        "A little beyond the anchors extrapolation still works.",
        "paper: the regions that its code marks as stable (up to alpha 2); measures and bounds are ours",
        "at the first alpha above 1, for every attribute: margin and score rise further, and neutral bits per byte rise less "
        f"than 25 % over the anchor's, {EVERY}",
        ("extrapolation/margin_gain_least", "extrapolation/score_gain_least", "extrapolation/near_cost_largest"),
        _near_works,
    ),
    Claim(
        "far-beyond-breaks",
        "Far beyond the anchors the language falls apart.",
        "paper: the regions that its code marks as unstable (beyond alpha 2); measure and bound are ours",
        f"at the last alpha, beyond 2, neutral bits per byte rise more than 25 % over the anchor's, for every attribute, {EVERY}",
        ("extrapolation/far_cost_least",),
        above("extrapolation/far_cost_least", bound=0.25),
    ),
    Claim(
        "turn-in-the-middle",
        "The slider can be moved in the middle of a text, and what follows obeys.",
        "paper: title (dynamic text generation); how it is measured is ours",
        "95 % interval of the first attribute's score of second halves after alpha 1 less after alpha 0 lies above 0 (in shares "
        "of the judge's gap between texts as short)",
        ("turn/gain",),
        above("turn/gain"),
    ),
    Claim(
        "shuffled-is-flat",
        "Anchors trained on texts with shuffled labels have a slider that does nothing.",
        "ours (control)",
        "95 % interval of the change of the first attribute's margin, as a share of the true slider's, lies within 1/3 of 0",
        ("shuffled/share",),
        within("shuffled/share", bound=1 / 3),
    ),
    Claim(
        "swapped-is-reversed",
        "Anchors trained anew with the two sides exchanged have a slider that goes the other way.",
        "ours (control: the same texts under the other names, from other starts)",
        "95 % interval of the change of the first attribute's margin, as a share of the true slider's, lies below -0.5",
        ("swapped/share",),
        below("swapped/share", bound=-0.5),
    ),
    Claim(
        "like-trained-on-mixtures",
        "A mix of anchors behaves like a model that was trained on texts mixed in the same proportion.",
        "paper: its comparison with fine-tuning on mixtures, as described in notes on it; measures and bounds are ours",
        "first attribute, at every alpha where such a model was trained: margin within 1/4 of the change between the anchors, "
        f"cost of both sides' texts within 1/4 of what the mix gained over the base (where the base is at 1), {EVERY}",
        ("mixture/gap_farthest", "mixture/cost_farthest"),
        lambda m: within("mixture/gap_farthest", bound=0.25)(m) and within("mixture/cost_farthest", bound=0.25)(m),
    ),
    Claim(
        "tied-texts-tie-sliders",
        "Where texts tie two attributes, their sliders are tied more, and their updates less orthogonal.",
        "ours (the paper names pairs that are entangled; here one is tied on purpose)",
        "generated requests of which 70 % of the polite and 30 % of the others are formal, against 50 %: 95 % intervals of how "
        "far formality moves with politeness, and of the cosine of their directions, tied less apart, lie above 0",
        ("tied-apart/share", "tied-apart/cosine"),
        above("tied-apart/share", "tied-apart/cosine"),
    ),
)

STUDY = Study(
    slug="lm-interpolation",
    title="A style between two models",
    question="Can a few fine-tuned language models, combined by their weights, write every style in between?",
    paper=(
        "S. Kangaslahti and D. Alvarez-Melis, Continuous Language Model Interpolation yields Dynamic and Controllable Text "
        "Generation, TMLR 2025, arXiv 2404.07117"
    ),
    reference="kangaslahti2025",
    params=Params,
    claims=CLAIMS,
    minutes={"test": 0.3, "quick": 3.0, "laptop": 15.0, "paper": 3000.0},
    expected=(Expected("score/ends_mean", 0.8, 0.4), Expected("margin/bend_size", 0.05, 0.1)),
    headline="score/ends_mean",
    cover="sliders",
)
