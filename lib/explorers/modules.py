"""The browser's side of the explorers: files in front/, put together as each widget wants them."""

from pathlib import Path

FRONT = Path(__file__).parent / "front"


def module(*names: str) -> str:
    """One JavaScript module of the files front/<name>.js, in this order: a widget takes one, and its text at that."""
    return "\n".join((FRONT / f"{name}.js").read_text(encoding="utf-8") for name in names)
