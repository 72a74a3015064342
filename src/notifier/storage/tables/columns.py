"""What the tables are made of: their metadata, and the columns that many of them have."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Column, DateTime, MetaData, Uuid, text
from sqlalchemy.sql.functions import GenericFunction

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

LIVE = UUID(int=0)
"""The clock of live projects: the database's. A test project has a clock of its own, named by its id."""


class clock_now(GenericFunction[datetime]):  # noqa: N801 - named as in SQL
    """The instant by the clock that the transaction follows; a function that the migrations make."""

    type = DateTime(timezone=True)
    inherit_cache = True


def clock() -> Column[Any]:
    """Return the column that says which clock a row goes by."""
    return Column("clock", Uuid, nullable=False, server_default=text(f"'{LIVE}'"))


def instant(name: str, *, nullable: bool = True) -> Column[Any]:
    """Return a column for an instant in UTC."""
    return Column(name, DateTime(timezone=True), nullable=nullable)


def created_at() -> Column[Any]:
    """Return the column that says when the row came to be."""
    return Column("created_at", DateTime(timezone=True), nullable=False, server_default=clock_now())
