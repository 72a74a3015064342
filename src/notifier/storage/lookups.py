"""Rows found by a key: what many requests ask for at the same moment is read by one statement."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, Table, TableValuedAlias, bindparam, column, func
from sqlalchemy.dialects.postgresql import ARRAY

from notifier.storage.engine import Session

Key = tuple[Any, ...]


class Lookup:
    """Reads the rows of keys, values for these columns of a table; the first row of a key counts."""

    def __init__(self, table: Table, names: Sequence[str], statement: Select[Any]) -> None:
        self._names = names
        asked = _asked(table, names)
        # Always so, but the planner then thinks of few keys, whatever they are; else one plan for all would
        # look worse to it than one for each call, and it would plan for longer than it reads.
        few = asked.c.place.between(1, 1_000_000)
        same = (table.c[name] == asked.c[name] for name in names)
        self._statement = statement.add_columns(asked.c.place).where(few, *same)

    async def __call__(self, session: Session, *key: Any) -> Row[Any] | None:
        """Return the row of a key, if there is one."""
        return (await self.many(session, [key]))[0]

    async def many(self, session: Session, keys: Sequence[Key]) -> Sequence[Row[Any] | None]:
        """Return the row of each key."""
        return await session.together(self._rows, keys) if keys else []

    async def _rows(self, session: Session, asked: Sequence[Key]) -> list[Row[Any] | None]:
        """Return the row of each key, None where there is none."""
        lists = dict(zip(self._names, map(list, zip(*asked, strict=True)), strict=True))
        found: dict[int, Row[Any]] = {}
        for row in await session.execute(self._statement, lists):
            found.setdefault(row.place, row)
        return [found.get(place) for place, _ in enumerate(asked, start=1)]


def _asked(table: Table, names: Sequence[str]) -> TableValuedAlias:
    """Return the keys that are asked for as a table: these columns, and the `place` of each."""
    lists = (bindparam(name, type_=ARRAY(table.c[name].type)) for name in names)
    columns = (column(name, table.c[name].type) for name in names)
    asked = func.unnest(*lists).table_valued(*columns, with_ordinality="place", name="asked")
    return asked.render_derived()
