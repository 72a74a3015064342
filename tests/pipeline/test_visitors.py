"""Who comes for a place and is no coroutine is called: let in, or sent away."""

from notifier.pipeline.bulkheads import Bulkheads, Place
from tests.pipeline.hands import Hands
from tests.processes import until

FOR_EVER = 3600.0
MANY = 1000
WATCH = 2.0


class Guest:
    """A visitor who does not wait itself, but is called."""

    def __init__(self) -> None:
        self.place: Place | None = None
        self.gone = self.sent_away = False

    def done(self) -> bool:
        """Say whether it has gone."""
        return self.gone

    def let_in(self, place: Place) -> None:
        """Take the place."""
        self.place = place

    def send_away(self) -> None:
        """Note it."""
        self.sent_away = True

    def end_head_start(self) -> None:
        """Wait at another door."""
        assert self.place
        self.place.end_head_start()

    def leave(self, *, well: bool = True) -> None:
        """Give the place back."""
        assert self.place
        self.place.leave(well=well)


def queue(bulkheads: Bulkheads, count: int) -> list[Guest]:
    """Have guests come to one room, one after the other."""
    guests = [Guest() for _ in range(count)]
    for guest in guests:
        bulkheads.enter("a", guest)
    return guests


def inside(guests: list[Guest]) -> list[int]:
    """Return the numbers of those who were let in."""
    return [number for number, guest in enumerate(guests) if guest.place]


async def test_visitors_who_are_called_are_let_in_in_turn() -> None:
    bulkheads = Bulkheads(2, MANY, FOR_EVER)
    guests = queue(bulkheads, 6)
    for left in range(4):
        assert inside(guests) == [*range(left + 2)]
        guests[left].leave()
    assert inside(guests) == [*range(6)]
    for guest in guests[4:]:
        guest.leave()
    assert (bulkheads._rooms, bulkheads._free) == ({}, MANY)


async def test_who_has_gone_by_the_time_that_a_place_is_free_is_passed_over() -> None:
    bulkheads = Bulkheads(1, MANY, FOR_EVER)
    guests = queue(bulkheads, 5)
    for gone in (1, 2, 4):
        guests[gone].gone = True
    guests[0].leave()
    assert inside(guests) == [0, 3]
    guests[3].leave()
    assert inside(guests) == [0, 3]
    assert (bulkheads._rooms, bulkheads._free) == ({}, MANY)


async def test_who_comes_to_a_room_that_hangs_is_sent_away_at_once() -> None:
    clock = Hands()
    bulkheads = Bulkheads(1, MANY, FOR_EVER, clock)
    (first,) = queue(bulkheads, 1)
    clock.now += FOR_EVER
    (second,) = queue(bulkheads, 1)
    assert (second.place, second.sent_away) == (None, True)
    first.leave()
    assert (second.place, bulkheads._rooms, bulkheads._free) == (None, {}, MANY)


async def test_who_waits_as_the_room_begins_to_hang_is_called_away_unless_it_has_gone() -> None:
    bulkheads = Bulkheads(1, MANY, watch=0.01)
    first, gone, second = queue(bulkheads, 3)
    gone.gone = True
    await until(lambda: second.sent_away)
    assert not gone.sent_away
    first.leave()
    assert (second.place, bulkheads._rooms, bulkheads._free) == (None, {}, MANY)


async def test_a_room_earns_a_head_start_until_somebody_in_it_waits_at_another_door() -> None:
    bulkheads = Bulkheads(2, MANY, FOR_EVER, ahead=3)
    guests = queue(bulkheads, 13)
    assert inside(guests) == [0, 1]
    for quick in range(5):
        guests[quick].leave()
    assert inside(guests) == [*range(5 + 5)], "two places, and all three of the head start"
    guests[5].end_head_start()
    for left in (6, 7, 8):
        guests[left].leave()
    assert inside(guests) == [*range(5 + 5 + 3)], "what was lost is earned again, one place for each"
    for left in (5, 9, 10, 11, 12):
        guests[left].leave()
    assert (bulkheads._rooms, bulkheads._free) == ({}, MANY)


async def test_a_room_keeps_its_places_however_many_in_it_wait_at_another_door() -> None:
    bulkheads = Bulkheads(2, MANY, FOR_EVER, ahead=3)
    guests = queue(bulkheads, 9)
    for waits in range(7):
        assert inside(guests) == [*range(waits + 2)]
        guests[waits].end_head_start()
        guests[waits].leave(well=False)
