"""Time zones, read from the tzdata wheel, so that their version is known whatever the host has."""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo

from notifier.domain.errors import InvalidInput

_DATA = files("tzdata") / "zoneinfo"

_OFFSET = re.compile(r"(?:(?:etc/)?(?:utc|gmt))?[+-]?[0-9][0-9:.]*|(?:etc/)?(?:utc|gmt)[+-].*", re.IGNORECASE)

# Names of tzdata that are no place: people who write them mean different things by them.
_ABBREVIATIONS = frozenset(
    (
        *("cet", "cst6cdt", "eet", "est", "est5edt", "gmt", "hst", "met", "mst", "mst7mdt", "pst8pdt", "wet"),
        *("etc/gmt", "etc/greenwich", "greenwich"),
    )
)

# Renamed places whose link line names another country, which would surprise the user.
_RENAMED = {
    "Africa/Asmera": "Africa/Asmara",
    "Africa/Timbuktu": "Africa/Bamako",
    "America/Virgin": "America/St_Thomas",
    "Atlantic/Jan_Mayen": "Arctic/Longyearbyen",
    "Iceland": "Atlantic/Reykjavik",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
    "Pacific/Yap": "Pacific/Chuuk",
    "Etc/UTC": "UTC",
}


class _Index(NamedTuple):
    version: str
    canonical: dict[str, str]
    """From every name, in lower case, to the name that we store."""


def version() -> str:
    """Return the version of the zone data in use, such as `2025b`."""
    return _index().version


@cache
def load(name: str) -> ZoneInfo:
    """Return the zone of a canonical name."""
    with _DATA.joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def canonical(name: str) -> str:
    """Return the current name of an IANA zone, whatever its case; raises InvalidInput at the pointer ""."""
    key = name.lower()
    if _OFFSET.fullmatch(name):
        raise _not_a_place("timezone_offset", f"{name!r:.80} is an offset, which knows no daylight saving.")
    if key in _ABBREVIATIONS or (len(name) <= 5 and name.isupper() and key not in _index().canonical):
        raise _not_a_place("timezone_abbreviation", f"{name!r:.80} is an abbreviation, not a place.")
    if key not in _index().canonical:
        raise _not_a_place("unknown_timezone", f"{name!r:.80} is not a time zone.")
    return _index().canonical[key]


def names() -> list[str]:
    """Return every canonical name, sorted."""
    return sorted(set(_index().canonical.values()))


def _not_a_place(code: str, what: str) -> InvalidInput:
    return InvalidInput.at("", code, f"{what} Use an IANA name such as Europe/Berlin, or UTC.")


@cache
def _index() -> _Index:
    lines = (_DATA / "tzdata.zi").read_text("utf-8").splitlines()
    zones = {line.split()[1] for line in lines if line.startswith("Z ")}
    links = {line.split()[2]: line.split()[1] for line in lines if line.startswith("L ")}
    current = zones | _places()
    known = {n for n in zones | links.keys() if not _is_no_place(n)} | _UTC
    return _Index(lines[0].split()[-1], {n.lower(): _current(n, links, current) for n in known})


_UTC = {"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu"}


def _is_no_place(name: str) -> bool:
    return name.startswith(("Etc/", "GMT")) or name.lower() in _ABBREVIATIONS or name == "Factory"


def _places() -> set[str]:
    """Names that a country uses now: they stay, even where the data links them to a neighbour's rules."""
    lines = (_DATA / "zone.tab").read_text("utf-8").splitlines()
    return {line.split("\t")[2] for line in lines if not line.startswith("#")}


def _current(name: str, links: dict[str, str], current: set[str]) -> str:
    name = _RENAMED.get(name, name)
    while name != "UTC" and name not in current:
        name = _RENAMED.get(links[name], links[name])
    return _RENAMED.get(name, name)
