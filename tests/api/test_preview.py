"""`/v1/schedules/preview`: what a schedule would do, told before it is saved."""

import httpx
import pytest

from tests.api.conftest import Rehearse

AT = "/v1/schedules/preview"
NIGHTLY = {"kind": "calendar", "frequency": "daily", "times": ["02:30"], "timezone": "Europe/Berlin"}
WINTER = "2027-01-01T00:00:00Z"


async def preview(client: httpx.AsyncClient, schedule: object, **options: object) -> dict:
    answer = await client.post(AT, json={"schedule": schedule, "from": WINTER, **options})
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    assert found.keys() == {"slots", "transitions", "warnings"}
    return found


async def test_a_gap_and_an_overlap_are_told_at_their_slots(reader: httpx.AsyncClient) -> None:
    spring = await preview(reader, NIGHTLY, **{"from": "2027-03-27T12:00:00Z", "count": 1})
    (slot,) = spring["slots"]
    assert (slot["at"], slot["local"]) == ("2027-03-28T01:30:00Z", "2027-03-28T03:30:00+02:00")
    assert [note["code"] for note in slot["notes"]] == ["shifted"]
    both = {**NIGHTLY, "dst": {"overlap": "both"}}
    autumn = await preview(reader, both, **{"from": "2027-10-30T12:00:00Z", "count": 2})
    assert [(one["at"], one["local"], one["notes"][0]["code"]) for one in autumn["slots"]] == [
        ("2027-10-31T00:30:00Z", "2027-10-31T02:30:00+02:00", "first_of_two"),
        ("2027-10-31T01:30:00Z", "2027-10-31T02:30:00+01:00", "second_of_two"),
    ]


async def test_the_changes_of_the_clocks_of_two_years_are_told(reader: httpx.AsyncClient) -> None:
    found = (await preview(reader, NIGHTLY))["transitions"]
    assert [(one["at"], one["kind"]) for one in found] == [
        ("2027-03-28T01:00:00Z", "gap"),
        ("2027-10-31T01:00:00Z", "overlap"),
        ("2028-03-26T01:00:00Z", "gap"),
        ("2028-10-29T01:00:00Z", "overlap"),
    ]
    assert (found[0]["offset_before"], found[0]["offset_after"]) == ("+01:00", "+02:00")
    assert found[0]["affected"] == [
        {"wall": "2027-03-28T02:30:00", "effect": "shifted", "slots": ["2027-03-28T01:30:00Z"]}
    ]
    assert [one["affected"][0]["effect"] for one in found] == ["shifted", "first"] * 2
    assert (await preview(reader, {**NIGHTLY, "times": ["09:00"]}))["transitions"] == []


