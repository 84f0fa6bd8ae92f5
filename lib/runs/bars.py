"""Progress bars inside a running notebook, told to whoever waits for it."""

import re
import time
from collections.abc import Callable

EVERY_S = 1.0
BAR = re.compile(r"(?P<what>[^|\r\n]*\d{1,3}%)\|[^|]*\|(?P<rest>[^|\r\n]*)")  # as tqdm draws it


class BarWatch:
    """A text file that takes in what cells print, and tells the latest progress bar in it at most once a second.

    `tell` gets what stands left and right of the bar itself, as "building model: 37% 01:49<03:05".
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._told_s, self._said = tell, -EVERY_S, ""

    def write(self, text: str) -> int:
        """Take in the next piece of text."""
        if (now := time.monotonic()) - self._told_s >= EVERY_S and (bars := list(BAR.finditer(text))):
            said = " ".join(f"{bars[-1]['what']} {bars[-1]['rest']}".split())
            if said != self._said:
                self._tell(said)
                self._told_s, self._said = now, said
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
