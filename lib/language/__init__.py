"""Language models: a frozen backbone, LoRA anchors and their mixtures, likelihood, generation, attributes and their scorers."""
