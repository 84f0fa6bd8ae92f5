"""TeX formulas as MathML, which browsers draw by themselves: no script, no font and no network."""

import re
from functools import cache
from html import escape, unescape

from math_core import LatexError, LatexToMathML

# A dollar opens a formula only before ink and closes it only after ink and not before a digit, so that prices stay prices.
INLINE = re.compile(r"(?<![\\$])\$(?=[^\s$])([^$]*[^\s\\$]|[^\s\\$])\$(?![\d$])")


@cache
def _converter() -> LatexToMathML:
    return LatexToMathML(annotation=True, fancy_error=False, allow_unreliable_rendering=True)


def mathml(tex: str, display: bool = False) -> str:
    """One formula as a MathML element; what is no TeX stays readable as its own source, with the reason as a tooltip."""
    try:
        return _converter().convert_with_local_state(tex.strip(), displaystyle=display)
    except LatexError as error:
        return f'<code class="tex" title="{escape(str(error))}">{escape(tex.strip(), quote=False)}</code>'


def formulas_in_html(text: str) -> str:
    """HTML with each `$...$` turned into MathML."""
    return INLINE.sub(lambda found: mathml(unescape(found[1])), text)


def formulas_in_text(text: str) -> str:
    """Plain text as HTML: escaped, with each `$...$` turned into MathML."""
    return formulas_in_html(escape(text, quote=False))
