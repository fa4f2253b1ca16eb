"""The models that jobs have trained, by name: what serves them looks here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from tunewise.serving.jobs import database as tables
from tunewise.serving.jobs.database import Database
from tunewise.serving.jobs.publish import DecidedModel, TrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedModel:
    """A name that can be asked."""

    name: str
    created_at: int
    """Unix seconds."""
    job: str
    base: str | None
    """What its base opens as; None for the winner of a verdict, whose run says it."""
    folder: Path
    """The adapter (or whole model); of the winner of a verdict, the run."""
    contender: str | None
    """Name of the winner in that run; None: an adapter, asked with a client's messages alone."""


class ModelTable:
    """A `Publisher` whose table lies beside that of the jobs.

    Args:
        database: of the jobs.
        home: of the jobs' files, below which the models lie.
    """

    def __init__(self, database: Database, home: Path) -> None:
        self._database, self._home = database, home

    def publish(self, model: TrainedModel | DecidedModel) -> None:
        """See `Publisher.publish`. A kill may have left an older folder: the newer one counts."""
        trained = isinstance(model, TrainedModel)
        folder = model.adapter if trained else model.run
        with self._database.writing() as connection:
            dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
            values = {
                "job": model.job,
                "base": model.base if trained else None,
                "folder": folder.absolute().relative_to(self._home.absolute()).as_posix(),
                "contender": None if trained else model.contender,
            }
            now = int(self._database.now(connection))
            connection.execute(
                dialect.insert(tables.models)
                .values(id=model.name, created_at=now, **values)
                .on_conflict_do_update(index_elements=["id"], set_=values)
            )

    def find(self, name: str) -> PublishedModel | None:
        """None: no job has trained such a model."""
        with self._database.reading() as connection:
            row = connection.execute(
                select(tables.models).where(tables.models.c.id == name)
            ).one_or_none()
        return None if row is None else self._published(row)

    def all(self) -> Sequence[PublishedModel]:
        """Every model, the oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.models).order_by(tables.models.c.number)).all()
        return [self._published(row) for row in rows]

    def delete(self, name: str) -> bool:
        """Has a name no longer be asked; the files stay the job's. False: there is none."""
        with self._database.writing() as connection:
            gone = connection.execute(delete(tables.models).where(tables.models.c.id == name))
        return bool(gone.rowcount)

    def _published(self, row: Row[Any]) -> PublishedModel:
        return PublishedModel(
            name=row.id,
            created_at=row.created_at,
            job=row.job,
            base=row.base,
            folder=self._home / row.folder,
            contender=row.contender,
        )
