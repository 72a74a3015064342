"""Kind `log`: writes the message into the service's own log."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

import structlog

from notifier.channels.base import ChannelConfig
from notifier.domain.delivery import Envelope, Outcome, Sending
from notifier.settings import Settings

_log = structlog.get_logger("notifier.channels.log")


class LogConfig(ChannelConfig):
    """A log destination has nothing to set."""

    @property
    def label(self) -> str:
        """There is only one log."""
        return "log"


class LogChannel:
    """Writes one `message.logged` event for each message."""

    kind: ClassVar[str] = "log"
    config_model: ClassVar[type[ChannelConfig]] = LogConfig
    signs: ClassVar[bool] = False
    address_form: ClassVar[str] = "log:"

    def __init__(self, settings: Settings) -> None:
        """Take the settings that every channel takes; this one needs none."""

    @classmethod
    def parse_address(cls, address: str) -> Mapping[str, Any] | None:
        """Read `log:`."""
        return {} if address.strip().lower() == "log:" else None

    def receiver(self, config: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Name the log: there is only one."""
        return self.kind

    def prepare(self, envelope: Envelope) -> Sending:
        """Nothing can be done beforehand."""
        return partial(self._send, envelope)

    async def _send(self, envelope: Envelope) -> Outcome:
        """Write the message; this cannot fail."""
        _log.info(
            "message.logged",
            delivery_id=str(envelope.delivery_id),
            notification_id=str(envelope.notification_id) if envelope.notification_id else None,
            message_id=envelope.message_id,
            title=envelope.title,
            body=envelope.body,
        )
        return Outcome.delivered()

    async def aclose(self) -> None:
        """Nothing to let go of."""
