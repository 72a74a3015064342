"""Many rows as parameters of one statement: an array for each column."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, Integer, TextClause, bindparam
from sqlalchemy.types import TypeEngine

Columns = Mapping[str, type[TypeEngine[Any]] | TypeEngine[Any]]


def unnest(names: Iterable[str]) -> str:
    """Return SQL for the rows that the array parameters of these names make up.

    PostgreSQL is not told how many there are: for some hundreds it may well read a whole table rather than
    look up each row, and it would plan every statement anew.
    """
    return f"unnest({', '.join(f'(SELECT :{name})' for name in names)})"


class Given:
    """Rows that a statement is given: tuples with the values of the `own` columns, then of the `shared` ones.

    Of what is shared by many rows, each different combination is sent once: writing an array costs the driver
    half a microsecond for every element.
    """

    def __init__(self, own: Columns, shared: Columns) -> None:
        """Name the columns, and say what they hold."""
        self._own = len(own)
        self._columns: Columns = {**own, "kind": Integer, **shared}
        self._parameters = tuple(f"given_{name}" for name in self._columns)
        rows, kinds = self._parameters[: self._own + 1], self._parameters[self._own + 1 :]
        self.sql = f"""(
  SELECT {", ".join((*own, *shared))}
  FROM {unnest(rows)} AS one ({", ".join(own)}, of_kind)
  JOIN {unnest(kinds)} WITH ORDINALITY AS kind ({", ".join(shared)}, nth) ON one.of_kind = kind.nth
  OFFSET 0
)"""
        """What the statement reads the rows from. The OFFSET keeps it apart: were tables joined first, each
        row would look through all kinds."""

    def bind(self, statement: TextClause) -> TextClause:
        """Return the statement, told what its parameters hold."""
        types = zip(self._parameters, self._columns.values(), strict=True)
        return statement.bindparams(*(bindparam(name, type_=ARRAY(of)) for name, of in types))

    def parameters(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, Sequence[Any]]:
        """Return the rows as parameters of the statement."""
        kinds: dict[tuple[Any, ...], int] = {}
        numbers = [kinds.setdefault(row[self._own :], len(kinds) + 1) for row in rows]
        own = _columns([row[: self._own] for row in rows], self._own)
        shared = _columns(list(kinds), len(self._columns) - self._own - 1)
        return dict(zip(self._parameters, (*own, numbers, *shared), strict=True))


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width
