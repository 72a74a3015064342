"""The limit of HTTP: POST the same message over and over, without queue and database.

Prints when it began and when it ended (seconds since 1970).
"""

import argparse
import asyncio
import json
import time
from itertools import cycle, islice
from uuid import uuid4

import aiohttp
import uvloop

from benchmarks.peers.message import BODY, DATA, TITLE, headers, payload


async def post_all(urls: list[str], ids: list[str], concurrency: int, at: float) -> tuple[float, float]:
    """POST once for every id, so many at once, from the instant `at` on; return begin and end."""
    body = json.dumps(payload(ids[0], TITLE, BODY, DATA)).encode()
    rest = iter(zip(cycle(urls), ids))
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def one_after_the_other() -> None:
            for url, message_id in rest:
                async with session.post(url, data=body, headers=headers(message_id)) as answer:
                    await answer.read()

        await asyncio.sleep(max(0, at - time.time()))
        began = time.time()
        await asyncio.gather(*(one_after_the_other() for _ in range(concurrency)))
        return began, time.time()


def main() -> None:
    """Read the arguments, POST, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", help="comma-separated")
    parser.add_argument("count", type=int)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--at", type=float, default=0.0)
    given = parser.parse_args()
    ids = [uuid4().hex for _ in islice(cycle([0]), given.count)]
    began, ended = uvloop.run(post_all(given.urls.split(","), ids, given.concurrency, given.at))
    print(f"began {began} ended {ended}", flush=True)


if __name__ == "__main__":
    main()
