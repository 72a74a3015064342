"""Public holidays of countries and their parts, from the `holidays` library."""

from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from notifier.domain.schedule.parsing import refused, typed

if TYPE_CHECKING:
    from holidays import HolidayBase


def region(value: object) -> str:
    """Read `DE` or `DE/BY`, an ISO 3166 country and a part of it, whatever the case."""
    text = typed(value, str)
    country, slash, part = text.upper().partition("/")
    parts = _regions().get(country) if text.isascii() else None
    if parts is None:
        raise refused("unknown_country", "Use a country's two letters, or a part of it, as in DE or DE/BY.")
    if not slash:
        return country
    known = {name.upper(): name for name in parts}
    if part not in known:
        raise refused("unknown_subdivision", f"{country} has these parts: {', '.join(parts) or 'none'}.")
    return f"{country}/{known[part]}"


def name(region: str, day: date) -> str | None:
    """Return the name of the public holiday that this region has on a date, or None."""
    return _calendar(region).get(day)


# The library is slow to import and few schedules need it, so that waits for the first one.


@lru_cache(maxsize=1)
def _regions() -> dict[str, list[str]]:
    from holidays import list_supported_countries

    return list_supported_countries(include_aliases=False)


@lru_cache(maxsize=512)
def _calendar(region: str) -> "HolidayBase":
    from holidays import country_holidays

    country, _, part = region.partition("/")
    return country_holidays(country, subdiv=part or None)
