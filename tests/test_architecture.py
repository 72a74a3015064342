"""The rules of the house that no linter knows."""

import ast
import re
from pathlib import Path

import pytest

import notifier
from notifier.storage.tables import metadata

SOURCE = Path(notifier.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
CLOCK = re.compile(
    r"\b(?:datetime\.(?:now|utcnow|today)|date\.today|time\.(?:time|monotonic|perf_counter)(?:_ns)?)\("
)
WITHOUT_PROJECT = {"projects", "heartbeats"}
"""The projects themselves; the pulse of processes, which serve every project."""


def holding(pattern: str) -> set[str]:
    """Return the modules whose code matches, strings and comments aside."""
    return {str(path.relative_to(SOURCE)) for path in MODULES if re.search(pattern, code_of(path))}


def code_of(path: Path) -> str:
    return ast.unparse(ast.parse(path.read_text()))


def test_only_the_engine_commits() -> None:
    assert holding(r"\.commit\(") == {"storage/engine.py"}


def test_only_the_clock_reads_the_clock() -> None:
    assert holding(CLOCK.pattern) == {"clock.py"}


def test_only_the_settings_read_the_environment() -> None:
    assert holding(r"os\.(?:environ|getenv)") <= {"settings.py", "embedded/environment.py"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    assert ast.get_docstring(ast.parse(text)), "it has no docstring"


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=str)
def test_every_row_belongs_to_a_project(table: object) -> None:
    key = [column.name for column in table.primary_key.columns]  # type: ignore[attr-defined]
    if table.name not in WITHOUT_PROJECT:  # type: ignore[attr-defined]
        assert key[0] == "project_id"


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=str)
def test_no_reference_leads_to_another_project(table: object) -> None:
    for key in table.foreign_key_constraints:  # type: ignore[attr-defined]
        own = [column.name for column in key.columns]
        referred = [element.target_fullname.split(".")[1] for element in key.elements]
        assert (own[0], referred[0]) in {("project_id", "project_id"), ("project_id", "id")}
        assert (referred[0] == "id") is (key.referred_table.name == "projects")


def test_every_constraint_has_a_name() -> None:
    nameless = [
        table.name for table in metadata.sorted_tables for one in table.constraints if one.name is None
    ]
    assert nameless == []
