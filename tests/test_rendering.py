"""User templates: what they see, what is refused on save, and that none can stall the event loop."""

import gc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import thread_time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from notifier.domain.errors import InvalidInput
from notifier.rendering import TITLE_LIMIT, TemplateFailed, context, render, render_title, validate
from notifier.rendering.language import compile_template

AT = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BIG: dict[str, Any] = {
    "numbers": list(range(8000)),
    "text": "x" * 60_000,
    "words": [f"w{n}" for n in range(5000)],
    "left": {"items": [{"n": n} for n in range(3000)]},
    "right": {"items": [{"n": n} for n in range(3000)]},
}


def say(source: str, data: dict[str, Any] | None = None, **slot: Any) -> str:
    return render(source, context(data or {}, **{"slot": AT, **slot}))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("no markup } { at all", "no markup } { at all"),
        ("Hi {{ name }}", "Hi Ada"),
        ("{{ missing | default: 'friend' }}", "friend"),
        ("{% if missing %}yes{% else %}no{% endif %}", "no"),
        ("{% for p in plants %}{{ p | upcase }};{% endfor %}", "FERN;IVY;"),
        ("{% for n in (1..3) %}{{ n }}{% endfor %}", "123"),
        ("{{ slot.at }}", "2026-11-23T08:00:00Z"),
        ("{{ slot.local_date }} {{ slot.local_time }} {{ slot.timezone }}", "2026-11-23 09:00 Europe/Berlin"),
        ("{{ slot.local_date | date: '%A %d %B' }}", "Monday 23 November"),
        ("{{ slot.late_by }}", "90"),
        ("{{ notification.external_id }}", "plants"),
        ("{{ notification.id }}", "00000000-0000-0000-0000-000000000007"),
        ("{% raw %}{{ name }}{% endraw %}", "{{ name }}"),
        ("<b>{{ tag }}</b>", "<b><i></b>"),
    ],
)
def test_a_template_says(source: str, expected: str) -> None:
    data = {"name": "Ada", "plants": ["fern", "ivy"], "tag": "<i>"}
    slot = {"slot": AT.astimezone(ZoneInfo("Europe/Berlin")), "late_by": timedelta(seconds=90)}
    assert say(source, data, notification_id=UUID(int=7), external_id="plants", **slot) == expected


@pytest.mark.parametrize(
    "name", ["text", "['two words']", "deep.er.text", "number", "flag", "none", "list", "text.size"]
)
@pytest.mark.parametrize("form", ["a{{ %s }}b{{ text }}", "{{- %s -}} x ", "{{ %s }}", "{{ %s | upcase }}"])
def test_the_short_way_says_what_the_language_says(form: str, name: str) -> None:
    data = {"text": "ä {{ text }}", "two words": "2", "deep": {"er": {"text": "d"}}, "number": 7}
    names = context({**data, "flag": True, "none": None, "list": ["a", "b"]}, slot=AT)
    template = compile_template(form % name)
    assert template.render(names) == template._interpret(names)


def test_the_short_way_ends_where_texts_grow_too_long() -> None:
    with pytest.raises(TemplateFailed):
        say("{{ text }}" * 500, {"text": "x" * 100_000})


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    twice = [datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold) for fold in (0, 1)]
    said = [say("{{ slot.at }} {{ slot.local_time }}", slot=slot) for slot in twice]
    assert said == ["2026-10-25T00:30:00Z 02:30", "2026-10-25T01:30:00Z 02:30"]
    assert say("{{ slot.timezone }}", slot=twice[0].astimezone(UTC)) == "UTC"


def test_a_title_is_one_line() -> None:
    names = context({"name": "A\r\nBcc: x"}, slot=AT)
    assert render_title("  Hello\n{{ name }} ", names) == "Hello A Bcc: x"


