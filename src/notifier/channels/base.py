"""What a channel is: code that can send to one kind of destination."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from notifier.domain.delivery import AttemptOutcome, Envelope, Outcome, Sending
from notifier.settings import Settings

ERROR_LIMIT = 500
"""Characters of an error text in the ledger."""


MASK = "********"
"""What is shown in place of a confidential value."""


class ChannelConfig(BaseModel):
    """Base of the config models; one per kind, it says what `config` of a destination may hold.

    Validated with the context `{"settings": Settings}`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidential: ClassVar[str | None] = None
    """The field, a mapping of texts, whose values are shown to nobody once they are saved."""

    @property
    def label(self) -> str:
        """A name for people, for a destination that was given none; it must not hold credentials."""
        raise NotImplementedError

    @classmethod
    def lack(cls, settings: Settings) -> str | None:  # noqa: ARG003
        """Say what the service needs, and has not, to send to this kind at all; None if it has all."""
        return None


class Channel(Protocol):
    """One way to send. A channel is made once per process and used by many tasks at the same time."""

    kind: ClassVar[str]
    config_model: ClassVar[type[ChannelConfig]]
    signs: ClassVar[bool]
    """Whether destinations of this kind get a generated signing secret."""
    address_form: ClassVar[str]
    """An example of the addresses it reads, shown where none fits."""

    @classmethod
    def parse_address(cls, address: str) -> Mapping[str, Any] | None:
        """Return the config that a `to` address stands for, or None if it is not of this kind.

        Raises InvalidInput if the address is of this kind but wrong.
        """

    def receiver(self, config: Mapping[str, Any]) -> str:
        """Name the server behind a destination: what is slow for one of its destinations is so for all."""

    def prepare(self, envelope: Envelope) -> Sending:
        """Do what can be done before the message leaves; return what tries once to send it.

        That takes no longer than the channel's total time-out. Both raise only for bugs. A worker prepares
        many messages in one go, so preparing may not take long.
        """

    async def aclose(self) -> None:
        """Let go of connections; may be called more than once."""


def unsuccessful(result: AttemptOutcome, error: str, status_code: int | None = None) -> Outcome:
    """Return the outcome of a try that failed or may have failed, its text cut for the ledger."""
    return Outcome(result, status_code, error[:ERROR_LIMIT])
