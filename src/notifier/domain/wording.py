"""What is wrong with a field, in the same words whoever finds it: we, or Pydantic."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from notifier.domain.errors import MOST_TOLD, FieldProblem, pointer

UNKNOWN = "This is not known here"
INTEGER = "This must be an integer."
CHOICE = "This must be {expected}."
ID = "This must be an id, such as 01890a5d-ac96-774b-bcce-b302099a8057."
OBJECT = "This must be an object."
TRUTH = "This must be true or false."

WORDS = {
    "missing": "This is required.",
    "extra_forbidden": UNKNOWN + ".",
    "string_type": "This must be a string.",
    "string_too_short": "This must not be empty.",
    "string_too_long": "This may have at most {max_length} characters.",
    "list_type": "This must be a list.",
    "too_short": "This must not be empty.",
    "too_long": "This is too long: at most {max_length}.",
    "dict_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "bool_type": TRUTH,
    "bool_parsing": TRUTH,
    "int_type": INTEGER,
    "int_parsing": INTEGER,
    "int_parsing_size": INTEGER,
    "greater_than_equal": "This must be {ge} or more.",
    "less_than_equal": "This must be {le} or less.",
    "literal_error": CHOICE,
    "enum": CHOICE,
    "uuid_type": ID,
    "uuid_parsing": ID,
    "value_error": "This {error}.",
}
"""By Pydantic's name for an error, which is its code."""

PATTERNS = {
    r"\S": "This must not be blank.",
    r"^[\x20-\x7e]+$": "This must be of printable ASCII characters.",
}


def problem(found: Mapping[str, Any]) -> FieldProblem:
    """Return an error of Pydantic as a problem; what has no words here keeps Pydantic's."""
    context = found.get("ctx", {})
    words = PATTERNS.get(context.get("pattern", ""), WORDS.get(found["type"]))
    detail = words.format(**context) if words else str(found["msg"])
    return FieldProblem(pointer(found["loc"]), found["type"], detail)


def unknown(names: Collection[str], known: Collection[str], code: str) -> Iterator[FieldProblem]:
    """Yield a problem for each name that is not known; of the first ones the nearest that is may be meant.

    Looking for it takes its time, and a request may hold tens of thousands of names.
    """
    for nth, name in enumerate(names):
        yield FieldProblem(pointer([name]), code, UNKNOWN + (_meant(name, known) if nth < MOST_TOLD else "."))


def _meant(name: str, known: Collection[str]) -> str:
    if near := get_close_matches(name, known, n=1):
        return f"; perhaps `{near[0]}` is meant."
    return f"; there are: {', '.join(sorted(known)) or 'none'}."
