"""`to`: ids and addresses become stored destinations, found or made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from notifier.domain.errors import FieldProblem, InvalidInput
from notifier.services import destinations as service
from notifier.services.context import Context
from notifier.storage import destinations


@dataclass(frozen=True, slots=True)
class Target:
    """What an address stands for."""

    kind: str
    config: Mapping[str, Any]
    fingerprint: str


async def resolve(ctx: Context, to: Sequence[str]) -> tuple[list[UUID], dict[UUID, str]]:
    """Return the destinations that `to` names, each once, and the secrets of those made for it.

    An item is a destination's id or an address; an address finds the stored destination or makes it.
    Raises InvalidInput with a pointer to each wrong item.
    """
    items = await _read(ctx, to)
    prints = {item.fingerprint for item in items if isinstance(item, Target)}
    await destinations.lock_fingerprints(ctx.session, ctx.project_id, prints)
    secrets: dict[UUID, str] = {}
    ids = [item if isinstance(item, UUID) else await _find_or_make(ctx, item, secrets) for item in items]
    return list(dict.fromkeys(ids)), secrets


async def _read(ctx: Context, to: Sequence[str]) -> list[UUID | Target]:
    items: list[UUID | Target] = []
    problems: list[FieldProblem] = []
    for position, text in enumerate(to):
        try:
            items.append(await _read_one(ctx, text))
        except InvalidInput as error:
            problems += error.under(f"/to/{position}").problems
    if problems:
        raise InvalidInput(problems)
    return items


async def _read_one(ctx: Context, text: str) -> UUID | Target:
    try:
        wanted = UUID(text)
    except ValueError:
        kind, config = ctx.channels.parse_address(text)
        return Target(kind, config, ctx.channels.fingerprint(kind, config))
    if not await destinations.existing(ctx.session, ctx.project_id, [wanted]):
        raise InvalidInput.at("", "unknown_destination", f"No destination has the id {text!r}.")
    return wanted


async def _find_or_make(ctx: Context, target: Target, secrets: dict[UUID, str]) -> UUID:
    """Return the destination's id; if it is made now and signs, its secret is added to `secrets`."""
    found = await destinations.find_by_fingerprint(ctx.session, ctx.project_id, target.fingerprint)
    if found is not None:
        return found
    row, secret = await service.add(ctx, target.kind, target.config, name=None, secret=None)
    if secret is not None:
        secrets[row.id] = secret
    made: UUID = row.id
    return made
