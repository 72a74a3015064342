"""The mail that a message becomes: headers that nothing can be smuggled into, text and HTML parts."""

import re
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from html import escape

from notifier.domain.delivery import Envelope

_CONTROLS = dict.fromkeys([*range(32), *range(127, 160)], " ")
_BODY_CONTROLS = {code: text for code, text in _CONTROLS.items() if chr(code) not in "\t\n\r"}
_LINK = re.compile(r"""(https?://[^\s<>"']+[^\s<>"'.,;:!?)\]])""")
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")


def compose(envelope: Envelope, sender: str, recipients: list[str]) -> EmailMessage:
    """Return the mail; `sender` may carry a display name, `recipients` are canonical addresses."""
    ascii_only = all(address.isascii() for address in (parseaddr(sender)[1], *recipients))
    message = EmailMessage(policy=(SMTP if ascii_only else SMTPUTF8).clone(cte_type="7bit"))
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = one_line(envelope.title)
    message["Date"] = format_datetime(envelope.sent_at)
    message["Message-ID"] = f"<{envelope.message_id}@{domain(sender)}>"
    message["Auto-Submitted"] = "auto-generated"
    text = _encodable(envelope.body).translate(_BODY_CONTROLS).replace("\r\n", "\n").replace("\r", "\n")
    message.set_content(text)
    message.add_alternative(html(text), subtype="html")
    return message


def one_line(text: str) -> str:
    """Return the text without line breaks and control characters."""
    return " ".join(_encodable(text).translate(_CONTROLS).split())


def _encodable(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and mail cannot."""
    return text.encode("utf-8", "replace").decode()


def domain(sender: str) -> str:
    """Return the domain of the sender's address, `localhost` if it has none."""
    return parseaddr(sender)[1].rpartition("@")[2] or "localhost"


def html(text: str) -> str:
    """Return the text as HTML: paragraphs, line breaks, http(s) links; all else is escaped."""
    blocks = [block for block in _PARAGRAPHS.split(text.strip("\n")) if block.strip()]
    return "<html><body>\n" + "\n".join(f"<p>{_lines(block)}</p>" for block in blocks) + "\n</body></html>\n"


def _lines(block: str) -> str:
    return "<br>\n".join(_linked(line) for line in block.split("\n"))


def _linked(line: str) -> str:
    # Every second part is a link: the pattern's group splits the line so.
    parts = [escape(part) for part in _LINK.split(line)]
    parts[1::2] = [f'<a href="{link}">{link}</a>' for link in parts[1::2]]
    return "".join(parts)
