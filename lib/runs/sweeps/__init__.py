"""Sweeps: a study over a grid of parameters and seeds, and the report it leaves: table, figure, list of what failed."""

from typing import Any

__all__ = ["sweep_table"]


def __getattr__(name: str) -> Any:
    """`sweep_table`, loaded when first asked for: the command line must answer without importing pandas."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lib.runs.sweeps import reader

    return getattr(reader, name)
