"""Zones come from the wheel, under names that people can keep."""

from importlib.metadata import version

import pytest

from notifier.domain.schedule import zones


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/BERLIN", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("Etc/UTC", "UTC"),
        ("Zulu", "UTC"),
        ("US/Eastern", "America/New_York"),
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("America/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("GB", "Europe/London"),
        ("Japan", "Asia/Tokyo"),
        ("Iceland", "Atlantic/Reykjavik"),
        # Places of today keep their names, though the data says that they follow a neighbour.
        ("Europe/Oslo", "Europe/Oslo"),
        ("Europe/Amsterdam", "Europe/Amsterdam"),
        ("Atlantic/Reykjavik", "Atlantic/Reykjavik"),
    ],
)
def test_a_name_is_stored_in_its_current_form(name: str, canonical: str) -> None:
    assert zones.canonical(name) == canonical


def test_every_canonical_name_is_its_own_canonical_name_and_loads() -> None:
    for name in zones.names():
        assert zones.canonical(name) == name
        assert zones.load(name).key == name


def test_no_canonical_name_is_an_offset_or_an_abbreviation() -> None:
    assert [name for name in zones.names() if "/" not in name] == ["UTC"]
    assert not [name for name in zones.names() if name.startswith("Etc/")]


def test_the_version_is_that_of_the_wheel() -> None:
    year, number = version("tzdata").split(".")[:2]  # 2025.2 is 2025b
    assert zones.version() == f"{year}{chr(ord('a') + int(number) - 1)}"
