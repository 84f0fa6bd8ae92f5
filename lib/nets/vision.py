"""Pretrained image backbones, as modules that take photographs as bytes."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lib.nets.net import fan_in_uniform
from lib.seeds import Seeds

# Mean and standard deviation of ImageNet's colours, which the backbones were trained with.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class BackboneUnavailable(RuntimeError):
    """The pretrained weights are neither a folder here nor reachable on the Hugging Face hub."""


class PhotographClassifier(nn.Module):
    """A backbone of transformers with a fresh linear head: bytes [B, 3, h, w] -> logits [B, C].

    Batch-norm statistics stay those of pre-training (the module is in evaluation mode), as DomainBed has it: weights of several
    fine-tuned copies can then be averaged without recomputing statistics [rame2022].
    """

    def __init__(self, backbone: nn.Module, width: int, classes: int, seeds: Seeds) -> None:
        super().__init__()
        self.backbone, self.dropout, self.head = backbone, nn.Dropout(), nn.Linear(width, classes)
        with torch.no_grad():
            for name, value in self.head.named_parameters():
                value.copy_(fan_in_uniform(tuple(value.shape), width, seeds.child("head", name)))
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1))

    def forward(self, x: UInt8[Tensor, "B 3 h w"]) -> Float[Tensor, "B C"]:
        """Logits."""
        pixels = (x.to(self.head.weight.dtype) / 255 - self.mean) / self.std
        return self.head(self.dropout(self.backbone(pixels).pooler_output.flatten(1)))


def photograph_classifier(backbone: str, classes: int, seeds: Seeds) -> PhotographClassifier:
    """A classifier on a pretrained `backbone`: a Hugging Face name, or a folder written by save_pretrained.

    Raises BackboneUnavailable with the ways to get it, where it cannot be loaded.
    """
    from transformers import AutoModel

    try:
        body = AutoModel.from_pretrained(backbone)
    except OSError as error:
        reason = " ".join(str(error).split())[:200]
        raise BackboneUnavailable(
            f"backbone: got {backbone!r}, which is neither a folder here nor to be had from the hub ({reason}). "
            "Ways to get it: connect to the hub once (it is cached), or write the model with save_pretrained on a machine "
            "that has it and give that folder as backbone"
        ) from None
    return PhotographClassifier(body, body.config.hidden_sizes[-1], classes, seeds).eval()
