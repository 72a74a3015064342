"""A delivery in a worker's hands, from the job until its outcome is written."""

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from notifier.deadlines import Deadline
from notifier.pipeline.attempts import Letter
from notifier.pipeline.bulkheads import Bulkheads, Place
from notifier.storage.claims import Claim
from notifier.storage.outcomes import Finished


class InHand(asyncio.Future[None]):
    """Done once it is over; a cancel ends the attempt too.

    An outcome that is known by then is still written, as long as the process lives. It is handed on from one
    step to the next as data: at thousands in hand, a task that waits for each step would cost more than the
    steps do.
    """

    __slots__ = (
        "_on_admission",
        "at_receiver",
        "attempt",
        "claim",
        "deadline",
        "finished",
        "give_up_at",
        "pause",
        "place",
        "sending",
        "started",
        "visit",
        "wanted",
    )

    claim: Claim
    started: float
    deadline: Deadline
    finished: Finished
    give_up_at: float

    def __init__(self, project_id: UUID, delivery_id: UUID, on_admission: Callable[["InHand"], None]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self.wanted = (project_id, delivery_id)
        self._on_admission = on_admission
        self.place: Place | None = None
        self.at_receiver: Place | None = None
        self.visit: Visit | None = None
        self.attempt: asyncio.Future[Any] | None = None
        self.sending = False
        self.pause = 0.1

    def let_in(self, place: Place) -> None:
        """Go on: its project has a place for it."""
        self.place = place
        self._on_admission(self)

    def move(self, rooms: Bulkheads, key: Hashable, on_admission: Callable[["InHand"], None]) -> None:
        """Leave its project, and wait for a place elsewhere."""
        self._leave_project(well=False)
        self._on_admission = on_admission
        rooms.enter(key, self)

    def send_away(self) -> None:
        """End at once: nothing has been written, and the rescuer rings again."""
        self.end(well=False)

    def end(self, *, well: bool) -> None:
        """Be over; its project has earned a place if it went `well`."""
        self._leave(well=well)
        if not self.done():
            self.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Be over, by an error."""
        self._leave(well=False)
        if isinstance(error, asyncio.CancelledError):
            super().cancel()
        elif not self.done():
            self.set_exception(error)

    def end_head_start(self) -> None:
        """Let its project claim fewer: this one has to wait, and could as well have stayed unclaimed."""
        if self.place is not None:
            self.place.end_head_start()

    def leave_receiver(self, *, well: bool) -> None:
        """Make room at the receiver for the next one."""
        if self.at_receiver is not None:
            self.at_receiver.leave(well=well)
            self.at_receiver = None

    def _leave(self, *, well: bool) -> None:
        self.leave_receiver(well=well)
        self._leave_project(well=well)

    def _leave_project(self, *, well: bool) -> None:
        if self.place is not None:
            self.place.leave(well=well)
            self.place = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Give up, as its task would if it were one; what is done holds no place that it was admitted to.

        A send ends, and then leaves its receiver. What is claimed but not being sent yet is given back.
        """
        if self.done():
            return False
        self._leave_project(well=False)
        super().cancel(msg)
        if self.attempt is not None and self.sending:
            self.attempt.cancel(msg)
        elif self.visit is not None:
            self.visit.send_away()
        return True


@dataclass(slots=True)
class Visit:
    """A claimed delivery that comes to its receiver with its letter: it may `go`, or must `turn_back`.

    It is forgotten once that is known: what is over must not be kept by a circle of references.
    """

    one: InHand
    letter: Letter
    go: Callable[[InHand, Letter], None]
    turn_back: Callable[[InHand], None]

    def done(self) -> bool:
        """Say whether the delivery is wanted no longer."""
        return self.one.done()

    def let_in(self, place: Place) -> None:
        """Go on: its receiver has a place for it."""
        self.one.visit, self.one.at_receiver = None, place
        self.go(self.one, self.letter)

    def send_away(self) -> None:
        """Turn back: its receiver is so slow that its places stay taken, or it is wanted no longer."""
        self.one.visit = None
        self.turn_back(self.one)
