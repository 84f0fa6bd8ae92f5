"""The read-outs below an explorer's pictures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Readout:
    """One line of the read-outs; `warn` marks what the reader should not miss."""

    title: str
    value: str
    detail: str = ""
    warn: bool = False
