"""How a mail is written: no words of a user become headers or markup."""

from email import message_from_bytes
from email.policy import default

import pytest

from notifier.channels.email_message import compose, html
from tests.channels.samples import envelope

ADA = "ada@example.com"


@pytest.mark.parametrize(
    ("title", "subject"),
    [
        ("Hi\r\nBcc: victim@example.com", "Hi Bcc: victim@example.com"),
        ("Hi\n\n<script>", "Hi <script>"),
        ("a\rb\x0bc\x0cd\x1ce\x85f\u2028g\x00h", "a b c d e f g h"),
        ("=?utf-8?q?Bcc=3A?=", None),
        ("Grüße 🌱 " + "lang" * 60, "Grüße 🌱 " + "lang" * 60),
        ("x" * 2000, "x" * 2000),
        (" " * 10, ""),
    ],
)
def test_a_title_cannot_add_headers(title: str, subject: str | None) -> None:
    raw = compose(envelope("email", {"to": [ADA]}, title=title), "n@sender.test", [ADA]).as_bytes()
    parsed = message_from_bytes(raw, policy=default)
    assert "Bcc" not in parsed
    assert sorted({name.lower() for name in parsed}) == [
        "auto-submitted",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "subject",
        "to",
    ]
    if subject is not None:
        assert parsed["Subject"] == subject


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <b> & c", "<p>a &lt;b&gt; &amp; c</p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("one\n \n\ntwo\n", "<p>one</p>\n<p>two</p>"),
        ("javascript:alert(1)", "<p>javascript:alert(1)</p>"),
        (
            'see https://a.test/?b=1&c="2", ok',
            '<p>see <a href="https://a.test/?b=1&amp;c=">https://a.test/?b=1&amp;c=</a>&quot;2&quot;, ok</p>',
        ),
        ("(http://a.example).", '<p>(<a href="http://a.example">http://a.example</a>).</p>'),
        ("", ""),
    ],
)
def test_html_is_made_of_escaped_paragraphs_and_links(text: str, expected: str) -> None:
    assert html(text) == f"<html><body>\n{expected}\n</body></html>\n"
