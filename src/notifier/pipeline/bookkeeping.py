"""Claims and outcomes of many deliveries, a statement for all of them.

The promises stay per delivery: each has its own lease and fence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from notifier.clock import monotonic, new_id
from notifier.domain.delivery import Reason, Status
from notifier.gathering import AT_ONCE
from notifier.storage import claims, outcomes
from notifier.storage.claims import Claim
from notifier.storage.engine import Database
from notifier.storage.failures import is_away
from notifier.storage.known_destinations import KnownDestinations
from notifier.storage.outcomes import Finished

log = structlog.get_logger(__name__)

T = TypeVar("T")

Wanted = Sequence[tuple[UUID, UUID]]

PAUSES = (0.5, 1.0, 2.0)
"""Seconds between tries to claim, and to give back."""


class Bookkeeping:
    """Claims deliveries for `lease` seconds, and records how they ended."""

    def __init__(self, database: Database, *, lease: float) -> None:
        self._database = database
        self._lease = lease
        self._known = KnownDestinations()

    async def get_ready(self) -> None:
        """Open connections and have the statements planned, so that the first deliveries need not wait."""
        await asyncio.gather(*(self._rehearse() for _ in range(2 * AT_ONCE)))

    async def _rehearse(self) -> None:
        async with self._database.statement() as session:
            await claims.claim(session, [], new_id(), self._lease, self._known)
            await outcomes.finish(session, [])

    async def claim(self, wanted: Wanted, *, alone: bool = False) -> tuple[float, list[Claim | None]]:
        """Take deliveries, given by (project id, id); return when that was begun, and each claim.

        The time is in monotonic seconds. None for those that are not due, expired, taken, or have ended, and
        for suspects unless they are taken `alone`.
        """
        token = new_id()
        return await _insist(lambda: self._claim(wanted, token, alone), "claim", deliveries=len(wanted))

    async def _claim(self, wanted: Wanted, token: UUID, alone: bool) -> list[Claim | None]:
        async with self._database.statement() as session:
            return await claims.claim(session, wanted, token, self._lease, self._known, alone=alone)

    async def suspects(self, unclaimed: Wanted) -> list[bool]:
        """Tell which of those that could not be claimed are suspects: several workers died with them."""
        async with self._database.statement() as session:
            return await claims.suspects(session, unclaimed)

    async def give_back(self, claim: Claim, wait: float = 0) -> None:
        """Undo a claim from which nothing was sent; the delivery is due again in `wait` seconds.

        Left alone, it would count as a try of which nobody knows how it ended.
        """
        await _insist(lambda: self._give_back(claim, wait), "give_back", delivery_id=str(claim.id))

    async def _give_back(self, claim: Claim, wait: float) -> None:
        async with self._database.statement() as session:
            await claims.give_back(session, claim.project_id, claim.id, claim.lease_token, wait)

    async def record(self, finished: Sequence[Finished]) -> list[bool | Exception]:
        """Write outcomes behind the fences of their leases; a receiver that is gone is blocked.

        Returns for each whether it was written, as a success is that came too late but was still wanted, or
        why it cannot be. Raises what the database says if it is away.
        """
        written = await self._finish(finished)
        # by itself: what waits for a destination can be much, and is not these outcomes' concern
        for one, recorded in zip(finished, written, strict=True):
            if recorded is True and one.verdict.reason is Reason.DESTINATION_GONE:
                await self._block(one)
        return await self._absorb(finished, written)

    async def _finish(self, finished: Sequence[Finished]) -> list[bool | Exception]:
        """Return which outcomes were written, and why others cannot be: one must not cost the rest."""
        try:
            async with self._database.statement() as session:
                return [*await outcomes.finish(session, finished)]
        except DBAPIError as error:
            if is_away(error):
                raise
            if len(finished) == 1:
                return [error]
        half = len(finished) // 2
        return [*await self._finish(finished[:half]), *await self._finish(finished[half:])]

    async def _block(self, gone: Finished) -> None:
        """Block a destination. If that cannot be done now, the next delivery to it says so again."""
        ids = {"project_id": str(gone.project_id), "destination_id": str(gone.destination_id)}
        try:
            async with self._database.transaction() as session:
                blocked = await claims.block_destination(
                    session, gone.project_id, gone.destination_id, "gone"
                )
        except Exception as error:
            log.warning("destination.not_blocked", error=repr(error), **ids)
            return
        if blocked:
            log.error("destination.blocked", reason="gone", error=gone.outcome.error, **ids)

    async def _absorb(
        self, finished: Sequence[Finished], written: list[bool | Exception]
    ) -> list[bool | Exception]:
        """Take the successes of those that lost their lease, too, if they are still wanted."""
        fenced = [place for place, recorded in enumerate(written) if recorded is False]
        late = [place for place in fenced if finished[place].verdict.status is Status.DELIVERED]
        if late:
            async with self._database.statement() as session:
                absorbed = await outcomes.absorb(session, [finished[place] for place in late])
            for place, recorded in zip(late, absorbed, strict=True):
                written[place] = recorded
        return written


async def _insist(work: Callable[[], Awaitable[T]], name: str, **about: Any) -> tuple[float, T]:
    """Return when `work` was begun (monotonic seconds), and what it returned.

    A database that is away for a moment is asked again: nothing has been sent, and the token says who asks.
    """
    for pause in PAUSES:
        try:
            return monotonic(), await work()
        except Exception as error:
            log.warning(f"{name}.retry", error=repr(error), **about)
            await asyncio.sleep(pause)
    return monotonic(), await work()
