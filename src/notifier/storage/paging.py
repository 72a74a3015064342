"""Keyset pages: newest first, the same cost on every page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select

from notifier.storage.engine import Session


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, and the id after which the next one starts (None on the last)."""

    items: Sequence[Row[Any]]
    next_after: UUID | None


async def fetch_page(
    session: Session,
    statement: Select[Any],
    *,
    key: ColumnElement[UUID],
    after: UUID | None,
    limit: int,
    around: Callable[[Select[Any]], Select[Any]] = lambda page: page,
) -> Page:
    """Return up to `limit` rows in falling order of `key`, beginning below `after`.

    `around` adds to the limited page what only its rows need, and keeps their order.
    """
    if after is not None:
        statement = statement.where(key < after)
    # one row more than asked for tells whether another page follows
    rows = (await session.execute(around(statement.order_by(key.desc()).limit(limit + 1)))).all()
    items = rows[:limit]
    return Page(items, items[-1].id if len(rows) > limit else None)