async def test_an_offset_west_of_greenwich_is_written_with_its_sign(reader: httpx.AsyncClient) -> None:
    found = (await preview(reader, {**NIGHTLY, "timezone": "America/St_Johns"}))["transitions"]
    assert (found[0]["offset_before"], found[0]["offset_after"]) == ("-03:30", "-02:30")


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        ({**NIGHTLY, "end_at": "2026-01-01T00:00:00Z"}, "never_fires"),
        ({"kind": "once", "at": "2026-01-01T00:00:00Z"}, "never_fires"),
        ({"kind": "cron", "expression": "* * * * *", "timezone": "UTC"}, "every_minute"),
        ({"kind": "interval", "every": "PT1M"}, "every_minute"),
        ({**NIGHTLY, "timezone": "Europe/Kiev"}, "zone_alias"),
        ({**NIGHTLY, "dst": {"overlap": "both"}}, "same_day_double"),
        ({"kind": "cron", "expression": "0 * * * *", "timezone": "Europe/Berlin"}, "silent_hour"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_may_not_be_meant_is_warned_of(
    reader: httpx.AsyncClient, schedule: dict, code: str
) -> None:
    assert code in {one["code"] for one in (await preview(reader, schedule))["warnings"]}


@pytest.mark.parametrize("schedule", ["daily", "weekly", NIGHTLY])
async def test_an_innocent_schedule_has_no_warning(reader: httpx.AsyncClient, schedule: object) -> None:
    assert (await preview(reader, schedule))["warnings"] == []


async def test_left_out_dates_are_shown_with_their_reason(reader: httpx.AsyncClient) -> None:
    rule = {**NIGHTLY, "exclude_dates": ["2027-01-02"], "holidays": "DE"}
    slots = (await preview(reader, rule, count=3))["slots"]
    assert [[note["code"] for note in one["notes"]] for one in slots] == [["holiday"], ["excluded"], []]
    assert slots[0]["at"] == "2027-01-01T01:30:00Z"


async def test_it_counts_from_now_and_ten_slots_unless_told_otherwise(client: httpx.AsyncClient) -> None:
    shown = (await client.post(AT, json={"schedule": NIGHTLY})).json()
    saved = (await client.post("/v1/notifications", json={"title": "x", "schedule": NIGHTLY})).json()
    assert len(shown["slots"]) == 10
    assert shown["slots"][0]["at"] == saved["next_due_at"]
    assert shown["transitions"] == saved["transitions"]
    assert shown["warnings"] == saved["warnings"]


async def test_from_is_when_it_would_be_saved(reader: httpx.AsyncClient) -> None:
    at = [one["at"] for one in (await preview(reader, "daily", count=2))["slots"]]
    assert at == ["2027-01-02T00:00:00Z", "2027-01-03T00:00:00Z"]
    offset = await preview(reader, "daily", **{"from": "2027-01-01T05:00:00+05:00", "count": 2})
    assert [one["at"] for one in offset["slots"]] == at


@pytest.mark.parametrize("count", [1, 1000])
async def test_as_many_are_shown_as_are_asked_for(reader: httpx.AsyncClient, count: int) -> None:
    assert len((await preview(reader, NIGHTLY, count=count))["slots"]) == count


async def test_a_bounded_schedule_shows_all_it_has(reader: httpx.AsyncClient) -> None:
    assert len((await preview(reader, {**NIGHTLY, "max_occurrences": 3}))["slots"]) == 3
    once = await preview(reader, {"kind": "once", "at": "2027-06-01T00:00:00Z"})
    assert [one["at"] for one in once["slots"]] == ["2027-06-01T00:00:00Z"]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/schedule", "missing"),
        ({"schedule": None}, "/schedule", "wrong_type"),
        ({"schedule": "hourly"}, "/schedule", "invalid_choice"),
        ({"schedule": {**NIGHTLY, "timezone": "Mars/Base"}}, "/schedule/timezone", "unknown_timezone"),
        ({"schedule": {**NIGHTLY, "dst": {"gap": "jump"}}}, "/schedule/dst/gap", "invalid_choice"),
        ({"schedule": "daily", "count": 0}, "/count", "greater_than_equal"),
        ({"schedule": "daily", "count": 1001}, "/count", "less_than_equal"),
        ({"schedule": "daily", "count": "10"}, "/count", "int_type"),
        ({"schedule": "daily", "from": "tomorrow"}, "/from", "invalid_instant"),
        ({"schedule": "daily", "from": "2027-01-01T00:00:00"}, "/from", "invalid_instant"),
        ({"schedule": "daily", "start": WINTER}, "/start", "extra_forbidden"),
    ],
)
async def test_a_wrong_preview_is_refused_by_its_place(
    reader: httpx.AsyncClient, body: dict, pointer: str, code: str
) -> None:
    answer = await reader.post(AT, json=body)
    assert answer.status_code == 422
    assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6 *"])
async def test_a_cron_expression_that_never_fires_is_refused(
    reader: httpx.AsyncClient, expression: str
) -> None:
    rule = {"kind": "cron", "expression": expression, "timezone": "UTC"}
    answer = await reader.post(AT, json={"schedule": rule})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/schedule")


async def test_in_a_test_project_now_is_what_its_clock_says(rehearse: Rehearse) -> None:
    house = await rehearse(WINTER)
    shown = await house.post(AT, {"schedule": "daily", "count": 1})
    assert shown["slots"][0]["at"] == "2027-01-02T00:00:00Z"
