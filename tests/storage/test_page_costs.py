"""Page 1,000 of a list costs what page 1 costs, and reads no more rows than it shows."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import CursorResult, Executable
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement

from notifier.storage import deliveries, notifications
from notifier.storage.engine import Database, Session
from tests.storage.filled import filled_database

PROJECT = UUID(int=1)
PAGE, PAGES = 50, 1000
ROWS = PAGE * PAGES + 100
# ids that rise as those of new rows do; every third is paused
FILL = f"""
INSERT INTO projects (id, name, mode) VALUES ('{PROJECT}', 'p', 'live');
INSERT INTO destinations (project_id, id, kind, name, config, fingerprint, updated_at)
VALUES ('{PROJECT}', '{UUID(int=2)}', 'log', 'log', '{{}}', 'log:1', now());
INSERT INTO notifications
  (project_id, id, title, body, data, schedule, anchor_at, next_due_at, paused_at, external_id, updated_at)
SELECT '{PROJECT}', lpad(to_hex(n), 32, '0')::uuid, 't' || n, '', '{{}}', '{{"kind": "interval"}}', now(),
  now() + interval '1 day', CASE WHEN n % 3 = 0 THEN now() END, 'x' || n, now()
FROM generate_series(1, {ROWS}) n;
INSERT INTO notification_destinations (project_id, notification_id, destination_id, position)
SELECT project_id, id, '{UUID(int=2)}', 0 FROM notifications;
INSERT INTO notification_revisions
  (project_id, notification_id, revision, title, body, data, schedule, changed_by)
SELECT project_id, id, 1, title, body, data, schedule, 'test' FROM notifications;
INSERT INTO deliveries (project_id, id, notification_id, revision, destination_id, trigger, scheduled_for,
  message_id, status, finished_at)
SELECT project_id, id, id, 1, '{UUID(int=2)}', 'manual', now(), 'm', 'delivered', now() FROM notifications;
"""


class _Explain(Executable, ClauseElement):
    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(_Explain)
def _explain(element: _Explain, compiler: Any, **options: Any) -> str:
    return "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + str(compiler.process(element.statement, **options))


class Explaining(Session):
    """A session that keeps the plans of what it runs."""

    plans: list[dict[str, Any]]

    async def execute(
        self,
        statement: Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> CursorResult[Any]:
        explained = await super().execute(_Explain(statement), parameters)
        self.plans.append(explained.scalar_one()[0]["Plan"])
        return await super().execute(statement, parameters)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def most_rows(plan: dict[str, Any]) -> float:
    """Return the most rows that any step of the plan reads at once."""
    return max(
        one["Actual Rows"] + one.get("Rows Removed by Filter", 0) / max(1, one["Actual Loops"])
        for one in nodes(plan)
    )


def blocks(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.fixture(scope="module")
async def filled(postgres_url: str, template: str) -> AsyncIterator[Database]:
    """Yield a database with a thousand pages."""
    async with filled_database(postgres_url, template, FILL) as database:
        yield database


@pytest.mark.parametrize(
    ("listed", "filters"),
    [
        (notifications, {}),
        (notifications, {"status": "active"}),
        (notifications, {"status": "paused"}),
        (notifications, {"kind": "interval"}),
        (notifications, {"status": "active", "kind": "interval"}),
        (deliveries, {}),
        (deliveries, {"destination_id": UUID(int=2)}),
        (deliveries, {"status": "delivered"}),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else ",".join(value),
)
async def test_the_thousandth_page_costs_what_the_first_does(
    filled: Database, listed: Any, filters: dict[str, Any]
) -> None:
    costs = []
    for after in (None, UUID(int=ROWS // 3), UUID(int=PAGE * 2 * 3)):
        async with filled.transaction() as session:
            explaining = Explaining(session._connection)
            explaining.plans = []
            page = await listed.page(explaining, PROJECT, filters=filters, after=after, limit=PAGE)
        (plan,) = explaining.plans
        assert len(page.items) == PAGE
        # one in three is paused: that many are looked at for each that is shown
        assert most_rows(plan) <= 3 * (PAGE + 1)
        costs.append(blocks(plan))
    assert max(costs) <= 1.5 * min(costs)


async def test_one_notification_s_ledger_and_a_lookup_by_external_id_read_what_they_show(
    filled: Database,
) -> None:
    async with filled.transaction() as session:
        explaining = Explaining(session._connection)
        explaining.plans = []
        filters = {"notification_id": UUID(int=7)}
        found = await deliveries.page(explaining, PROJECT, filters=filters, after=None, limit=PAGE)
        row = await notifications.get_by_external_id(explaining, PROJECT, "x7")
    assert row is not None
    assert ([one.id for one in found.items], row.id) == ([UUID(int=7)], UUID(int=7))
    assert max(map(most_rows, explaining.plans)) <= 2
