"""Declaration of the study random-scaling: do abilities emerge at a scale, or does luck?"""

from typing import Annotated, Literal

from pydantic import Field

from lib.studies.claims import Claim, Evidence, above, below
from lib.studies.params import StudyParams, param
from lib.studies.study import Expected, Study

Size = Annotated[int, Field(ge=1, le=4096)]
Length = Annotated[int, Field(ge=1, le=1000)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Params(StudyParams):
    """Parameters of the study; the defaults are the quick size."""

    task: Literal["count", "addition"] = param("count", "what the networks learn: to count, or to add")
    scale: Literal["width", "layers"] = param("width", "what grows")
    scales: list[Size] = param([8, 16, 24], "widths, or numbers of layers, ascending")
    width: int = param(16, "width where layers grow", ge=2, le=4096)
    layers: int = param(2, "layers where the width grows", ge=1, le=64)
    head_width: int = param(8, "numbers in an attention head", ge=2, le=256)
    positions: Literal["rotary", "learned", "none"] = param("rotary", "how networks know where a token stands")
    rotary_share: float = param(0.25, "share of a head's numbers that turn with the position", gt=0, le=1)
    members: int = param(16, "seeds at each scale, each with its own start and order of the data", ge=4, le=4096)
    steps: int = param(1000, "training steps", ge=4, le=1_000_000)
    batch_size: int = param(8, "rows in a batch of each seed", ge=1, le=4096)
    lr: float = param(0.03, "learning rate at the smallest scale", gt=0, le=1)
    lr_power: float = param(1.0, "the rate falls as scale to this power", ge=0, le=4)
    weight_decay: float = param(0.1, "weight decay of AdamW", ge=0, le=10)
    warmup: float = param(0.05, "share of the steps in which the rate rises", ge=0, le=0.9)
    numbers: int = param(32, "different numbers to count with", ge=2, le=1000)
    longest: int = param(8, "longest answer in training, in numbers; of a sum the digits of an operand", ge=1, le=500)
    context: int = param(48, "tokens in a row", ge=8, le=8192)
    lengths: list[Length] = param([8, 12, 16, 20], "lengths of the exams, some beyond the longest in training")
    rows: int = param(20_000, "training rows that batches are drawn from", ge=16, le=10_000_000)
    tau: float = param(0.2, "exact match above which a run is a success", ge=0, lt=1)
    checkpoints: int = param(8, "how often runs are graded while they train", ge=1, le=1000)
    inverse_lr: float = param(0.0, "rate of a second population, the same at all scales; 0 leaves it out", ge=0, le=1)
    text_shares: list[Share] = param([], "language models: shares of questions in training, ascending; none leaves them out")
    text_members: int = param(32, "language models at each share", ge=4, le=4096)
    text_width: int = param(32, "width of the language model", ge=4, le=4096)
    text_heads: int = param(2, "attention heads of the language model", ge=1, le=64)
    text_layers: int = param(2, "layers of the language model", ge=1, le=64)
    text_passage: int = param(12, "signs of a verse in a question", ge=1, le=1000)
    text_first_steps: int = param(1800, "steps of pretraining on questions alone", ge=0, le=1_000_000)
    text_base_steps: int = param(2000, "steps of pretraining on verses and questions", ge=1, le=1_000_000)
    text_base_share: float = param(0.6, "share of questions in pretraining", ge=0, lt=1)
    text_base_rows: int = param(40, "rows in a batch of pretraining", ge=1, le=4096)
    text_steps: int = param(1000, "training steps of each seed, after it was re-initialised", ge=1, le=1_000_000)
    text_batch_size: int = param(16, "rows in a batch of each seed then", ge=1, le=4096)
    text_lr: float = param(0.004, "learning rate then", gt=0, le=1)
    text_weight: float = param(0.25, "what a sign of a verse counts beside an answer", gt=0, le=1)
    text_pool: int = param(60_000, "rows of verses and questions that batches are drawn from", ge=16, le=10_000_000)
    text_questions: int = param(512, "questions in the exam", ge=4, le=1_000_000)
    text_tau: float = param(0.35, "accuracy above which a language model is a success; chance is 0.25", gt=0.25, lt=1)
    text_checkpoints: int = param(4, "how often language models are graded while they train", ge=1, le=1000)
    members_at_once: int = param(64, "networks trained as one program; fewer need less memory", ge=1, le=4096)
    device: Literal["auto", "cpu", "cuda"] = param("auto", "where to compute; auto takes a GPU if there is one")


def _two_clusters(m: Evidence) -> bool:
    """Many seeds on either side, few between, and a dip that a single cluster would not show."""
    apart = above("bimodal/below", "bimodal/above", bound=0.05)(m)
    return apart and m["bimodal/between"].mean < 0.2 and m["bimodal/dip_p_any"].mean < 0.05


def _texts_in_two_clusters(m: Evidence) -> bool:
    """The same of language models, whose clusters are nearer."""
    apart = above("text/below", "text/above", bound=0.05)(m)
    return apart and m["text/between"].mean < 0.2 and m["text/dip_p_any"].mean < 0.05


CLAIMS = (
    Claim(
        "mode-jumps",
        "From one scale to the next the most common outcome jumps, while the probability of success changes less.",
        "paper: its four panels (as described in notes on it; its numbers are not known to us)",
        "between the neighbouring scales where the mode rises most: 95 % interval of its rise lies above 0.4, and that of the "
        "rise less the change of P(success) above 0",
        ("mode/jump", "mode/jump-p_change"),
        lambda m: above("mode/jump", bound=0.4)(m) and above("mode/jump-p_change")(m),
    ),
    Claim(
        "two-clusters",
        "At some scale the seeds fall into two clusters: those that failed and those that succeeded.",
        "paper: abstract (bimodal distributions over seeds)",
        "at the scale with the largest smaller cluster: 95 % intervals of the shares below 0.2 and above 0.6 lie above 5 %, "
        "fewer than 20 % lie between, and Hartigan's dip, corrected for the choice of the scale, has p below 0.05",
        ("bimodal/below", "bimodal/above", "bimodal/between", "bimodal/dip_p_any"),
        _two_clusters,
        min_n=20,
    ),
    Claim(
        "shape-changes-early",
        "The distribution changes its shape most at a scale below the one where most seeds succeed.",
        "paper: abstract",
        "95 % interval of (first scale with P(success) above 1/2) / (scale with the largest W2 to the previous one) lies above 1",
        ("w2/half_over_scale",),
        above("w2/half_over_scale", bound=1.0),
        min_n=20,
    ),
    Claim(
        "success-grows-smoothly",
        "With scale, success becomes more likely, and successful runs become better.",
        "paper: abstract",
        "95 % intervals of both changes, from the first scale to the last (for the mean: with three successes), lie above 0",
        ("change/p_success", "change/mean_success"),
        above("change/p_success", "change/mean_success"),
    ),
    Claim(
        "not-the-metric",
        "It is not the metric: the continuous log-likelihood splits the seeds as well.",
        "paper: abstract",
        "at the same scale the best split in two explains more of the variance of the log-likelihood than in a uniform "
        "distribution: 95 % interval above 0.75",
        ("nll/explained",),
        above("nll/explained", bound=0.75),
        min_n=20,
    ),
    Claim(
        "same-recipe-two-stories",
        "Of the same recipe one seed tells a story of sudden emergence and another one of steady progress.",
        "paper: its two named seeds (largest breakthroughness, largest linearity)",
        "the largest step of the most sudden curve is at least 0.4, that of the most linear one at most half of it",
        ("picked/emergent_step", "picked/linear_step"),
        lambda m: m["picked/emergent_step"].mean >= 0.4 and m["picked/linear_step"].mean <= 0.5 * m["picked/emergent_step"].mean,
    ),
    Claim(
        "loss-has-one-cluster",
        "The training loss of the same seeds has one cluster.",
        "paper: its control on language models, here on our task",
        "at the scale of two clusters: Hartigan's dip of the final training loss has p above 0.05",
        ("loss/dip_p",),
        lambda m: m["loss/dip_p"].mean > 0.05,
        min_n=20,
    ),
    Claim(
        "trained-lengths-are-learned",
        "What was trained is learned: failures are failures to go beyond it.",
        "ours (the specification of a fair test)",
        "95 % interval of the share of seeds with 95 % exact match or more, longest trained length, largest scale, above 0.8",
        ("trained/solved",),
        above("trained/solved", bound=0.8),
    ),
    Claim(
        "inverse-scaling",
        "Success can become rarer with scale while successful runs become better.",
        "paper: abstract (its case study of inverse scaling)",
        "second population, one rate for all scales: 95 % interval of the change of P(success) lies below 0, of the mean of "
        "successes above 0",
        ("inverse/change_p_success", "inverse/change_mean_success"),
        lambda m: below("inverse/change_p_success")(m) and above("inverse/change_mean_success")(m),
    ),
    Claim(
        "text-two-clusters",
        "Language models with one past and re-initialised parts fall into two clusters, those that answer and those that guess.",
        "paper: its populations of language models, as described in notes on it (dip test, p below 0.001)",
        "at the share of questions with the largest smaller cluster: 95 % intervals of the parts that guess (below chance plus "
        "two standard errors) and that succeed lie above 5 %, fewer than 20 % lie between, and the dip's p, corrected, is below "
        "0.05",
        ("text/below", "text/above", "text/between", "text/dip_p_any"),
        _texts_in_two_clusters,
        min_n=20,
    ),
    Claim(
        "text-likelihood-splits",
        "The likelihood of the right choice splits the same language models.",
        "paper: abstract (continuous metrics)",
        "at that share the best split in two explains more of its variance than of a uniform distribution's: 95 % interval above "
        "0.75",
        ("text_nll/explained",),
        above("text_nll/explained", bound=0.75),
        min_n=20,
    ),
    Claim(
        "text-loss-has-one-cluster",
        "How well the same language models read has one cluster.",
        "paper: its control, as described in notes on it",
        "at that share: Hartigan's dip of the loss on held-out verses has p above 0.05",
        ("text_lm/dip_p",),
        lambda m: m["text_lm/dip_p"].mean > 0.05,
        min_n=20,
    ),
    Claim(
        "text-success-grows",
        "The more questions in the mix, the likelier success.",
        "paper: its panels over the share of questions, as described in notes on it",
        "95 % interval of the change of P(success), from the first share to the last, lies above 0",
        ("text/change_p_success",),
        above("text/change_p_success"),
        min_n=20,
    ),
)

STUDY = Study(
    slug="random-scaling",
    title="Emergence, or luck?",
    question="When an ability appears suddenly with scale, is that a threshold, or a draw from a distribution?",
    paper=(
        "R. Zhao, T. Qin, D. Alvarez-Melis, S. Kakade and N. Saphra, Random Scaling of Emergent Capabilities, 2025, "
        "arXiv 2502.17356"
    ),
    reference="zhao2025",
    params=Params,
    claims=CLAIMS,
    minutes={"test": 0.2, "quick": 1.2, "laptop": 18.0, "paper": 3000.0},
    expected=(Expected("change/p_success", 0.88, 0.3), Expected("trained/solved", 1.0, 0.2)),
    headline="change/p_success",
    cover="ridge",
)
