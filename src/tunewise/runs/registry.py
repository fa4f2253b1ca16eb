"""Models with a name: versions that never change, and aliases that are moved and rolled back.

`triage@3` is a version, `triage@production` an alias, `triage` alone what `production` points to,
or else the newest version. A version is a copy: it outlives the run that it was made from.
"""

import json
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tunewise.errors import UserError
from tunewise.runs.model_names import PRODUCTION, alias_in, check_alias, check_name, parse_named
from tunewise.runs.records import dump
from tunewise.runs.registry_file import (
    LINEAGE,
    STAGING,
    VERSION,
    VERSION_FILE,
    Event,
    Kind,
    Lineage,
    RegistryFile,
    VersionFile,
    insert_version,
    pointed_at,
)
from tunewise.storage import home_folder, sync, write_json, write_text

CARD = "README.md"


class StillUsedError(UserError):
    """A version cannot be deleted while an alias points to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A model that never changes."""

    name: str
    number: int
    folder: Path
    """See `tunewise.runs.model_file`."""
    created: float
    """Seconds since 1970."""
    lineage: Lineage

    @property
    def id(self) -> str:
        """`triage@3`."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Alias:
    """A name for a version that can be moved to another."""

    name: str
    alias: str
    number: int

    @property
    def id(self) -> str:
        """`triage@production`."""
        return f"{self.name}@{self.alias}"

    @property
    def version(self) -> str:
        """`triage@3`."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What became of an alias."""

    id: str
    before: str | None
    """The version that it pointed to; None: to none."""
    now: str | None

    @property
    def sentence(self) -> str:
        """What happened, for a person."""
        if self.now is None:
            return f"{self.id} points to nothing any more; it pointed to {self.before}."
        if self.before == self.now:
            return f"{self.id} points to {self.now}, as it did."
        before = f"; before, to {self.before}" if self.before else ""
        return f"{self.id} points to {self.now}{before}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """All that the registry holds at one moment."""

    versions: tuple[Version, ...]
    """By name and number."""
    aliases: tuple[Alias, ...]
    """By name and alias."""

    def resolve(self, text: str) -> Version | None:
        """The version that a text names; None where there is none."""
        for one in self.versions:
            if text and one.lineage.known_as == text:
                return one
        try:
            named = parse_named(text)
        except UserError:
            return None
        own = {one.number: one for one in self.versions if one.name == named.name}
        aliases = {one.alias: one.number for one in self.aliases if one.name == named.name}
        if named.number is not None:
            return own.get(named.number)
        if named.alias is not None:
            return own.get(aliases.get(named.alias, -1))
        return own.get(aliases.get(PRODUCTION, max(own, default=-1)))


class Registry:
    """The models in a folder of a person's.

    Args:
        home: the folder; None: `home_folder()`.
        note: told what a person should know: that the data base was made again.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        home: Path | None = None,
        *,
        note: Callable[[str], object] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = RegistryFile(home or home_folder(), note=note, clock=clock)
        self._clock = clock

    @property
    def database(self) -> Path:
        """The file that changes whenever the registry does."""
        return self._file.path

    @property
    def models(self) -> Path:
        """The folder in which all versions lie."""
        return self._file.models

    def content(self) -> Content:
        """Versions and aliases.

        Raises:
            UserError: the registry cannot be read.
        """
        with self._file.reading() as db:
            db.execute("BEGIN")
            versions = self._versions(db)
            rows = db.execute("SELECT name, alias, number FROM aliases ORDER BY name, alias")
            aliases = tuple(Alias(name=n, alias=a, number=v) for n, a, v in rows)
        return Content(versions=versions, aliases=aliases)

    def resolve(self, text: str) -> Version:
        """The version behind `triage@3`, `triage@production` or `triage`.

        Raises:
            UserError: there is none.
        """
        content = self.content()
        found = content.resolve(text)
        if found is not None:
            return found
        named = parse_named(text)
        own = [one.id for one in content.versions if one.name == named.name]
        own += [one.id for one in content.aliases if one.name == named.name]
        if own:
            raise UserError(f"{text}: there is no such version. There are {', '.join(own)}.")
        names = ", ".join(sorted({one.name for one in content.versions}))
        raise UserError(
            f"{text}: there is no such model. "
            + (f"There are {names}." if names else "`tunewise models add RUN` makes one of a run.")
        )

    @contextmanager
    def staging(self) -> Generator[Path]:
        """An empty folder to fill for `add`; what is left of it at the end is removed.

        Raises:
            UserError: it cannot be made.
        """
        folder = self._file.models / f"{STAGING}{os.getpid()}-{secrets.token_hex(4)}"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise UserError(
                f"{self._file.models}: a model cannot be written here: {error.strerror}. Point "
                "TUNEWISE_HOME to a folder that you may write to."
            ) from error
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def made_of(self, name: str, token: str, contender: str) -> Version | None:
        """The version of that name that a run's contender became; None where there is none."""
        same = (name, token, contender)
        return next(
            (
                one
                for one in reversed(self.content().versions)
                if (one.name, one.lineage.token, one.lineage.contender) == same
            ),
            None,
        )

    def add(
        self, name: str, filled: Path, *, lineage: Lineage, card: Callable[[str], str]
    ) -> Version:
        """Makes the next version of a name from a folder of `staging`.

        What the same run's contender became under that name before is returned, and nothing added.

        Args:
            name: such as `triage`.
            filled: complete but for its card; it is moved.
            lineage: what it was made from.
            card: its README.md, by the id of the version.

        Raises:
            UserError: the name is none, or the registry cannot be written.
        """
        check_name(name)
        with self._file.writing() as writing:
            for one in reversed(self._versions(writing.db, name)):
                known = (one.lineage.token, one.lineage.contender)
                if known == (lineage.token, lineage.contender):
                    return one
            number = self._file.last_number(writing.db, name) + 1
            found = VersionFile(name=name, number=number, created=self._clock(), lineage=lineage)
            write_text(filled / CARD, card(f"{name}@{number}"))
            write_json(filled / VERSION_FILE, dump(VERSION, found))
            for path in sorted(filled.rglob("*")):
                sync(path)
            sync(filled)
            place = self._file.folder_of(name, number)
            place.parent.mkdir(exist_ok=True)
            filled.rename(place)
            sync(place.parent)
            insert_version(writing.db, found)
        return Version(
            name=name, number=number, folder=place, created=found.created, lineage=lineage
        )

    def holds(self, text: str) -> bool:
        """Whether a text can only mean a model of the registry, or means one that is there."""
        return "@" in text or self.content().resolve(text) is not None

    def point(self, alias: str, version: str) -> Moved:
        """`set_alias` by what a person wrote: `triage@production`, and `triage@3` or `3`.

        Raises:
            UserError: they are not what they should be, or of two names.
        """
        name, at = alias_in(alias)
        if not (version.isascii() and version.isdigit()):
            named = parse_named(version)
            if named.name != name:
                raise UserError(f"{alias}: cannot point to {version}, which has another name.")
            if named.number is None:
                raise UserError(f"{version}: is no version. Name one by its number: {name}@3.")
            return self.set_alias(name, at, named.number)
        return self.set_alias(name, at, int(version))

    def roll_back(self, alias: str) -> Moved:
        """`rollback` by what a person wrote: `triage@production`.

        Raises:
            UserError: it is no alias, or there is nothing before.
        """
        return self.rollback(*alias_in(alias))

    def remove_named(self, text: str) -> str:
        """Deletes a version or an alias by what a person wrote; says what was done.

        Raises:
            StillUsedError: an alias points to it.
            UserError: there is none, or it is the name alone of versions.
        """
        known = [one for one in self.content().versions if one.lineage.known_as == text]
        if known:
            self.remove(known[0].name, known[0].number)
            return f"Deleted {text}."
        named = parse_named(text)
        if named.alias is not None:
            return self.remove_alias(named.name, named.alias).sentence
        if named.number is None:
            own = [one.id for one in self.content().versions if one.name == text]
            raise UserError(f"{text}: has {', '.join(own)}. Name the version to delete.")
        self.remove(named.name, named.number)
        return f"Deleted {text}."

    def set_alias(self, name: str, alias: str, number: int) -> Moved:
        """Points an alias to a version; one that points there already stays as it is.

        Raises:
            UserError: there is no such version, or the alias is none.
        """
        check_alias(alias)
        with self._file.writing() as writing:
            self._refuse_unknown(writing.db, name, number)
            before = _now(writing.db, name, alias)
            if before != number:
                writing.log("set", name, number=number, alias=alias)
                writing.db.execute(
                    "INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", (name, alias, number)
                )
        return _moved(name, alias, before, number)

    def rollback(self, name: str, alias: str) -> Moved:
        """Points an alias to the version that it pointed to before; again, to the one before that.

        Versions that were removed since are left out.

        Raises:
            UserError: there is no such alias, or nothing before.
        """
        with self._file.writing() as writing:
            before = self._pointing(writing.db, name, alias)
            there = {one.number for one in self._versions(writing.db, name)}
            events = [one for one in _events(writing.db, name) if one.alias == alias]
            earlier = [one for one in pointed_at(events)[:-1] if one in there and one != before]
            if not earlier:
                raise UserError(
                    f"{name}@{alias}: it has pointed to nothing but {name}@{before} that is still "
                    f"there. Move it with `tunewise models alias {name}@{alias} VERSION`."
                )
            number = earlier[-1]
            writing.log("rollback", name, number=number, alias=alias)
            writing.db.execute(
                "UPDATE aliases SET number = ? WHERE name = ? AND alias = ?", (number, name, alias)
            )
        return _moved(name, alias, before, number)

    def remove_alias(self, name: str, alias: str) -> Moved:
        """Lets an alias point to nothing.

        Raises:
            UserError: there is no such alias.
        """
        with self._file.writing() as writing:
            before = self._pointing(writing.db, name, alias)
            writing.log("unset", name, alias=alias)
            writing.db.execute("DELETE FROM aliases WHERE name = ? AND alias = ?", (name, alias))
        return _moved(name, alias, before, None)

    def remove(self, name: str, number: int) -> None:
        """Deletes a version; its number is never given again.

        Raises:
            StillUsedError: an alias points to it.
            UserError: there is none.
        """
        with self._file.writing() as writing:
            self._refuse_unknown(writing.db, name, number)
            query = "SELECT alias FROM aliases WHERE name = ? AND number = ? ORDER BY alias"
            aliases = [f"{name}@{alias}" for (alias,) in writing.db.execute(query, (name, number))]
            if aliases:
                raise StillUsedError(
                    f"{name}@{number}: {', '.join(aliases)} points to it. Move that first, as in "
                    f"`tunewise models alias {aliases[0]} VERSION`, or remove it: "
                    f"`tunewise models rm {aliases[0]}`."
                )
            event = writing.log("removed", name, number=number)
            writing.db.execute(
                "UPDATE versions SET removed = ? WHERE name = ? AND number = ?",
                (event.time, name, number),
            )
        shutil.rmtree(self._file.folder_of(name, number), ignore_errors=True)
        with suppress(OSError):  # others of that name are there
            self._file.folder_of(name, number).parent.rmdir()

    def note_export(self, version: Version, *, to: str, place: Path, sha256: str | None) -> None:
        """Writes down what was made of a version.

        Args:
            version: that was exported.
            to: `adapter`, `merged`, `gguf`, `ollama` or `prompt`.
            place: where it was written.
            sha256: of the file, where it is one.

        Raises:
            UserError: there is no such version any more.
        """
        facts = {"to": to, "place": str(place), **({"sha256": sha256} if sha256 else {})}
        with self._file.writing() as writing:
            self._refuse_unknown(writing.db, version.name, version.number)
            writing.log("exported", version.name, number=version.number, facts=facts)

    def history(self, name: str) -> tuple[Event, ...]:
        """All that happened to versions and aliases of a name, the oldest first."""
        with self._file.reading() as db:
            return _events(db, name)

    def _versions(self, db: sqlite3.Connection, name: str | None = None) -> tuple[Version, ...]:
        rows = db.execute(
            "SELECT name, number, created, lineage FROM versions WHERE removed IS NULL "
            "AND (? IS NULL OR name = ?) ORDER BY name, number",
            (name, name),
        )
        return tuple(
            Version(
                name=of,
                number=number,
                folder=self._file.folder_of(of, number),
                created=created,
                lineage=LINEAGE.validate_json(lineage),
            )
            for of, number, created, lineage in rows
        )

    def _refuse_unknown(self, db: sqlite3.Connection, name: str, number: int) -> None:
        own = [one.number for one in self._versions(db, name)]
        if number not in own:
            there = ", ".join(f"{name}@{one}" for one in own)
            raise UserError(
                f"{name}@{number}: there is no such version. "
                + (f"There are {there}." if own else "`tunewise models list` shows all.")
            )

    def _pointing(self, db: sqlite3.Connection, name: str, alias: str) -> int:
        """The number that an alias points to."""
        number = _now(db, name, alias)
        if number is None:
            query = "SELECT alias FROM aliases WHERE name = ? ORDER BY alias"
            there = ", ".join(f"{name}@{one}" for (one,) in db.execute(query, (name,)))
            raise UserError(
                f"{name}@{alias}: there is no such alias. "
                + (f"There are {there}." if there else "`tunewise models list` shows all.")
            )
        return number


def _now(db: sqlite3.Connection, name: str, alias: str) -> int | None:
    query = "SELECT number FROM aliases WHERE name = ? AND alias = ?"
    row = db.execute(query, (name, alias)).fetchone()
    return None if row is None else cast("int", row[0])


def _events(db: sqlite3.Connection, name: str) -> tuple[Event, ...]:
    query = (
        "SELECT seq, time, kind, name, number, alias, facts FROM events WHERE name = ? ORDER BY seq"
    )
    return tuple(
        Event(
            seq=seq,
            time=when,
            kind=cast("Kind", kind),
            name=of,
            number=number,
            alias=alias,
            facts=json.loads(facts),
        )
        for seq, when, kind, of, number, alias, facts in db.execute(query, (name,))
    )


def _moved(name: str, alias: str, before: int | None, now: int | None) -> Moved:
    return Moved(
        id=f"{name}@{alias}",
        before=None if before is None else f"{name}@{before}",
        now=None if now is None else f"{name}@{now}",
    )
