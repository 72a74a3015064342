"""libcurl on the event loop: its transfers wait for their sockets as everything else does.

pycurl's own `AsyncCurlMulti` takes a socket out of the loop when a transfer ends and puts it back for the
next one: six system calls, and two fifths of what a POST over a kept connection costs. Here sockets stay
watched as long as they are open. The event loop could not take that: libcurl closes them without a word.
A selector of our own can, as a closed socket leaves it by itself (unless a forked process has it, too); the
event loop watches the selector.
"""

import asyncio
import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

import pycurl
import structlog

log = structlog.get_logger(__name__)

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

WORDS = {pycurl.E_SEND_FAIL_REWIND: "the connection was closed before an answer came"}
"""What libcurl says of itself rather than of what happened."""


class CurlLoop:
    """Runs the transfers of one event loop, and keeps their connections."""

    def __init__(self, most_idle: int) -> None:
        """Join the running loop; keep up to `most_idle` connections that nobody uses."""
        self._loop = asyncio.get_running_loop()
        self._ends: dict[pycurl.Curl, Callable[[str | None], None]] = {}
        self._timer: asyncio.Handle | None = None
        self._connections: set[int] = set()
        self._wanted: dict[int, int] = {}
        self._watched: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._loop.add_reader(self._selector, self._on_events)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAXCONNECTS, most_idle)

    def adopt(self, curl: pycurl.Curl) -> None:
        """Prepare a handle for use here."""
        curl.setopt(pycurl.SOCKOPTFUNCTION, self._on_connection)

    def start(self, curl: pycurl.Curl, ended: Callable[[str | None], None]) -> None:
        """Begin a transfer; `ended` is called at its end, with None or what went wrong."""
        self._multi.add_handle(curl)
        self._ends[curl] = ended

    def runs(self, curl: pycurl.Curl) -> bool:
        """Tell whether a transfer has begun and not ended."""
        return curl in self._ends

    def stop(self, curl: pycurl.Curl) -> None:
        """End a transfer now, and its connection with it; one that has ended stays as it is."""
        if curl in self._ends:
            self._finish(curl, "ended here")

    def close(self) -> threading.Thread:
        """End all transfers and close all connections; return the thread that does the latter."""
        for curl in tuple(self._ends):
            self.stop(curl)
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._selector)
        self._selector.close()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, None)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, None)
        # elsewhere, as it waits for names that are being resolved
        closing = threading.Thread(target=self._multi.close, daemon=True)
        closing.start()
        return closing

    def _finish(self, curl: pycurl.Curl, error: str | None) -> None:
        ended = self._ends.pop(curl)
        self._multi.remove_handle(curl)
        try:
            ended(error)
        except Exception:
            # a bug: it must not cost the others their ends
            log.exception("transfer.end_failed")

    def _finish_all(self) -> None:
        more = 1
        while more:
            more, well, badly = self._multi.info_read()
            for curl in well:
                self._finish(curl, None)
            for curl, code, text in badly:
                self._finish(curl, WORDS.get(code, text))

    def _on_timer(self, milliseconds: int) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if milliseconds == 0:
            self._timer = self._loop.call_soon(self._on_time)
        elif milliseconds > 0:  # less than 0: no timer
            self._timer = self._loop.call_later(milliseconds / 1000, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._finish_all()

    def _on_events(self) -> None:
        ready = self._selector.select(0)
        for key, _ in ready:
            if not self._wanted.get(key.fd, 0):
                self._hang_up(key.fd)
        for key, events in ready:
            # READ and WRITE are the numbers that libcurl has for them
            if asked := events & self._wanted.get(key.fd, 0):
                self._multi.socket_action(key.fd, asked)
        self._finish_all()

    def _hang_up(self, fd: int) -> None:
        """See to it that nothing leaves over a kept connection that the other side has closed.

        libcurl looks whether a connection lives no more than once a second, and sends without looking then.
        """
        self._watch(fd, 0)
        with suppress(OSError), socket.socket(fileno=os.dup(fd)) as connection:
            connection.shutdown(socket.SHUT_RDWR)

    def _on_socket(self, what: int, fd: int, _multi: pycurl.CurlMulti, _data: object) -> None:
        self._wanted[fd] = wanted = what & (READ | WRITE)
        self._watch(fd, wanted or (READ if fd in self._connections else 0))
        if what == pycurl.POLL_REMOVE and fd not in self._connections:
            self._wanted.pop(fd, None)
            self._watched.pop(fd, None)

    def _on_connection(self, fd: int, _purpose: int) -> int:
        """Note a new connection; who had its number before has left the selector."""
        self._wanted.pop(fd, None)
        self._watched.pop(fd, None)
        with suppress(KeyError):
            self._selector.unregister(fd)
        self._connections.add(fd)
        os.set_inheritable(fd, False)
        return pycurl.SOCKOPT_OK

    def _watch(self, fd: int, events: int) -> None:
        before = self._watched.get(fd, 0)
        if events == before:
            return
        if not events:
            self._selector.unregister(fd)
        elif before:
            self._selector.modify(fd, events)
        else:
            self._selector.register(fd, events)
        self._watched[fd] = events
