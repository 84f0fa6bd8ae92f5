"""Where tensors live: the one decision that every study makes in the same way."""

import torch


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is a CUDA GPU where there is one, else the processor. ValueError if it is not here."""
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: got {name!r}, allowed: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: got 'cuda', but torch sees no CUDA GPU here; allowed: auto, cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
