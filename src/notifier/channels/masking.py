"""Receivers say back what they were sent; what is confidential of it must not reach the ledger or the log."""

import html
import json
from collections.abc import Iterable, Iterator

from notifier.channels.base import MASK

SHORTEST_PART = 8
"""Characters from which on a part of a value is taken for a secret of its own, as in `Bearer <token>`."""


def masked(text: str, values: Iterable[str]) -> str:
    """Return `text` with every confidential value replaced, also where the text's end cuts one off.

    Values are found as they are, and as JSON and HTML write them.
    """
    for form in sorted({form for value in values for form in _forms(value)}, key=len, reverse=True):
        text = text.replace(form, MASK)
        text = _without_beginning_at_the_end(text, form)
    return text


def _forms(value: str) -> Iterator[str]:
    parts = (part for part in value.split() if len(part) >= SHORTEST_PART)
    for one in filter(None, (value, *parts)):
        yield from (one, json.dumps(one)[1:-1], html.escape(one))


def _without_beginning_at_the_end(text: str, form: str) -> str:
    for length in range(len(form) - 1, SHORTEST_PART - 1, -1):
        if text.endswith(form[:length]):
            return text[:-length] + MASK
    return text
