"""A single slot: it comes once, and nothing is sent for the past."""

import pytest
from schedule_reference import utc

from notifier.domain import schedule


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"at": "2027-03-28T09:00:00+02:00"}, "2027-03-28T07:00Z"),
        ({"at": "2027-03-28T09:00", "timezone": "Europe/Berlin"}, "2027-03-28T07:00Z"),  # 9 - 2
        ({"at": "2027-03-28T02:30", "timezone": "Europe/Berlin"}, "2027-03-28T01:30Z"),  # gap: 2:30 - 1
        ({"at": "2027-10-31T02:30", "timezone": "Europe/Berlin"}, "2027-10-31T00:30Z"),  # 2:30 - 2
        (
            {"at": "2027-10-31T02:30", "timezone": "Europe/Berlin", "dst": {"overlap": "second"}},
            "2027-10-31T01:30Z",  # 2:30 - 1
        ),
        ({"at": "2027-03-28T02:30", "timezone": "Europe/Berlin", "dst": {"gap": "skip"}}, None),
        ({"at": "2026-11-22T11:56:00Z"}, "2026-11-22T11:56Z"),  # 4 minutes ago is just now
        ({"at": "2026-11-22T11:54:00Z"}, None),  # 6 minutes ago is the past
    ],
)
def test_the_slot_is_this_instant(more: dict[str, object], expected: str | None) -> None:
    s = schedule.parse({"kind": "once", **more})
    now = utc("2026-11-22T12:00Z")
    assert schedule.first_slot(s, now=now) == (expected and utc(expected))


def test_after_its_slot_nothing_follows() -> None:
    s = schedule.parse({"kind": "once", "at": "2027-03-28T07:00:00Z"})
    slot = utc("2027-03-28T07:00Z")
    assert schedule.next_slot(s, after=slot, anchor=slot) is None
    assert list(schedule.slots(s, after=utc("2027-01-01T00:00Z"), anchor=slot)) == [slot]
    found = schedule.missed(s, first_due=slot, now=utc("2028-01-01T00:00Z"), anchor=slot)
    assert (found.latest, found.older_count) == (slot, 0)


def test_it_is_shown_in_its_zone_if_it_has_one() -> None:
    s = schedule.parse({"kind": "once", "at": "2027-03-28T09:00", "timezone": "Europe/Berlin"})
    assert schedule.local(s, utc("2027-03-28T07:00Z")).hour == 9
    assert schedule.kind(s) == "once"
    assert not schedule.drifts(s)
