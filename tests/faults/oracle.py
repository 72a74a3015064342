"""Compares three accounts: what was due, what the receiver accepted, what the ledger says."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from notifier.domain.delivery import AMBIGUOUS, TERMINAL, Reason
from tests.house import House

LEDGER = """
SELECT d.message_id, d.status, d.reason, d.attempts_made,
  array_agg(coalesce(a.outcome, 'none') ORDER BY a.number) FILTER (WHERE a.number IS NOT NULL) AS outcomes
FROM deliveries AS d
LEFT JOIN attempts AS a ON a.project_id = d.project_id AND a.delivery_id = d.id
GROUP BY d.project_id, d.id
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The counts of a `Result` that come from comparing."""

    accepted: int
    lost: int
    accepted_again: int
    ambiguous: int
    unexplained: int
    unrecorded: int


async def compare(house: House, due: set[str], accepted: Counter[str]) -> Comparison:
    """Return what the accounts say of the messages `due`, by their ids, and of all others."""
    ledger: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in await house.sql(LEDGER):
        ledger[row.message_id].append(row)
    ambiguous = {one: sum(map(_ambiguous, rows)) for one, rows in ledger.items()}
    return Comparison(
        accepted=len(accepted),
        lost=len(due - set(accepted)),
        accepted_again=accepted.total() - len(accepted),
        ambiguous=sum(ambiguous.values()),
        unexplained=_unexplained(accepted, ambiguous),
        unrecorded=sum(
            not _recorded(ledger[one], accepted[one]) for one in due | set(accepted) | set(ledger)
        ),
    )


def _ambiguous(row: Row[Any]) -> int:
    return sum(outcome in AMBIGUOUS for outcome in row.outcomes or [])


def _unexplained(accepted: Counter[str], ambiguous: Mapping[str, int]) -> int:
    return sum(times - 1 > ambiguous.get(one, 0) for one, times in accepted.items())


def _recorded(rows: Sequence[Row[Any]], accepted: int) -> bool:
    """Say whether one row tells the end of a message, and its attempts how it came about."""
    if len(rows) != 1:
        return False
    (row,) = rows
    outcomes = row.outcomes or []
    whole = row.status in TERMINAL and len(outcomes) == row.attempts_made and "none" not in outcomes
    knows_of_it = not accepted or _ambiguous(row) or "delivered" in outcomes
    fits = (row.status == "delivered") == ("delivered" in outcomes) or row.reason == Reason.DECIDED
    return bool(whole and knows_of_it and fits)
