"""Models, optimal transport and distillation code behind the notebooks, one room per idea."""

__version__ = "0.1.0"
