"""What a scenario found, and the table that is made of it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Result:
    """Counts of messages. Without a fault of ours `lost`, `unexplained` and `unrecorded` are 0.

    `accepted` counts messages, `accepted_again` what the receiver accepted beyond the first time; `ambiguous`
    counts attempts after which nobody could know. `unexplained` are messages that were accepted again more
    often than that. `seconds_to_drain` runs from the last harm to the last outcome.
    """

    scenario: str
    due: int
    accepted: int
    lost: int
    accepted_again: int
    ambiguous: int
    unexplained: int
    unrecorded: int
    seconds_to_drain: float

    def broken(self, *, doubles_allowed: bool, drain_limit: float | None = None) -> Iterator[str]:
        """Yield the promises that were not kept."""
        for name in ("lost", "unexplained", "unrecorded"):
            if getattr(self, name):
                yield f"{name} {getattr(self, name)}"
        if self.accepted_again and not doubles_allowed:
            yield f"accepted again {self.accepted_again}"
        if drain_limit is not None and self.seconds_to_drain > drain_limit:
            yield f"drained after {self.seconds_to_drain:.0f} s, not within {drain_limit:.0f} s"


HEADINGS = {
    "scenario": "scenario",
    "due": "due",
    "accepted": "accepted",
    "lost": "lost",
    "accepted_again": "accepted again",
    "ambiguous": "ambiguous attempts",
    "unexplained": "unexplained",
    "unrecorded": "unrecorded",
    "seconds_to_drain": "time to drain",
}


def table(results: Sequence[Result]) -> str:
    """Return a table in Markdown."""
    names = [field.name for field in fields(Result)]
    rule = ["---"] + ["---:"] * (len(names) - 1)
    rows = [[HEADINGS[name] for name in names], rule, *(_cells(one) for one in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(result: Result) -> list[str]:
    *counts, seconds = asdict(result).values()
    return [*(f"{one:,}" if isinstance(one, int) else one for one in counts), f"{seconds:.0f} s"]