def test_a_long_title_is_cut_with_an_ellipsis() -> None:
    title = render_title("{{ long }}", context({"long": "x" * 500}, slot=AT))
    assert (len(title), title[-2:]) == (TITLE_LIMIT, "x…")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("ok\n{% if %}", "line 2: missing expression"),
        ("a\nb\n{{ nobody }}", "line 3: 'nobody' is undefined"),
        ("{{ name.first_name }}", "line 1: name.first_name is undefined"),
        ("{{ 'x' | shout }}", "unknown filter 'shout'"),
        ("x\n{{ name ", "line 2: {{ is never closed"),
        ("{% include 'secrets' %}", "unexpected tag 'include'"),
        ("{% render 'secrets' %}", "unexpected tag 'render'"),
        ("{{ now }}", "'now' is undefined"),
        ("{{ 'now' | date: '%Y' }}", "expects an ISO 8601 date"),
        ("{{ name.__class__ }}", "is undefined"),
        ("{{ 1 | divided_by: 0 }}", "can't divide by 0"),
        ("{{ '1e400' | ceil }}", "cannot be rendered"),
    ],
)
def test_a_broken_template_is_refused_on_save_with_its_line(source: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        validate("Title", source, {"name": "Ada"}, slot=AT)
    (problem,) = refusal.value.problems
    assert (problem.pointer, problem.code) == ("/body", "invalid_template")
    assert why in problem.detail


def test_title_body_and_data_problems_are_told_together() -> None:
    with pytest.raises(InvalidInput) as refusal:
        validate("{{ a }}", "{{ b }}", {"slot": 1, "notification": 2}, slot=AT)
    pointers = [problem.pointer for problem in refusal.value.problems]
    assert pointers == ["/data/notification", "/data/slot", "/title", "/body"]


def test_data_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too much"):
        validate("t", "b", {"big": ["x" * 1000] * 300}, slot=AT)


def test_good_templates_pass() -> None:
    validate("Hi {{ name }}", "It is {{ slot.local_date }}.", {"name": "Ada"}, slot=AT)


@pytest.mark.parametrize(
    "expression",
    [
        "{{ %s | join: ',' }}",
        "{%% assign r = %s %%}{%% if r contains 1.5 %%}x{%% endif %%}",
        "{%% if %s contains 1.5 %%}x{%% endif %%}",
        "{%% unless %s contains 1.5 %%}x{%% endunless %%}",
        "{%% if false %%}{%% elsif %s contains 1.5 %%}x{%% endif %%}",
        "{%% case %s %%}{%% when 1 %%}x{%% endcase %%}",
        "{%% case 1 %%}{%% when %s %%}x{%% endcase %%}",
        "{%% echo %s | sort %%}",
        "{%% liquid assign r = %s\n echo r | size %%}",
        "{%% cycle %s, 1 %%}",
        "{%% capture x %%}{{ %s | reverse }}{%% endcapture %%}",
        "{%% for i in (1..2) %%}{{ %s | size }}{%% endfor %%}",
        "{%% for i in (1..2) limit: %s %%}{%% endfor %%}",
        "{%% ifchanged %%}{{ %s | size }}{%% endifchanged %%}",
        "{%% for i in %s reversed %%}{%% endfor %%}",
        "{%% for i in %s offset: 999999990 %%}{%% endfor %%}",
        "{%% for i in %s limit: 1 %%}{%% endfor %%}",
    ],
)
def test_a_giant_range_is_refused_wherever_it_stands(expression: str) -> None:
    with pytest.raises(TemplateFailed):
        say(expression.replace("%%", "%").replace("%s", "(1..1000000000)"))


HOSTILE = [
    "{% for i in (1..1000) %}{% for j in (1..1000) %}x{% endfor %}{% endfor %}",
    "{% for i in (1..100) %}{% for j in (1..100) %}{{ i | times: j | append: 'x' }}{% endfor %}{% endfor %}",
    "{% for i in (1..10000) %}{% endfor %}" * 200,
    "{% for i in (1..99999999999999999999999999999999) %}{% endfor %}",
    "{% assign s = 'ab' %}{% for i in (1..40) %}{% assign s = s | append: s %}{% endfor %}{{ s }}",
    "{% assign a = words %}" + "{% assign a = a | concat: a %}" * 30,
    "{{ text | replace: 'x', text }}",
    "{{ text | replace: '', text }}",
    "{% assign a = text | split: '' %}",
    "{{ words | join: text }}",
    "{{ words | uniq }}",
    "{% assign n = 99999999999 %}" + "{% assign n = n | times: n %}" * 30 + "{{ n }}",
    "{{ '" + "9" * 5000 + "' | times: 2 }}",
    "{{ slot.at | date: '%999999999d' }}",
    "{{ slot.at | date: '%-999999999d' }}",
    "{% for i in (1..10000) %}{% if numbers contains -1 %}{% endif %}{% endfor %}",
    "{% for i in (1..10000) %}{% if left == right %}{% endif %}{% endfor %}",
    "{% for i in (1..10000) %}{% assign a = numbers | sort %}{% endfor %}",
    "{% for i in (1..10000) %}{% for j in numbers limit: 1 offset: 7999 %}{% endfor %}{% endfor %}",
    "{% for i in (1..100) %}" + "{% assign a = 1 %}" * 450 + "{% endfor %}",
    "{% for i in (1..10000) %}" + "y" * 60_000 + "{% endfor %}",
    "{{ left }}" * 500,
    "{{ text " + "| upcase " * 900 + "}}",
    "{{ text " + "| url_encode " * 600 + "}}",
    "{% if true %}" * 100,
    "{{ a" + "[a" * 2500 + "]" * 2500 + " }}",
    "{% if " + " or ".join(["numbers contains -1"] * 400) + " %}{% endif %}",
    "{{ 1 }}" * 20_000,
    "{{" * 30_000,
    "{{" + " " * 60_000,
    "{{ 1" + " " * 8000 + "}}",
    ("{{ 1" + " " * 90) * 80,
    "{% raw %}" * 7000,
    "{% raw %}" * 10 + "a" * 60_000,
    "{% doc %}" * 400,
    "x" * 70_000 + "{{ 1 }}",
]


@pytest.fixture(scope="module")
def _still_heap() -> Iterator[None]:
    """Keep the collector from walking over the test runner's own objects while time is taken."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("_still_heap")
@pytest.mark.parametrize("source", HOSTILE, ids=lambda source: source[:40])
def test_no_hostile_template_holds_the_event_loop_for_50_ms(source: str) -> None:
    started = thread_time()
    with suppress(TemplateFailed):
        say(source, BIG)
    assert thread_time() - started < 0.05


def test_a_typical_template_takes_under_2_ms() -> None:
    source = "Hi {{ name }},\n{% for p in plants %}- {{ p.name | upcase }}\n{% endfor %}{{ slot.at }}"
    data = {"name": "Ada", "plants": [{"name": f"plant {n}"} for n in range(5)]}
    say(source, data)
    started = thread_time()
    say(source, data)
    assert thread_time() - started < 0.002
