"""The short way for templates that only print names, which most do: it needs no interpreter."""

from collections.abc import Iterable, Mapping
from typing import Any

from liquid import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.output import OutputNode

Part = str | tuple[str, ...]
"""Text that stands for itself, or the path to a name's value."""


def parts(nodes: Iterable[Node]) -> list[Part] | None:
    """Return what a template consists of, None if that is more than text and names."""
    found = [_part(node) for node in nodes]
    return None if None in found else [part for part in found if part is not None]


def join(parts: Iterable[Part], names: Mapping[str, Any], limit: int) -> str | None:
    """Return the text, None if it is longer or a value is anything else: the language knows what then."""
    values = []
    for part in parts:
        value = part if isinstance(part, str) else _value(part, names)
        limit -= len(value or "")
        if value is None or limit < 0:
            return None
        values.append(value)
    return "".join(values)


def _part(node: Node) -> Part | None:
    if type(node) is ContentNode:
        return node.text
    expression = node.expression if type(node) is OutputNode else None
    if type(expression) is not FilteredExpression or expression.filters:
        return None
    path = expression.left
    if type(path) is not Path or not all(type(segment) is str for segment in path.path):
        return None
    return tuple(str(segment) for segment in path.path)


def _value(path: tuple[str, ...], names: Any) -> str | None:
    for segment in path:
        if type(names) is not dict or segment not in names:
            return None
        names = names[segment]
    return names if type(names) is str else None
