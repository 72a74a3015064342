"""The template language: Liquid with all its limits set, and what the library leaves open closed.

Closed here: ranges, numbers and values that grow, formats of dates, sources that are slow to parse, and
the time that one render may take, which runs on the event loop.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache, wraps
from typing import Any, TextIO, cast

from liquid import BoundTemplate, Environment, Node, RenderContext, Token
from liquid.ast import BlockNode
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.tags.for_tag import ForNode, ForTag
from liquid.exceptions import (
    FilterArgumentError,
    LiquidInterrupt,
    LiquidSyntaxError,
    ResourceLimitError,
)
from liquid.expression import Expression
from liquid.undefined import UNDEFINED, FalsyStrictUndefined, is_undefined
from liquid.utils import ReadOnlyChainMap

from notifier.clock import cpu_seconds
from notifier.rendering import plain

BODY_LIMIT = 256 * 1024
"""Bytes of a rendered body; longer ones are an error."""

PLAIN_LIMIT = BODY_LIMIT // 4  # characters, of up to four bytes
SOURCE_LIMIT = 64 * 1024
MARKUP_LIMIT = 8 * 1024
TAG_LIMIT = 500
VERBATIM_LIMIT = 10
LOOP_LIMIT = 10_000
VALUE_LIMIT = 64 * 1024
DATA_LIMIT = 256 * 1024
UNIQ_LIMIT = 500
INTEGER_BITS = 1024
CPU_LIMIT = 0.02
"""Seconds of CPU of this thread, not of the clock, so that a busy machine fails no good template."""

CHECK_EVERY = 3
"""Steps of a render between two looks at the clock, each of which is a system call."""

_DELIMITER = re.compile(r"\{[{%]|[%}]\}")
_VERBATIM = re.compile(r"\{%-?\s{0,100}(?:raw|doc)\b")
_LONG_GAP = re.compile(r"\s{100}")
_DATE_FORMAT = re.compile(r"(?:[^%]|%[-_0^#]?[aAbBcCdDeFgGhHIjmMnprRStTuUVwWxXyYzZ%])*")
_REFUSED_TAGS = ("include", "render", "tablerow")
_REFUSED_FILTERS = ("safe", "escapejs", "strip_html")


class TemplateFailed(Exception):
    """A template could not be compiled or rendered; the text says why and is safe to show."""


class TemplateSlow(TemplateFailed):
    """A template took too long, if only because the process had other work to do; it may do better later."""


def _check_source(source: str) -> None:
    """Refuse what the library's lexer or parser would take too long over."""
    if len(source) > SOURCE_LIMIT:
        raise TemplateFailed(f"The template is longer than {SOURCE_LIMIT} characters.")
    if len(_VERBATIM.findall(source)) > VERBATIM_LIMIT:
        raise TemplateFailed(f"The template has over {VERBATIM_LIMIT} raw or doc tags.")
    tags = list(_markup(source))
    if len(tags) > TAG_LIMIT or sum(map(len, tags)) > MARKUP_LIMIT:
        raise TemplateFailed(f"The template has over {TAG_LIMIT} tags or {MARKUP_LIMIT} characters in tags.")
    if any(_LONG_GAP.search(tag) for tag in tags):
        raise TemplateFailed("A tag of the template holds over 100 blanks in a row.")


def _markup(source: str) -> Iterator[str]:
    """Yield the tags and outputs of the template, braces included."""
    opened: int | None = None
    for match in _DELIMITER.finditer(source):
        closes = match[0] in ("%}", "}}")
        if opened is not None and closes:
            yield source[opened : match.end()]
            opened = None
        elif opened is not None:
            break
        elif not closes:
            opened = match.start()
    if opened is not None:
        line = source.count("\n", 0, opened) + 1
        raise TemplateFailed(f"line {line}: {source[opened : opened + 2]} is never closed")


