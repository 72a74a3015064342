"""All channels of a process, made once; what the rest of the service asks about kinds and addresses."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from notifier.channels.base import MASK, Channel
from notifier.channels.email import EmailChannel
from notifier.channels.log import LogChannel
from notifier.channels.webhook import WebhookChannel
from notifier.domain import wording
from notifier.domain.errors import FieldProblem, InvalidInput
from notifier.settings import Settings

LABEL_LIMIT = 200
_CHANNELS = (LogChannel, WebhookChannel, EmailChannel)


def build(settings: Settings) -> "Registry":
    """Return all channels; nothing is opened before the first send."""
    return Registry(settings, [channel(settings) for channel in _CHANNELS])


class Registry:
    """The channels by kind."""

    def __init__(self, settings: Settings, channels: list[Channel]) -> None:
        """Hold `channels`; their order is the order in which addresses are tried."""
        self._settings = settings
        self._channels = {channel.kind: channel for channel in channels}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that destinations may have."""
        return tuple(self._channels)

    def get(self, kind: str) -> Channel:
        """Return the channel of `kind`; raises KeyError for an unknown one."""
        return self._channels[kind]

    def signs(self, kind: str) -> bool:
        """Tell whether destinations of `kind` get a signing secret."""
        return self._channels[kind].signs

    def parse_address(self, address: str) -> tuple[str, dict[str, Any]]:
        """Return kind and canonical config of a `to` address.

        Raises InvalidInput, whose pointer is empty: it stands for the address itself.
        """
        for kind, channel in self._channels.items():
            config = channel.parse_address(address)
            if config is not None:
                return kind, self._validated_address(kind, config)
        forms = ", ".join(channel.address_form for channel in self._channels.values())
        raise InvalidInput.at(
            "", "unsupported_address", f"This address is not supported; use one like {forms}."
        )

    def validate_config(self, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the canonical form of `config`, plain JSON; raises InvalidInput under /kind or /config."""
        if kind not in self._channels:
            raise InvalidInput.at("/kind", "unknown_kind", f"This must be one of: {', '.join(self.kinds)}.")
        model = self._channels[kind].config_model
        try:
            valid = model.model_validate(dict(config), context={"settings": self._settings})
        except ValidationError as error:
            found = [wording.problem(row) for row in error.errors(include_url=False)]
            raise InvalidInput(found).under("/config") from error
        return valid.model_dump(mode="json", exclude_defaults=True)

    def label(self, kind: str, config: Mapping[str, Any]) -> str:
        """Return a name for a destination that was given none; `config` is canonical."""
        return self._channels[kind].config_model.model_construct(**config).label[:LABEL_LIMIT]

    def lack(self, kind: str) -> str | None:
        """Say what the service needs, and has not, to send to `kind`; None if it has all."""
        return self._channels[kind].config_model.lack(self._settings)

    def masked(self, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return `config` as it may be shown: names of headers stay, their values do not."""
        field = self._channels[kind].config_model.confidential
        if field is None or field not in config:
            return dict(config)
        return {**config, field: dict.fromkeys(config[field], MASK)}

    def fingerprint(self, kind: str, config: Mapping[str, Any]) -> str:
        """Return a text that is the same for destinations with the same kind and canonical config.

        A hash: config may hold credentials.
        """
        canonical = json.dumps(config, sort_keys=True, separators=(",", ":"))
        return f"{kind}:{hashlib.sha256(canonical.encode()).hexdigest()}"

    async def aclose(self) -> None:
        """Let go of all connections; may be called more than once."""
        for channel in self._channels.values():
            await channel.aclose()

    def _validated_address(self, kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self.validate_config(kind, config)
        except InvalidInput as error:
            raise InvalidInput([FieldProblem("", p.code, p.detail) for p in error.problems]) from error
