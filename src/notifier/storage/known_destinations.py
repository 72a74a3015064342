"""Destinations as the worker sends to them, remembered for as long as their rows stay as they are."""

from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text

from notifier.storage.arrays import unnest
from notifier.storage.engine import Session

MOST = 10_000
"""Destinations that are remembered."""

COLUMNS: dict[str, Any] = {"project_ids": Uuid, "ids": Uuid, "versions": Text}


class Destination(NamedTuple):
    """What sending to a destination needs. `secrets` and `sealed_config` are encrypted."""

    kind: str
    name: str
    config: Mapping[str, Any]
    sealed_config: bytes | None
    secrets: list[bytes]
    retry_schedule: list[float] | None
    on_unknown: str


Key = tuple[UUID, UUID, str]
"""Project id, id, and the row's version, which PostgreSQL makes new whenever anybody changes the row."""

FIND = text(f"""
SELECT w.project_id, w.id, w.version, {", ".join(f"t.{name}" for name in Destination._fields)}
FROM {unnest(COLUMNS)} AS w (project_id, id, version)
JOIN destinations AS t ON t.project_id = w.project_id AND t.id = w.id
""").bindparams(*(bindparam(name, type_=ARRAY(of)) for name, of in COLUMNS.items()))


class KnownDestinations:
    """Reads each version of a destination once."""

    def __init__(self) -> None:
        """Know none."""
        self._known: dict[Key, Destination] = {}

    async def find(self, session: Session, wanted: Set[Key]) -> Mapping[Key, Destination]:
        """Return those that exist; what was changed a moment ago may be newer than asked for."""
        found = {key: self._known[key] for key in wanted if key in self._known}
        if unknown := wanted - found.keys():
            read = await self._read(session, unknown)
            if len(self._known) + len(read) > MOST:
                self._known.clear()
            self._known |= read
            found |= read
        return found

    async def _read(self, session: Session, unknown: Set[Key]) -> dict[Key, Destination]:
        columns = dict(zip(COLUMNS, zip(*unknown, strict=True), strict=True))
        rows: Iterable[Any] = await session.execute(FIND, columns)
        return {(row[0], row[1], row[2]): Destination._make(row[3:]) for row in rows}