def _nodes(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        # The argument is for templates that include others, which are refused.
        yield from _nodes(node.children(cast(RenderContext, None)))


def _check_ranges(node: Node) -> None:
    """Let ranges stand in loops only, where their length is checked before anything walks over them."""
    for expression in node.expressions():
        parts = expression.children() if isinstance(node, ForNode) else [expression]
        for part in parts:
            if not (isinstance(node, ForNode) and isinstance(part, RangeLiteral)):
                _refuse_ranges(part)


def _refuse_ranges(expression: Expression) -> None:
    if isinstance(expression, RangeLiteral):
        raise FilterArgumentError("a range may only stand in a for loop", token=expression.token)
    for part in expression.children():
        _refuse_ranges(part)


class _Undefined(FalsyStrictUndefined):
    """A missing name is an error where it is printed, false in `if`, and replaced by `default`."""

    force_liquid_default = True


class _Context(RenderContext):
    """Reads no clock (`now`, `today`) and ends a render that takes too long."""

    __slots__ = ("_cpu_end", "_steps")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self._cpu_end: float | None = None
        self._steps = 0

    def check_time(self) -> None:
        """Raise once the render has used up its time. A short template never looks at the clock."""
        self._steps += 1
        if self._steps % CHECK_EVERY:
            return
        now = cpu_seconds()
        if self._cpu_end is None:
            self._cpu_end = now + CPU_LIMIT
        elif now > self._cpu_end:
            raise TemplateSlow("the template takes too long")

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        self.check_time()
        return super().get(path, token=token, default=default)


class _Template(BoundTemplate):
    """Renders without what templates that include others need, which are refused here."""

    @cached_property
    def _plain(self) -> list[plain.Part] | None:
        return plain.parts(self.nodes)

    def render(self, *args: Any, **kwargs: Any) -> str:
        names = dict(*args, **kwargs)
        text = plain.join(self._plain, names, PLAIN_LIMIT) if self._plain else None
        return self._interpret(names) if text is None else text

    def _interpret(self, names: dict[str, Any]) -> str:
        context = _Context(self, globals=names)
        buffer = self._get_buffer()
        for node in self.nodes:
            try:
                node.render(context, buffer)
            except LiquidInterrupt as error:
                raise LiquidSyntaxError(f"unexpected '{error}'", token=node.token) from error
        return buffer.getvalue()


class _TimedBlock(BlockNode):
    """The inside of a loop: looks at the time on every round."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        cast(_Context, context).check_time()
        return super().render_to_output(context, buffer)


class _BoundedForNode(ForNode):
    __slots__ = ()

    def __init__(self, token: Token, expression: Any, block: BlockNode, default: BlockNode | None = None):
        super().__init__(token, expression, _TimedBlock(block.token, block.nodes), default)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        # `reversed` and `offset` walk over the range before the library counts its length.
        values = self.expression.iterable.evaluate(context)
        if isinstance(values, range) and values.stop - values.start > LOOP_LIMIT:
            raise ResourceLimitError(f"a loop may have {LOOP_LIMIT} rounds", token=self.token)
        return super().render_to_output(context, buffer)


class _BoundedForTag(ForTag):
    node_class = _BoundedForNode


def weight(value: object, limit: int) -> int:
    """Return about how many characters `value` prints as; stops counting beyond `limit`."""
    total, stack = 0, [value]
    while stack and total <= limit:
        item = stack.pop()
        if isinstance(item, str):
            total += len(item)
        elif is_undefined(item):
            continue
        elif isinstance(item, Mapping):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list | tuple):
            stack.extend(item)
        total += 8
    return total


def _check_value(value: object) -> None:
    if isinstance(value, int):
        if value.bit_length() > INTEGER_BITS:
            raise FilterArgumentError("the number is too large", token=None)
    elif weight(value, VALUE_LIMIT) > VALUE_LIMIT + 8:
        raise FilterArgumentError(f"a value may have {VALUE_LIMIT} characters", token=None)


def _check_growth(name: str, value: Any, args: tuple[Any, ...]) -> None:
    """Refuse, before it happens, what multiplies its input."""
    grown = 0
    if name == "replace" and len(args) == 2:
        text = str(value)
        grown = text.count(str(args[0])) * len(str(args[1]))
    elif name == "join" and args and isinstance(value, list):
        grown = len(value) * len(str(args[0]))
    elif name == "uniq" and isinstance(value, list) and len(value) > UNIQ_LIMIT:
        raise FilterArgumentError(f"uniq takes lists of up to {UNIQ_LIMIT} items", token=None)
    if grown > VALUE_LIMIT:
        raise FilterArgumentError(f"a value may have {VALUE_LIMIT} characters", token=None)


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the filter with limits on its time, its arguments and its result."""

    @wraps(function)
    def apply(value: Any, *args: Any, context: _Context, **kwargs: Any) -> Any:
        context.check_time()
        for part in (value, *args):
            _check_value(part)
        _check_growth(name, value, args)
        result = function(value, *args, **kwargs)
        _check_value(result)
        return result

    apply.with_context = True  # type: ignore[attr-defined]
    return apply


def _date(value: object, form: str) -> str:
    """Format an ISO 8601 date, or seconds since 1970 (UTC); the library's own reads the clock."""
    if not isinstance(form, str) or len(form) > 100 or not _DATE_FORMAT.fullmatch(form):
        raise FilterArgumentError("date: unknown format", token=None)
    try:
        if isinstance(value, int):
            return datetime.fromtimestamp(value, UTC).strftime(form)
        return datetime.fromisoformat(str(value)).strftime(form)
    except (ValueError, OverflowError, OSError) as error:
        raise FilterArgumentError("date: expects an ISO 8601 date such as slot.at", token=None) from error


class _Environment(Environment):
    template_class = _Template
    block_nesting_limit = 20
    context_depth_limit = 20
    loop_iteration_limit = LOOP_LIMIT
    local_namespace_limit = BODY_LIMIT
    output_stream_limit = BODY_LIMIT

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.add_tag(_BoundedForTag)
        self.add_filter("date", _date)
        for tag in _REFUSED_TAGS:
            del self.tags[tag]
        for name in _REFUSED_FILTERS:
            del self.filters[name]
        self.filters = {name: _bounded(name, function) for name, function in self.filters.items()}


_ENVIRONMENT = _Environment(undefined=_Undefined)


@lru_cache(maxsize=256)
def compile_template(source: str) -> BoundTemplate:
    """Return the parsed template; raises TemplateFailed or the library's errors."""
    _check_source(source)
    template = _ENVIRONMENT.from_string(source)
    for node in _nodes(template.nodes):
        _check_ranges(node)
    return template
