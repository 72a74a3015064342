"""Many rows as parameters of one statement: an array for each column."""

from collections.abc import Iterable


def unnest(names: Iterable[str]) -> str:
    """Return SQL for the rows that the array parameters of these names make up.

    PostgreSQL is not told how many there are: for some hundreds it may well read a whole table rather than
    look up each row, and it would plan every statement anew.
    """
    return f"unnest({', '.join(f'(SELECT :{name})' for name in names)})"
