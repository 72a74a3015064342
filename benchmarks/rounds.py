"""Figures from rounds: contestants take turns (A B C, A B C, ...); a busy machine slows all of them alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Samples = dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of some rounds, with the least and the greatest of them."""

    value: float
    low: float
    high: float
    unit: str
    rounds: int = 1

    def row(self) -> dict[str, Any]:
        """Return it as it is kept."""
        edges = {"value": self.value, "min": self.low, "max": self.high}
        return {
            **{name: _short(edge) for name, edge in edges.items()},
            "unit": self.unit,
            "rounds": self.rounds,
        }

    def __str__(self) -> str:
        return f"{_short(self.value):,g} {self.unit} ({_short(self.low):,g} - {_short(self.high):,g})"


def in_turns(
    contestants: Mapping[str, Callable[[], float]], rounds: int, say: Callable[[str], None] = lambda _: None
) -> Samples:
    """Let each contestant run once per round; return what each returned."""
    samples: Samples = {name: [] for name in contestants}
    for number in range(1, rounds + 1):
        for name, run in contestants.items():
            samples[name].append(run())
            say(f"round {number} of {rounds}: {name}: {samples[name][-1]:,.4g}")
    return samples


def middle(samples: Sequence[float], unit: str) -> Figure:
    """Return the median of the samples, with its spread."""
    return Figure(median(samples), min(samples), max(samples), unit, len(samples))


def ratio(over: Sequence[float], under: Sequence[float], unit: str = "x") -> Figure:
    """Return the median of the ratios of each round: what slowed one round slowed both."""
    return middle([a / b for a, b in zip(over, under, strict=True)], unit)


def once(value: float, unit: str) -> Figure:
    """Return a figure that needs no rounds, such as a count."""
    return Figure(value, value, value, unit)


def _short(value: float) -> float:
    """Return four digits: nothing here is more exact."""
    return float(f"{value:.4g}")
