"""`to`: ids and addresses become stored destinations, found or made; those of many notifications at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from notifier.domain.errors import FieldProblem, InvalidInput
from notifier.domain.schedule import Note
from notifier.services import destinations as service
from notifier.services.context import Context
from notifier.storage import recipients


@dataclass(frozen=True, slots=True)
class Target:
    """What an address stands for."""

    kind: str
    config: Mapping[str, Any]
    fingerprint: str


Item = UUID | Target | InvalidInput
"""What one text of `to` turned out to be; its error is raised once all of them are known."""


def read(ctx: Context, to: Sequence[str]) -> list[Item]:
    """Return what the texts of `to` stand for; asks no database."""
    return [_read_one(ctx, text) for text in to]


def _read_one(ctx: Context, text: str) -> Item:
    try:
        return UUID(text)
    except ValueError:
        pass
    try:
        kind, config = ctx.channels.parse_address(text)
    except InvalidInput as error:
        return error
    return Target(kind, config, ctx.channels.fingerprint(kind, config))


@dataclass(slots=True)
class Directory:
    """The stored destinations that some recipients name; `secrets` are those of destinations just made."""

    by_id: dict[UUID, Row[Any]] = field(default_factory=dict)
    by_fingerprint: dict[str, Row[Any]] = field(default_factory=dict)
    secrets: dict[UUID, str] = field(default_factory=dict)

    def add(self, rows: Iterable[Row[Any]]) -> None:
        """Take up destinations; of those with the same content the first one counts."""
        for row in rows:
            self.by_id[row.id] = row
            self.by_fingerprint.setdefault(row.fingerprint, row)

    def check(self, items: Sequence[Item]) -> None:
        """Raise InvalidInput with a pointer to each item that names nothing."""
        problems = [one for place, item in enumerate(items) for one in self._problems(place, item)]
        if problems:
            raise InvalidInput(problems)

    def _problems(self, place: int, item: Item) -> list[FieldProblem]:
        if isinstance(item, UUID) and item not in self.by_id:
            detail = f"No destination has the id '{item}'."
            item = InvalidInput.at("", "unknown_destination", detail)
        return item.under(f"/to/{place}").problems if isinstance(item, InvalidInput) else []

    def knows(self, items: Sequence[Item]) -> bool:
        """Say whether all items name destinations that are there."""
        wrong = any(self._problems(place, item) for place, item in enumerate(items))
        return not wrong and not self.missing(items)

    def missing(self, items: Iterable[Item]) -> dict[str, Target]:
        """Return the addresses, by fingerprint, for which there is no destination yet."""
        targets = (item for item in items if isinstance(item, Target))
        return {one.fingerprint: one for one in targets if one.fingerprint not in self.by_fingerprint}

    def named(self, items: Iterable[Item]) -> list[Row[Any]]:
        """Return the destinations that checked items name, each once, in their order."""
        return list({row.id: row for row in self._rows(items)}.values())

    def _rows(self, items: Iterable[Item]) -> Iterator[Row[Any]]:
        for item in items:
            if isinstance(item, UUID):
                yield self.by_id[item]
            elif isinstance(item, Target):
                yield self.by_fingerprint[item.fingerprint]


def warnings(ctx: Context, rows: Iterable[Row[Any]]) -> list[Note]:
    """Return a note for each kind of destination to which the service, as it is set up, cannot send."""
    lacks = [ctx.channels.lack(kind) for kind in dict.fromkeys(row.kind for row in rows)]
    return [Note("not_configured", lack) for lack in lacks if lack]


async def resolve(ctx: Context, items: Sequence[Item]) -> Directory:
    """Return the destinations that `items` name; an address finds the stored one or makes it.

    Raises InvalidInput with a pointer to each wrong item. Asked before a notification is locked, always: so
    no two callers wait for each other.
    """
    directory = await look_up(ctx, items)
    directory.check(items)
    await make_missing(ctx, directory, items)
    return directory


async def look_up(ctx: Context, items: Iterable[Item]) -> Directory:
    """Return what is stored of the destinations that `items` name, locked until the commit."""
    directory = Directory()
    ids, fingerprints = _named(items)
    if ids or fingerprints:
        found = await recipients.find(ctx.session, ctx.project_id, ids=ids, fingerprints=fingerprints)
        directory.add(found)
    return directory


async def peek(ctx: Context, items: Iterable[Item]) -> Directory:
    """Return what is stored just now of the destinations that `items` name; none of them is locked."""
    directory = Directory()
    ids, fingerprints = _named(items)
    directory.add(await recipients.peek(ctx.session, ctx.project_id, ids=ids, fingerprints=fingerprints))
    return directory


def _named(items: Iterable[Item]) -> tuple[set[UUID], set[str]]:
    """Return the ids and the fingerprints among `items`."""
    every = list(items)
    ids = {item for item in every if isinstance(item, UUID)}
    return ids, {item.fingerprint for item in every if isinstance(item, Target)}


async def make_missing(ctx: Context, directory: Directory, items: Iterable[Item]) -> None:
    """Store a destination for each address that has none, unless somebody else just did."""
    if not (missing := directory.missing(items)):
        return
    await recipients.lock(ctx.session, ctx.project_id, missing.keys())
    directory.add(await recipients.find(ctx.session, ctx.project_id, fingerprints=missing.keys()))
    drafts = [
        service.draft(ctx, one.kind, one.config, name=None, secret=None)
        for one in directory.missing(missing.values()).values()
    ]
    if drafts:
        directory.add(await recipients.add(ctx.session, [values for values, _ in drafts]))
        directory.secrets |= {values["id"]: secret for values, secret in drafts if secret is not None}
