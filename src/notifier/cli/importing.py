"""`notifier import`: notifications out of a file, thousands a second, safe to run again."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from notifier.cli.failures import FAILED, WRONGLY_CALLED, fail

if TYPE_CHECKING:
    from rich.progress import Progress

    from notifier.cli.import_rejects import Rejects
    from notifier.cli.import_rows import Format
    from notifier.cli.import_run import Batch, Tally

CONNECTIONS = 16
AGAIN = "Run the same command again to go on: what is there already is not made twice."

FILE = Annotated[str, typer.Argument(help="JSON Lines, a JSON array, or CSV; - for standard input.")]
URL = Annotated[
    str | None,
    typer.Option(
        envvar="NOTIFIER_URL",
        help="Address of the service; that of the `notifier up` on the data folder if absent, or, with a"
        " key of yours, http://127.0.0.1:8000.",
        show_default=False,
    ),
]
KEY = Annotated[
    str | None,
    typer.Option(envvar="NOTIFIER_API_KEY", help="API key with the scope write.", show_default=False),
]
DATA_DIR = Annotated[
    Path,
    typer.Option(
        envvar="NOTIFIER_DATA_DIR",
        help="Data folder of a `notifier up`, which knows its key and address if they are not given.",
    ),
]
FORMAT = Annotated[
    str | None,
    typer.Option("--format", help="jsonl, json or csv; told by the name or the content if absent."),
]
REJECTS = Annotated[
    Path | None,
    typer.Option(help="Where rejected rows go; FILE.rejects.jsonl if absent.", show_default=False),
]
UPDATE = Annotated[
    bool, typer.Option("--update", help="Replace notifications whose given external_id is there.")
]
BATCH = Annotated[int, typer.Option(min=1, max=1000, help="Rows in one call.")]
PARALLEL = Annotated[int, typer.Option(min=1, max=32, help="Calls under way at once.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="Tell the result as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import")(import_)


def import_(
    file: FILE,
    url: URL = None,
    api_key: KEY = None,
    data_dir: DATA_DIR = Path(".notifier"),
    form: FORMAT = None,
    rejects: REJECTS = None,
    update: UPDATE = False,
    batch: BATCH = 1000,
    parallel: PARALLEL = 4,
    as_json: AS_JSON = False,
) -> None:
    """Import notifications. Import a file again as often as you like: what is there is not made twice.

    A row is known by its external_id. One without gets `import-` and a digest of its content as external_id,
    the same in any file and at any time; the second of identical rows of a file ends in -2.
    """
    from notifier.cli.client import find_key, find_url
    from notifier.cli.import_rejects import Rejects
    from notifier.cli.import_run import Tally

    key = find_key(api_key, url, data_dir)
    rejected = Rejects(rejects or Path("import.rejects.jsonl" if file == "-" else f"{file}.rejects.jsonl"))
    tally = Tally(rejected.add)
    with _opened(file) as source, _progress(source) as progress, rejected:
        run = Run(find_url(url, data_dir), key, tally, progress, batch, parallel, update)
        error, seconds = run(source, _form(form, file, source))
    _tell(tally, seconds, rejected, error, as_json=as_json)


class Run:
    """One run of the command."""

    def __init__(
        self, url: str, key: str, tally: "Tally", progress: "Progress", size: int, parallel: int, update: bool
    ) -> None:
        self._url, self._key, self._tally, self._progress = url, key, tally, progress
        self._size, self._parallel, self._update = size, parallel, update

    def __call__(self, source: BinaryIO, form: "Format") -> tuple[str | None, float]:
        """Import a file; return why it ended early, if it did, and the seconds it took."""
        from notifier.cli.client import GaveUp, NeverMet
        from notifier.cli.import_rows import Unreadable
        from notifier.cli.import_run import Stopped
        from notifier.clock import monotonic

        began = monotonic()
        try:
            asyncio.run(self._import(source, form))
        except (NeverMet, Stopped) as error:
            return str(error), monotonic() - began
        except GaveUp as error:
            return f"{str(error).rstrip('.')}. {AGAIN}", monotonic() - began
        except Unreadable as error:
            return f"the file cannot be read on: {error}", monotonic() - began
        except KeyboardInterrupt:
            return f"interrupted. {AGAIN}", monotonic() - began
        return None, monotonic() - began

    async def _import(self, source: BinaryIO, form: "Format") -> None:
        from notifier.cli.client import Client
        from notifier.cli.import_rows import read
        from notifier.cli.import_run import Importer, batches, run

        task = self._progress.tasks[0].id

        def show(batch: "Batch") -> None:
            offset = max(batch[-1][0].offset, int(self._progress.tasks[0].completed))
            self._progress.update(task, completed=offset, rows=self._tally.done)

        def say(line: str) -> None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

        async with Client(self._url, self._key, connections=CONNECTIONS, say=say) as client:
            importer = Importer(client, self._tally, update=self._update)
            await run(importer, batches(read(source, form), self._size), self._parallel, show)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(file).open("rb") as opened:
            yield opened
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}", WRONGLY_CALLED)


def _form(form: str | None, name: str, source: BinaryIO) -> "Format":
    from notifier.cli.import_rows import SUFFIXES, guess

    if form is not None and form not in SUFFIXES.values():
        fail(f"--format is jsonl, json or csv, not {form!r}", WRONGLY_CALLED)
    peek = getattr(source, "peek", None)
    return form or guess(name, peek(64) if peek else b"")  # type: ignore[return-value]


@contextmanager
def _progress(source: BinaryIO) -> Iterator["Progress"]:
    """Yield a bar over the bytes of the file, shown where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    name = getattr(source, "name", None)
    size = Path(name).stat().st_size if isinstance(name, str) and source.seekable() else None
    console = Console(stderr=True)
    columns = (
        BarColumn(),
        TextColumn("{task.fields[rows]} rows"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        progress.add_task("import", total=size, rows=0)
        yield progress


def _tell(tally: "Tally", seconds: float, rejected: "Rejects", error: str | None, *, as_json: bool) -> None:
    counts = {name: getattr(tally, name) for name in ("created", "updated", "already_there", "rejected")}
    rate = round(tally.done / seconds) if seconds else 0
    file = str(rejected.path) if rejected.count else None
    if as_json:
        result = {
            **counts,
            "seconds": round(seconds, 2),
            "rows_per_second": rate,
            "rejects": file,
            "error": error,
        }
        typer.echo(json.dumps(result))
    elif tally.done or not error:
        told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items())
        typer.echo(f"{tally.done} rows in {seconds:.1f} s ({rate}/s): {told}.")
    for line in rejected.told:
        typer.echo(line, err=True)
    if file:
        typer.echo(f"Rejected rows, with their problems: {file}", err=True)
    if error:
        fail(error)
    if rejected.count:
        raise typer.Exit(FAILED)
