"""What Pydantic finds wrong with a request, in the words of the rest of the service."""

from collections.abc import Mapping
from typing import Any

INTEGER = "This must be an integer."
OBJECT = "This must be an object."
TRUTH = "This must be true or false."

WORDS = {
    "missing": "This is required.",
    "extra_forbidden": "This is not known here.",
    "string_type": "This must be a string.",
    "string_too_short": "This must not be empty.",
    "string_too_long": "This may have at most {max_length} characters.",
    "list_type": "This must be a list.",
    "too_short": "This must not be empty.",
    "too_long": "This may have at most {max_length} items.",
    "dict_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "bool_type": TRUTH,
    "bool_parsing": TRUTH,
    "int_type": INTEGER,
    "int_parsing": INTEGER,
    "greater_than_equal": "This must be {ge} or more.",
    "less_than_equal": "This must be {le} or less.",
    "literal_error": "This must be {expected}.",
    "uuid_parsing": "This must be an id, such as 01890a5d-ac96-774b-bcce-b302099a8057.",
    "value_error": "This {error}.",
}
"""By the code of an error."""

PATTERNS = {
    r"\S": "This must not be blank.",
    r"^[\x20-\x7e]+$": "This must be of printable ASCII characters.",
}


def sentence(found: Mapping[str, Any]) -> str:
    """Return what is to be done about an error of Pydantic; one that has no words here keeps its own."""
    context = found.get("ctx", {})
    words = PATTERNS.get(context.get("pattern", ""), WORDS.get(found["type"]))
    return words.format(**context) if words else str(found["msg"])
