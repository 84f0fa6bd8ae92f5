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
    neutral: int = param(4, "paragraphs of plain prose for the perplexity", ge=2, le=200)
    neutral_tokens: int = param(48, "tokens to which they are cut", ge=2, le=8192)
    focus: float = param(0.5, "weight lambda of the style whose slider moves while the others stand still", gt=0, lt=1)
    others_alpha: float = param(0.5, "where the sliders of the others stand", ge=0, le=1)
    joint_prompts: int = param(0, "openings of each kind continued by joint mixes; 0 leaves them out", ge=0, le=54_000)
    lambdas: list[Alpha] = param([0.0, 0.5, 1.0], "weights of one style, at its positive anchor, among the others")
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


def _near_works(m: Evidence) -> bool:
    """The style gets stronger and prose does not fall apart."""
    return above("extrapolation/margin_gain_least")(m) and below("extrapolation/near_cost_largest", bound=0.25)(m)


def _near_orthogonal(m: Evidence) -> bool:
    """Updates of different attributes on average, and the directions of any two attributes."""
    return abs(m["cosine/across_mean"].mean) < 0.2 and m["cosine/direction_largest"].mean < 0.2


CLAIMS = (
    Claim(
        "score-follows-alpha",
        "Moving the interpolation weight moves the style of generated text, for every attribute.",
        "paper: abstract (predictable and consistent change in the outputs)",
        f"95 % interval of the least slope, over attributes, of the score on alpha in 0..1 lies above 0 ({SCORES})",
        ("score/slope_least",),
        above("score/slope_least"),
    ),
    Claim(
        "likelihood-follows-alpha",
        "With alpha, unseen texts of the positive side get likelier and those of the negative side less likely.",
        "ours (the same statement without sampling and without a judge)",
        "95 % interval of the smaller of both changes in nats per token, least over attributes, lies above 0",
        ("likelihood/sides_least",),
        above("likelihood/sides_least"),
    ),
    Claim(
        "between-and-monotone",
        "Between the anchors every step towards the positive one is a step in its direction: the middle lies between the ends.",
        "paper: abstract (continuous interpolation)",
        "95 % intervals, least over attributes: rank correlation of margin and alpha in 0..1 above 0.9; smaller step to or from "
        "the middle above 0",
        ("margin/spearman_least", "margin/middle_least"),
        lambda m: above("margin/spearman_least", bound=0.9)(m) and above("margin/middle_least")(m),
    ),
    Claim(
        "close-to-a-line",
        "The change is predictable: the margin lies close to the straight line between the anchors.",
        "ours (what predictable could mean; the paper says predictable in its abstract)",
        "95 % interval of the largest distance from the chord, over attributes and alphas in 0..1, below 20 % of the change",
        ("margin/bend_largest",),
        below("margin/bend_largest", bound=0.2),
    ),
    Claim(
        "no-barrier",
        "On the way from anchor to anchor no worse model is passed.",
        "ours (linear mode connectivity; the paper draws perplexity along the path)",
        "95 % interval of the highest rise of bits per byte of neutral prose above its dearer end, over attributes, below 10 %",
        ("barrier/largest",),
        below("barrier/largest", bound=0.1),
    ),
    Claim(
        "low-entanglement",
        "With several attributes in one mix, a slider moves mainly its own attribute.",
        "paper: abstract (little entanglement between most attributes)",
        "95 % interval of the largest |E[i, j]| off the diagonal, by margin, in units of attribute j's own slider, below 1/3",
        ("entanglement/largest",),
        below("entanglement/largest", bound=1 / 3),
    ),
    Claim(
        "near-orthogonal",
        "The updates of different attributes are nearly orthogonal.",
        "paper: its analysis of the updates, as described in notes on it (low average cosine)",
        "mean cosine of updates of different attributes within 0.2 of 0, and the largest |cosine| of two attributes' directions "
        "(positive less negative update) below 0.2",
        ("cosine/across_mean", "cosine/direction_largest"),
        _near_orthogonal,
    ),
    Claim(
        "lambda-weighs",
        "The more weight an attribute has in a mix, the nearer the mix to its anchor.",
        "paper: its curves over lambda, as described in notes on it",
        "95 % interval of the rise of the margin from the smallest to the largest lambda, as a share of the change between the "
        "anchors, least over attributes, lies above 0",
        ("lambda/rise_least",),
        above("lambda/rise_least"),
    ),
    Claim(
        "a-little-beyond",
        "A little beyond the anchors extrapolation still works.",
        "paper: the regions that its code marks as stable (up to alpha 2)",
        "at the first alpha above 1: 95 % intervals of the further rise of the margin, least over attributes, above 0, and of "
        "the rise of neutral bits per byte over the anchor's, largest over attributes, below 25 %",
        ("extrapolation/margin_gain_least", "extrapolation/near_cost_largest"),
        _near_works,
    ),
    Claim(
        "far-beyond-breaks",
        "Far beyond the anchors the language falls apart.",
        "paper: the regions that its code marks as unstable (beyond alpha 2)",
        "at the last alpha, beyond 2: 95 % interval of the rise of neutral bits per byte over the anchor's, least over "
        "attributes, above 25 %",
        ("extrapolation/far_cost_least",),
        above("extrapolation/far_cost_least", bound=0.25),
    ),
    Claim(
        "turn-in-the-middle",
        "The slider can be moved in the middle of a text, and what follows obeys.",
        "paper: title (dynamic text generation); how it is measured is ours",
        f"95 % interval of the score of second halves after alpha 1 less after alpha 0 lies above 0 ({SCORES})",
        ("turn/gain",),
        above("turn/gain"),
    ),
    Claim(
        "shuffled-is-flat",
        "Anchors trained on texts with shuffled labels have a slider that does nothing.",
        "ours (control)",
        "95 % interval of what it changes, as a share of the true slider's change, lies within 1/3 of 0",
        ("shuffled/share",),
        within("shuffled/share", bound=1 / 3),
    ),
    Claim(
        "swapped-is-reversed",
        "Anchors trained with the two sides exchanged have a slider that goes the other way.",
        "ours (control)",
        "95 % interval of what it changes, as a share of the true slider's change, lies below -0.5",
        ("swapped/share",),
        below("swapped/share", bound=-0.5),
    ),
    Claim(
        "like-trained-on-mixtures",
        "A mix of anchors behaves like a model that was trained on texts mixed in the same proportion.",
        "paper: its comparison with fine-tuning on mixtures, as described in notes on it",
        "95 % interval of the largest gap between both, by margin, over alphas, below 1/4 of the change between the anchors",
        ("mixture/gap_largest",),
        below("mixture/gap_largest", bound=0.25),
    ),
    Claim(
        "tied-texts-tie-sliders",
        "Where texts tie two attributes, their sliders are entangled more, and their updates less orthogonal.",
        "ours (the paper names pairs that are entangled; here one is tied on purpose)",
        "generated polite texts of which 70 % are formal, against 50 %: 95 % intervals of what formality moves with politeness, "
        "and of the |cosine| of their directions, tied less apart, lie above 0",
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
    expected=(Expected("score/ends_mean", 0.8, 0.4), Expected("margin/bend_largest", 0.05, 0.1)),
    headline="score/ends_mean",
    cover="sliders",
)
