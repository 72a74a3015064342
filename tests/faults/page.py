"""Writes the table of the last full run into the page about guarantees, between two marks."""

from datetime import datetime

from tests.faults.receiver import ROOT

PAGE = ROOT / "docs" / "guarantees.md"
BEGIN = "<!-- written by make faults: begin -->"
END = "<!-- end -->"


def write(table: str, at: datetime, command: str) -> None:
    """Replace the table; `at` is when it was measured, UTC."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    said = f"{at:%Y-%m-%d}, `{command}`:"
    PAGE.write_text(f"{before}{BEGIN}\n{said}\n\n{table}\n{END}{after}")
