"""Record of a run, execution, gallery and command line. Knows the declarations of the studies and no method."""

from typing import Any

__all__ = ["Run", "start"]


def __getattr__(name: str) -> Any:
    """`start` and `Run`, loaded when first asked for: the command line must answer without importing matplotlib."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lib.runs import notebook

    return getattr(notebook, name)
