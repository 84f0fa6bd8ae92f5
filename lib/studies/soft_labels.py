"""Declaration of the study soft-labels: how much of dataset distillation is in the labels?"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lib.studies.claims import Claim, above, below
from lib.studies.params import StudyParams, param
from lib.studies.study import Expected, Study

Count = Annotated[int, Field(ge=1, le=1000)]
Rank = Annotated[int, Field(ge=1, le=1000)]
Rate = Annotated[float, Field(gt=0, le=1)]
Warmth = Annotated[float, Field(ge=0.05, le=100)]
PHOTOGRAPHS = ("cifar10", "cifar100", "tiny-imagenet", "imagenet")


class Params(StudyParams):
    """Parameters of the study; the defaults are the quick size."""

    task: Literal[
        "mnist", "digits", "fashion", "digit-pairs", "pairs", "pairs-4", "pairs-9", "pairs-25", "pairs-49",
        "cifar10", "cifar100", "tiny-imagenet", "imagenet",
    ] = param(
        "mnist", "real images; pairs are two side by side, of a hundred classes or as many as named; the last four are in colour"
    )  # fmt: skip
    train_size: int = param(
        3000, "images for the experts, from which students' are drawn; 0: the task's own", "images", ge=0, le=100_000
    )
    draws: int = param(5, "independent draws of images, each with an expert and students of its own", ge=1, le=64)
    ipcs: list[Count] = param([1, 5, 20, 50], "budgets, in images per class")
    epochs: list[Count] = param([1, 2, 4, 8, 16, 40], "epochs after which the experts are kept to make labels")
    expert_lrs: list[Rate] = param([0.01, 0.05], "learning rates of experts; the last is the main one")
    expert_batch: int = param(64, "images in a batch of an expert", ge=4, le=4096)
    expert_momentum: float = param(0.0, "momentum of experts", ge=0, le=0.99)
    expert_weight_decay: float = param(0.0, "weight decay of experts", ge=0, le=1)
    expert_decay_every: int = param(0, "epochs after which an expert's rate falls to a tenth, each time; 0 never", ge=0, le=1000)
    expert_augmentation: Literal["none", "dsa", "crops"] = param(
        "none", "random changes of experts' images: differentiable Siamese (dsa), or resized crops and mirror images"
    )
    net: Literal["mlp", "convnet", "resnet18", "resnet50"] = param(
        "mlp", "network of experts and students; an mlp is not for photographs, and a ResNet for nothing else"
    )
    width: int = param(128, "hidden units of an mlp, channels of a convnet, or channels of a ResNet's first stage", ge=4, le=4096)
    depth: int = param(1, "hidden layers of an mlp or blocks of a convnet; a ResNet has its own", ge=1, le=4)
    temperatures: list[Warmth] = param([2.0, 4.0], "temperatures for the labels, besides 1")
    steps: int = param(150, "training steps of every student", ge=4, le=100_000)
    batch_size: int = param(128, "images in a batch of a student, at most", ge=4, le=4096)
    lrs: list[Rate] = param([0.02, 0.2], "learning rates of students; each arm's is chosen on validation images")
    momentum: float = param(0.9, "momentum of students", ge=0, le=0.99)
    weight_decay: float = param(0.0005, "weight decay of students", ge=0, le=1)
    optimiser: Literal["sgd", "adamw"] = param(
        "sgd", "of students; with sgd the rate falls to 0.3 of itself every quarter, with adamw by a cosine to 0"
    )
    augmentation: Literal["none", "dsa"] = param(
        "none", "random changes of students' images: differentiable Siamese (dsa); labels are of unchanged ones"
    )
    structure_ipcs: list[Count] = param([1, 5], "budgets at which the labels are taken apart")
    structure_epoch: int = param(0, "epoch of the labels that are taken apart; 0 is the best on validation images", ge=0, le=1000)
    top_ks: list[Rank] = param([1, 2, 3, 5], "numbers of probabilities to keep")
    subjects: int = param(5, "classes to leave out in turn", ge=1, le=100)
    learned_steps: int = param(40, "outer steps of learning labels; 0 leaves it out", ge=0, le=100_000)
    prototypes: bool = param(True, "students of class prototypes too, by k-means, in place of random images")
    views: int = param(8, "CutMix views of each image, each with a label of its own; 0 leaves them out", ge=0, le=1000)
    bins: int = param(5, "bins of images from easy to hard for an expert, to choose from; 0 leaves them out", ge=0, le=100)
    members_at_once: int = param(256, "networks trained as one program; fewer need less memory", ge=1, le=4096)
    device: Literal["auto", "cpu", "cuda"] = param("auto", "where to compute; auto takes a GPU if there is one")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        known = ["mlp", "convnet"] if self.task not in PHOTOGRAPHS else ["convnet", "resnet18", "resnet50"]
        nets = known[1:] if self.task == "imagenet" else known
        if self.net not in nets:
            raise ValueError(f"net: got {self.net!r}, allowed with task {self.task!r}: {', '.join(nets)}")
        if self.optimiser == "adamw" and self.momentum:
            raise ValueError(f"momentum: got {self.momentum}, allowed with optimiser 'adamw': 0")
        if self.learned_steps and self.task in PHOTOGRAPHS:
            raise ValueError(f"learned_steps: got {self.learned_steps}, allowed with task {self.task!r}: 0")
        return self


CLAIMS = (
    Claim(
        "soft-beats-hard",
        "At the smallest budget, random images with an early expert's soft labels teach more than with hard labels.",
        "paper: Table 1 (ImageNet, R18, one image per class: 0.6 hard, 6.6 soft)",
        "95 % interval of soft - hard test accuracy, paired by draw, smallest budget, lies above 0",
        ("soft-hard",),
        above("soft-hard"),
    ),
    Claim(
        "labels-buy-data",
        "Soft labels save data: hard labels need several times as many images for the same accuracy.",
        "paper: abstract (data-knowledge scaling; our definition of the multiplier)",
        "95 % interval of the data multiplier at the smallest budget lies above 2",
        ("multiplier",),
        above("multiplier", bound=2.0),
    ),
    Claim(
        "structure-not-softness",
        "It is the structure in the labels that teaches, not their softness.",
        "paper: abstract",
        "smallest budget, 95 % intervals above 0: expert's labels less smoothing of equal entropy, less shuffled rests",
        ("control-smoothing", "control-shuffled_rest"),
        above("control-smoothing", "control-shuffled_rest"),
    ),
    Claim(
        "top-ranks-matter",
        "Exchanging a likely class for an unlikely one hurts; exchanging two unlikely ones does not.",
        "paper: its label-swap test (shape recalled, not its numbers)",
        "smallest budget: 95 % interval of (loss by swapping rank 1) - (loss by swapping the last but one) lies above 0",
        ("swap/first-last",),
        above("swap/first-last"),
    ),
    Claim(
        "earlier-for-less-data",
        "The smaller the budget, the earlier the expert should stop.",
        "paper: Table 7",
        "95 % interval of log2(best epoch), chosen on validation, largest budget less smallest, lies above 0",
        ("best_epoch/shift",),
        above("best_epoch/shift"),
    ),
    Claim(
        "slower-expert-later-epoch",
        "What counts is how far the expert has come: an expert that learns more slowly is best at a later epoch.",
        "paper: Table 7 has other epochs for other learning rates (our operationalisation)",
        "smallest budget: 95 % interval of log2(best epoch) of the slower expert less that of the main one lies above 0",
        ("best_epoch/other_rate-main",),
        above("best_epoch/other_rate-main"),
    ),
    Claim(
        "late-labels-need-warmth",
        "A fully trained expert's labels are nearly hard; a temperature recovers part of what an early stop gives, not all.",
        "paper: its grid of epochs and temperatures (expectation recalled)",
        "smallest budget, 95 % intervals above 0: softened - last epoch's labels, and best early stop - softened",
        ("warm-last", "soft-warm"),
        above("warm-last", "soft-warm"),
    ),
    Claim(
        "zero-shot",
        "Soft labels teach a class of which the student sees no image.",
        "paper: its removal test (code; numbers not known to us)",
        "smallest budget: 95 % interval of accuracy on the left-out class lies above 0 with soft labels; with hard ones it is 0",
        ("zero/soft", "zero/hard"),
        lambda m: above("zero/soft")(m) and below("zero/hard", bound=1e-9)(m),
    ),
    Claim(
        "each-view-needs-data",
        "A label for every CutMix view, at as many times the storage, harms at the smallest budget and pays with more data.",
        "paper: Table 1 (random images, R18: 1.6 against 6.6 at one image per class, 54.3 against 47.9 at 50)",
        "95 % intervals of CutMix labels - one soft label, paired by draw: at the smallest budget below 0, and at the largest "
        "less at the smallest above 0",
        ("cutmix-soft/smallest", "cutmix-soft/growth"),
        lambda m: below("cutmix-soft/smallest")(m) and above("cutmix-soft/growth")(m),
    ),
    Claim(
        "easy-images-teach-more",
        "At a small budget, images that an expert finds easy teach more than those that it finds hard, with soft labels too.",
        "ours (the paper's public code has such a selection; its numbers are not known to us)",
        "95 % intervals of test accuracy, easiest bin less hardest, paired by draw, lie above 0 with soft and with hard labels",
        ("selection/easiest-hardest/soft", "selection/easiest-hardest/hard"),
        above("selection/easiest-hardest/soft", "selection/easiest-hardest/hard"),
    ),
    Claim(
        "soft-labels-repair-hard-images",
        "With soft labels it matters less which images one takes: hard images cost less than with hard labels.",
        "ours (put up after a look at a quick run on mnist; the laptop size tests it on other images)",
        "95 % interval of (easiest bin less hardest with hard labels) - (the same with soft labels) lies above 0",
        ("selection/repair",),
        above("selection/repair"),
    ),
    Claim(
        "ensembles-label-better",
        "Labels of an ensemble of experts teach more than those of one.",
        "paper: its section on better labels",
        "95 % interval of ensemble - single expert, each at its best epoch on validation, smallest budget, lies above 0",
        ("ensemble-soft",),
        above("ensemble-soft"),
    ),
    Claim(
        "learned-resemble-ensemble",
        "Labels learned without any expert end up nearer to an ensemble's than to a single expert's.",
        "paper: its section on better labels",
        "95 % interval of (Jensen-Shannon divergence to single experts less that to their ensemble) lies above 0, beyond what "
        "learned labels with shuffled rests have of it, as any labels are somewhat nearer to a mean",
        ("nearer/learned-shuffled",),
        above("nearer/learned-shuffled"),
    ),
)

STUDY = Study(
    slug="soft-labels",
    title="A label is worth many images",
    question="How much of dataset distillation is in the labels?",
    paper=(
        "T. Qin, Z. Deng and D. Alvarez-Melis, A Label is Worth a Thousand Images in Dataset Distillation, NeurIPS 2024, "
        "arXiv 2406.10485"
    ),
    reference="qin2024",
    params=Params,
    claims=CLAIMS,
    minutes={"test": 0.2, "quick": 1.2, "laptop": 7.0, "paper": 14500.0},
    expected=(Expected("accuracy/soft", 51.9, 4.0), Expected("soft-hard", 7.7, 4.0)),
    headline="accuracy/soft",
    cover="budgets",
)
