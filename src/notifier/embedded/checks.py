"""What can be known to be wrong before anything is started, and whether the service answers."""

import asyncio
import errno
import socket
import ssl
import urllib.error
import urllib.request

import asyncpg
import redis

from notifier.embedded.errors import StartError

SECONDS = 10.0
DATABASE_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TimeoutError)
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared, not bound


def check_address_is_free(host: str, port: int) -> None:
    """Raise StartError unless the API can listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise StartError(f"Unknown host {host!r}: {error.strerror}") from error
    except OSError as error:
        raise StartError(_why_not(error, host, port)) from error


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is taken on {host}; choose another one: make run PORT={port + 1}, or --port"
    return f"Cannot listen on {host} port {port}: {error.strerror}"


def check_database(url: str) -> None:
    """Raise StartError unless PostgreSQL answers there and lets us in."""
    if not url.startswith(("postgresql://", "postgres://", "postgresql+asyncpg://")):
        raise StartError("NOTIFIER_DATABASE_URL must begin with postgresql://")
    try:
        asyncio.run(_connect(url.replace("+asyncpg", "", 1)))
    except DATABASE_ERRORS as error:
        raise StartError(f"NOTIFIER_DATABASE_URL: cannot reach PostgreSQL: {_first_line(error)}") from error


async def _connect(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=SECONDS)
    await connection.close()


def check_redis(url: str) -> None:
    """Raise StartError unless Redis or Valkey answers there and lets us in."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise StartError("NOTIFIER_REDIS_URL must begin with redis://, rediss:// or unix://")
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS) as client:
            client.ping()
    except (redis.RedisError, ValueError, OSError) as error:
        raise StartError(f"NOTIFIER_REDIS_URL: cannot reach Redis: {_first_line(error)}") from error


def address(host: str, port: int) -> str:
    """Return the address at which this machine's browser finds the API."""
    host = ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def answers(url: str) -> bool:
    """Say whether a GET is answered with 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ssl.SSLError):
        return False


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
