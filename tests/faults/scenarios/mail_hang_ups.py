"""A mail server that hangs up: before a mail, which is a plain failure; after it, which is ambiguous.

In the middle either is right: of a small mail the last byte has left, and nobody knows how far it came.
"""

from collections import Counter

from tests.faults.mailbox import AFTER, BEFORE, MIDDLE
from tests.faults.scenario import Scenario
from tests.faults.stage import SMALL, Stage

OUTCOMES = "SELECT outcome, count(*) AS rows FROM attempts GROUP BY outcome"


async def hang_up(stage: Stage, *, due: int, times: int) -> None:
    """Send mails to a server that hangs up so many times; compare its notes with the ledger."""
    await stage.fill(due, to="mailto:ada@example.com")
    hung_up = stage.receiver.log.with_name("hung-up")
    options = {"--seed": stage.random.randrange(10**6), "--hang-ups": times}
    arguments = (str(one) for option in options.items() for one in option)
    port = stage.serve("mailbox", "tests.faults.mailbox", str(stage.receiver.log), str(hung_up), *arguments)
    server = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": port, "SMTP_TLS": "none"}
    stage.start("worker", WORKER_CONCURRENCY=SMALL, **server)
    stage.start("scheduler", **server)
    await stage.progress(due)
    stage.harmed()
    await stage.drain()
    told = Counter(hung_up.read_text().split())
    assert told.total() == times
    outcomes = {row.outcome: row.rows for row in await stage.house.sql(OUTCOMES)}
    assert set(outcomes) == {"failed", "connection_lost", "delivered"}, outcomes
    assert outcomes["failed"] + outcomes["connection_lost"] == told.total(), (outcomes, told)
    assert told[BEFORE] <= outcomes["failed"] <= told[BEFORE] + told[MIDDLE], (outcomes, told)
    assert outcomes["connection_lost"] >= told[AFTER], (outcomes, told)


SCENARIOS = (
    Scenario(
        "a mail server that hangs up before, in and after mails",
        hang_up,
        full={"due": 2000, "times": 3000},
        quick={"due": 100, "times": 60},
    ),
)
