"""Ends a scheduler whose sweeps stand still: whoever supervises it starts a fresh one."""

import os
import threading
from dataclasses import dataclass

import structlog

from notifier.clock import monotonic

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Pulse:
    """When a sweep last got on, on the monotonic clock. An object: arq gives jobs a copy of its context."""

    at: float

    def beat(self) -> None:
        """Note that something was done just now."""
        self.at = monotonic()


def start_watchdog(pulse: Pulse, limit: float, every: float = 10.0) -> threading.Event:
    """End the process when `pulse` stands still for `limit` seconds: its supervisor starts a fresh one.

    A thread, for the event loop may be what hangs. Returns the event that calls the watchdog off.
    """
    called_off = threading.Event()

    def watch() -> None:
        while not called_off.wait(every):
            silence = monotonic() - pulse.at
            if silence > limit:
                log.critical("scheduler.stuck", seconds_since_sweep=int(silence))
                # a plain exit would first wait for the very job that hangs
                os._exit(1)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
    return called_off
