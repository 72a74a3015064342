"""What came in the soak, in little memory: a bit for each slot of each notification, the ids, the lags."""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from benchmarks.soak_receiver import Received

PERIOD = timedelta(minutes=2)
"""Of those that repeat: more than the minute between two sweeps, so that no slot may be passed over."""


@dataclass
class Account:
    """What was received; `first` says of each notification that nobody touches when its first slot is."""

    first: Mapping[str, datetime]
    received: int = 0
    began: float | None = None
    ended: float = 0.0
    """Unix times of the first and the last message."""
    ids: set[bytes] = field(default_factory=set)
    lags: "array[float]" = field(default_factory=lambda: array("f"))
    """Seconds from due to received, of every message."""
    _came: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def doubled(self) -> int:
        """How many messages came once more than needed."""
        return self.received - len(self.ids)

    @property
    def per_second(self) -> float:
        """Messages per second from the first to the last; infinite for one alone."""
        seconds = self.ended - (self.began or 0.0)
        return self.received / seconds if seconds else inf

    def take(self, messages: Iterable[Received]) -> None:
        """Take down what came."""
        for one in messages:
            self.received += 1
            self.began = one.at if self.began is None else self.began
            self.ended = one.at
            self.ids.add(digest(one.message_id))
            self.lags.append(one.at - one.slot.timestamp())
            if one.notification_id in self.first:
                number, rest = divmod(one.slot - self.first[one.notification_id], PERIOD)
                if number >= 0 and not rest:
                    self._came[one.notification_id] |= 1 << number

    def missing(self, due: Iterable[tuple[str, int]]) -> int:
        """Return how many did not come, given how many slots of each notification, from its first, had to."""
        return sum(_lacks(self._came[one], slots) for one, slots in due)

    def unrecorded(self, delivered: Iterable[str]) -> int:
        """Return how many of the messages that the ledger calls delivered (their ids) never came."""
        return sum(digest(one) not in self.ids for one in delivered)


def due(first: Mapping[str, datetime], until: datetime, most: int | None = None) -> Iterator[tuple[str, int]]:
    """Yield how many slots of each notification, but no more than `most`, lie up to then (UTC)."""
    for one, slot in first.items():
        slots = max((until - slot) // PERIOD + 1, 0)
        yield one, slots if most is None else min(slots, most)


def digest(message_id: str) -> bytes:
    """Return a message id as the 16 bytes that it is."""
    return bytes.fromhex(message_id.removeprefix("msg_"))


def _lacks(came: int, slots: int) -> int:
    return (~came & ((1 << slots) - 1)).bit_count()
