"""All settings, in one typed class. The only reader of the environment.

Every setting is an environment variable `NOTIFIER_<NAME>`, or `NOTIFIER_<NAME>_FILE` naming a file that
holds the value (for Docker and Kubernetes secrets). An empty variable counts as not set.
"""

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "NOTIFIER_"
PLACEHOLDERS = ("changeme", "change-me", "change_me", "placeholder", "replace-me")

DAY_SECONDS = 86_400.0

IPNetwork = IPv4Network | IPv6Network


class Settings(BaseSettings):
    """Every setting with its default; the field's description is what the docs show."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    environment: Literal["production", "embedded"] = Field(
        "production", description="`embedded` is what `notifier up` sets on its own servers."
    )
    # Both may hold a password.
    database_url: str = Field(
        repr=False, description="PostgreSQL, as postgresql://user:password@host:port/database."
    )
    redis_url: str = Field(
        repr=False, description="Redis or Valkey, as redis://host:port/0, rediss:// or unix://."
    )
    secret_key: SecretStr = Field(
        min_length=32, description="At least 32 characters; encrypts the destinations' secrets. Keep it."
    )
    bootstrap_api_key: SecretStr | None = Field(
        None, min_length=20, description="An admin API key that `notifier migrate` makes sure exists."
    )

    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that the API listens on.")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port at which worker and scheduler show figures; none without it."
    )
    log_format: Literal["json", "console"] = Field("json", description="How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")

    allow_private_destinations: Annotated[tuple[IPNetwork, ...], NoDecode] = Field(
        (), description="Private networks (CIDR, comma-separated) that webhooks may reach all the same."
    )
    webhook_timeout: float = Field(20.0, gt=0, le=60, description="Seconds for one whole webhook exchange.")
    channel_timeout: float = Field(30.0, gt=0, le=60, description="Seconds for one try of any other channel.")
    lease_seconds: float = Field(
        75.0, gt=0, le=600, description="Seconds after which a worker that holds a delivery counts as dead."
    )
    retry_schedule: Annotated[tuple[Annotated[float, Field(ge=0)], ...], NoDecode] = Field(
        (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
        description="Seconds between tries, comma-separated; +-20 % jitter is added.",
    )

    smtp_host: str | None = Field(
        None, description="Mail server; without it, mails are tried again until there is one or they fail."
    )
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_username: str | None = Field(None, description="Login at the mail server, if it wants one.")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_from: str = Field("notifier@localhost", description="Sender address of mails.")
    smtp_tls: Literal["none", "starttls", "tls"] = Field("starttls", description="How mail is protected.")

    worker_concurrency: int = Field(
        200,
        ge=1,
        le=2000,
        description="Deliveries that a worker sends at once to one receiving server; up to three times as "
        "many for one project whose receivers keep up, five times as many in all, the last quarter of them "
        "only to receivers that answer soon.",
    )
    sweep_batch: int = Field(1000, ge=1, le=10000, description="Due notifications planned per transaction.")
    hold_overdue_after: float | None = Field(
        None,
        ge=0,
        description="Seconds without a scheduler after which overdue slots are held for a decision, as after "
        "a restore; 0 for never. Where it is not set: 86400, and never in embedded mode.",
    )
    retention_days: int = Field(
        90,
        ge=0,
        le=36500,
        description="Days for which ended deliveries and their attempts are kept, and what was replaced or "
        "deleted; 0 for ever.",
    )
    database_pool_size: int = Field(10, ge=1, le=100, description="Database connections per process.")

    @field_validator("allow_private_destinations", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value

    @field_validator("retry_schedule", mode="before")
    @classmethod
    def _split_seconds(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(float(part) for part in value.split(",") if part.strip())
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if not value.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://")):
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: str) -> str:
        if not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value

    @model_validator(mode="after")
    def _refuse_placeholders(self) -> "Settings":
        for name in ("secret_key", "bootstrap_api_key"):
            secret: SecretStr | None = getattr(self, name)
            if secret and any(word in secret.get_secret_value().lower() for word in PLACEHOLDERS):
                raise ValueError(f"{PREFIX}{name.upper()} is still a placeholder; put a random value there")
        return self

    @property
    def hold_after(self) -> float | None:
        """Seconds of silence after which overdue slots are held, None for never."""
        default = None if self.environment == "embedded" else DAY_SECONDS
        return default if self.hold_overdue_after is None else self.hold_overdue_after or None

    @property
    def project_concurrency(self) -> int:
        """Deliveries of one project that a worker has claimed at once, if they wait for their receivers."""
        return self.worker_concurrency

    @property
    def project_head_start(self) -> int:
        """How many more it may claim while none of them waits: statements with many rows cost less."""
        return 2 * self.worker_concurrency

    @property
    def worker_places(self) -> int:
        """Deliveries that a worker has claimed at once in all."""
        return 5 * self.worker_concurrency

    @property
    def worker_jobs(self) -> int:
        """Deliveries that a worker has in hand at once, those that wait for a place included.

        Many: until a receiver is known to hang, what waits for it must not keep others out.
        """
        return 5 * self.worker_places

    @property
    def longest_send(self) -> float:
        """Seconds that one try may take, whatever the channel."""
        return max(self.webhook_timeout, self.channel_timeout)

    @property
    def longest_recording(self) -> float:
        """Seconds of trying to record an outcome: longer than a database takes to restart."""
        return 3 * self.lease_seconds

    @model_validator(mode="after")
    def _check_lease(self) -> "Settings":
        if self.lease_seconds <= self.longest_send:
            raise ValueError(f"{PREFIX}LEASE_SECONDS must be above both time-outs, {self.longest_send:g} s")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then `NOTIFIER_X`, then the file named by `NOTIFIER_X_FILE`."""
        return init_settings, env_settings, _FileVariables(settings_cls)


class _FileVariables(PydanticBaseSettingsSource):
    """Values from the files that `NOTIFIER_<NAME>_FILE` variables name."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        return (Path(path).read_text("utf-8").strip() if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        values = {
            name: self.get_field_value(f, name)[0] for name, f in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value is not None}
