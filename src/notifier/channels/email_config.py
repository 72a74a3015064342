"""What a mail destination may hold, and the `mailto:` addresses that stand for one."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import email_validator
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from notifier.channels.base import ChannelConfig
from notifier.domain.errors import InvalidInput
from notifier.settings import Settings

# The library's way to say that mail within one's own network (root@localhost, ops@mail.local) is fine.
email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = ["invalid", "onion"]

SCHEME = "mailto:"
RECIPIENT_LIMIT = 50


class EmailConfig(ChannelConfig):
    """Whom a mail goes to."""

    to: list[str] = Field(min_length=1, max_length=RECIPIENT_LIMIT)

    @property
    def label(self) -> str:
        """The first recipient, and how many more there are."""
        more = len(self.to) - 1
        return f"{self.to[0]} and {more} more" if more else self.to[0]

    @classmethod
    def lack(cls, settings: Settings) -> str | None:
        """A mail server."""
        if settings.smtp_host:
            return None
        return "No mail server is set here (NOTIFIER_SMTP_HOST): no mail leaves until the worker has one."

    @field_validator("to")
    @classmethod
    def _check_addresses(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(canonical(address) for address in value))


def canonical(address: str) -> str:
    """Return a mail address as it goes over the wire, its domain in ASCII; raises a pydantic error."""
    try:
        valid = email_validator.validate_email(
            address, strict=True, check_deliverability=False, globally_deliverable=False
        )
    except (email_validator.EmailNotValidError, ValueError) as error:
        detail = f"{address[:100]!r} is not a mail address: {error}"
        raise PydanticCustomError("invalid_email", "{detail}", {"detail": detail}) from error
    return f"{valid.local_part}@{valid.ascii_domain}"


def parse_mailto(address: str) -> Mapping[str, Any] | None:
    """Return the config that a `mailto:` address stands for, or None if it is something else."""
    if not address.lower().startswith(SCHEME):
        return None
    recipients, _, headers = address[len(SCHEME) :].partition("?")
    if headers:
        name = unquote(headers.partition("=")[0])
        detail = f"A mailto address may only name recipients; {name[:50]!r} is not supported."
        raise InvalidInput.at("", "unsupported_address", detail)
    return {"to": [unquote(part).strip() for part in recipients.split(",")]}
