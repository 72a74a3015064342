"""The documents say what is true."""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from benchmarks.results import RESULTS

from notifier import rendering
from notifier.api.schemas.exception import ExceptionCreate
from notifier.api.schemas.project import OwnProjectUpdate
from notifier.domain import schedule
from notifier.domain.delivery import TERMINAL, Reason, Status
from notifier.domain.event import BAD_NEWS, EventType
from notifier.domain.schedule import zones
from notifier.services.schedules import Slot, preview
from notifier.settings import PREFIX, Settings
from tests.cli.test_up import Up, needs_curl

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        row = re.search(rf"^\| `{PREFIX}{name.upper()}` \|.*$", text, re.M)
        assert row, f"{name} is missing"
        assert str(field.description).split(";")[0].split(".")[0] in row[0]
        if isinstance(field.default, str | int | float):
            assert f"`{field.default}`" in row[0]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def rows_of_ledger(heading: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading of the page about the ledger, by their first cell."""
    text = (ROOT / "docs" / "ledger.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): cells[1:] for cells in (line.strip("| ").split(" |") for line in lines)}


def test_every_status_stands_in_the_page_about_the_ledger() -> None:
    rows = rows_of_ledger("Statuses")
    assert list(rows) == list(Status)
    assert {name for name, cells in rows.items() if cells[-1].strip() == "yes"} == TERMINAL


def test_every_reason_stands_in_the_page_about_the_ledger_with_a_status_that_there_is() -> None:
    rows = rows_of_ledger("Reasons")
    assert list(rows) == list(Reason)
    assert {name for cells in rows.values() for name in re.findall(r"`(\w+)`", cells[0])} <= set(Status)


def test_every_event_stands_in_the_page_about_webhooks_and_which_are_told_by_default() -> None:
    section = (ROOT / "docs" / "webhooks.md").read_text().partition("## Events\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+\.\w+)` \|.*\|(.*)\|$", section, re.M)
    assert [name for name, _ in rows] == list(EventType)
    assert tuple(name for name, default in rows if default.strip() == "yes") == BAD_NEWS
    (body,) = re.findall(r"-d '(.*)'$", section, re.M)
    OwnProjectUpdate.model_validate_json(body.replace("'\"$OPS\"'", str(UUID(int=1))))


def test_every_template_of_the_page_about_templates_renders() -> None:
    page = (ROOT / "docs" / "templates.md").read_text()
    blocks = re.findall(r"```liquid\n(.*?)```", page, re.S)
    inline = re.findall(r"`(\{\{.*?\}\})`", page)
    assert len(blocks + inline) == 4
    data = {"name": "Ada", "plant": {"name": "ficus"}, "plants": []}
    names = rendering.context(data, slot=datetime(2026, 11, 23, 8, tzinfo=UTC))
    assert [rendering.render(one, names) for one in blocks + inline] == [
        "Hi Ada, it is 2026-11-23.\n",
        "ficus",
        "you",
        "23.11.2026",
    ]


SAVED_AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SCHEDULES = (ROOT / "docs" / "schedules.md").read_text()
GIVEN = re.compile(r"```json\n(.*?)```", re.S)
START = re.compile(r"^From `([^`]+)`", re.M)
OBJECT = re.compile(r"`(\{.*\})`")


class Example(NamedTuple):
    """A table of the page: its cells without the headings, and the schedule and the instant it is about."""

    heading: str
    rows: list[list[str]]
    given: Any
    start: datetime


def examples(heading: str) -> list[Example]:
    """Return the tables with a heading that starts so; each is about the JSON that stands above it."""
    return [one for one in _examples() if one.heading.startswith(heading)]


def _examples() -> Iterator[Example]:
    end = 0
    for table in re.finditer(r"(?:^\|.*\n)+", SCHEDULES, re.M):
        lines = [[cell.strip() for cell in line[1:-1].split(" |")] for line in table[0].splitlines()]
        given = GIVEN.findall(SCHEDULES[: table.start()])
        start = START.findall(SCHEDULES[end : table.start()])
        end = table.end()
        yield Example(
            " | ".join(lines[0]),
            lines[2:],
            json.loads(given[-1]) if given else None,
            datetime.fromisoformat(start[-1]) if start else SAVED_AT,
        )


def slots(value: Any, start: datetime, count: int) -> list[Slot]:
    return list(preview(value, start=start, count=count).slots)


def test_every_schedule_of_the_page_is_accepted() -> None:
    given = [json.loads(block) for block in GIVEN.findall(SCHEDULES)]
    assert {schedule.kind(schedule.parse(one)) for one in given} == {
        "interval",
        "calendar",
        "cron",
        "rrule",
        "once",
    }


def test_every_table_of_slots_is_what_the_code_computes() -> None:
    tables = examples("local time | UTC")
    assert len(tables) >= 8
    for one in tables:
        shown = [(local, at, set(re.findall(r"\w+", "".join(notes)))) for local, at, *notes in one.rows]
        assert shown == [
            (
                f"{slot.local:%a %Y-%m-%d %H:%M} {slot.local.isoformat()[-6:]}",
                f"{slot.at:%Y-%m-%dT%H:%MZ}",
                {note.code for note in slot.notes},
            )
            for slot in slots(one.given, one.start, len(one.rows))
        ]


def test_every_variant_of_a_schedule_is_due_as_it_says() -> None:
    (table,) = examples("with | due")
    for variant, due in table.rows:
        changed = {**table.given, **json.loads(OBJECT.findall(variant)[0])}
        found = slots(changed, table.start, due.count(",") + 1)
        assert due == ", ".join(f"{slot.local:%a %Y-%m-%d %H:%M}" for slot in found)


def test_the_table_of_clock_changes_is_what_the_code_computes() -> None:
    (table,) = examples("zone | local time")
    for zone, local, first, second in table.rows:
        wall = {"kind": "once", "at": local[:16].replace(" ", "T"), "timezone": zone}
        both = [slots({**wall, "dst": {"overlap": by}}, SAVED_AT, 1)[0].at for by in ("first", "second")]
        assert [f"{at:%Y-%m-%dT%H:%MZ}" for at in both] == [first, second or first]
        assert ("twice" in local) == bool(second)


def test_the_table_of_missed_slots_is_what_the_code_decides() -> None:
    (table,) = examples("`missed`")
    back = datetime(2026, 11, 25, 12, tzinfo=UTC)
    for policy, *fates in table.rows:
        rule = schedule.parse({**table.given, "missed": json.loads(OBJECT.findall(policy)[0])})
        first = datetime(2026, 11, 23, 9, tzinfo=UTC)
        found = schedule.missed(rule, first_due=first, now=back, anchor=first)
        judged = schedule.judge(rule, found, now=back)
        said = dict.fromkeys(judged.send, "sent") | {
            one.slot: f"missed, `{one.reason}`" for one in judged.unsent
        }
        assert [said[slot] for slot in sorted(said)] == fates


def test_every_exception_of_the_page_is_a_body_that_the_api_takes() -> None:
    (table,) = examples("body | what happens")
    bodies = [ExceptionCreate.model_validate_json(OBJECT.findall(body)[0]) for body, _ in table.rows]
    assert [one.action for one in bodies] == ["skip", "move", "reword"]


def test_the_page_s_figures_are_those_that_were_kept() -> None:
    (table,) = examples("rule | begun")
    kept = json.loads(RESULTS.read_text())["schedules"]
    medians = [f"{row['median_us']:.1f}" for row in kept["figures"] if row["by"] == "notifier"]
    assert [row[2].split("**")[1] for row in table.rows] == medians
    assert kept["measured_at"][:10] in SCHEDULES


def test_the_zones_of_the_page_are_the_data_s() -> None:
    named = set(re.findall(r"\b(?:Africa|America|Australia|Europe|Pacific)/\w+", SCHEDULES))
    assert named <= set(zones.names())


@needs_curl
@pytest.mark.timeout(300)  # a year of deliveries, on a machine that runs the whole suite beside it
@pytest.mark.long
def test_the_page_s_rehearsal_of_a_year_and_of_an_outage_works_as_it_stands_there(tmp_path: Path) -> None:
    up = Up(tmp_path / "data").await_ready()
    script = "\n".join(re.findall(r"```sh\n(.*?)```", SCHEDULES, re.S))
    script = script.replace("http://127.0.0.1:8000", up.url).replace(".notifier", str(up.data_dir))
    script = script.replace("curl -sS", "curl -sS --fail-with-body -w '\\n'")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, check=False
    )
    up.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    _, year, outage, after, missed = map(json.loads, done.stdout.splitlines())
    assert [len(one["messages"]) for one in (year, outage, after)] == [366, 0, 2]
    assert [one["reason"] for one in missed["items"]] == ["coalesced", "coalesced"]
