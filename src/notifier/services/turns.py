"""Long work of one request, done in turns with the other requests of the process."""

import asyncio

from notifier.clock import monotonic
from notifier.storage.engine import Session

LONGEST_TURN = 0.02
"""Seconds for which the others have to wait."""

PAUSE = 0.005
"""Seconds that the others get then: enough for each of them to go on by some steps."""


class Turns:
    """Lets the other requests of the process work after each turn."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._began = monotonic()

    async def pass_on(self) -> None:
        """Let the others work if this turn has been long enough; to be awaited after each small step."""
        if monotonic() - self._began > LONGEST_TURN:
            # a statement, not a mere turn of the loop: the server ends transactions that stand idle
            await self._session.ping()
            await asyncio.sleep(PAUSE)
            self._began = monotonic()
