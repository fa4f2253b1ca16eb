"""API keys: made, listed, rotated, removed, and checked. Only their sha256 is ever kept.

They lie in one JSON file that its owner alone may read. A server looks at the file again whenever
it changed, so that a key that is removed is worth nothing at its next use.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError

from tunewise.errors import UserError
from tunewise.storage import home_folder, sync, write_private

Scope: TypeAlias = Literal["chat", "jobs", "admin"]
"""`chat`: chat and embeddings. `jobs`: files and fine-tuning. `admin`: these, and what changes
what others are served."""
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "tw-"
"""By which scanners for leaked secrets know one of ours."""
SECRET_BYTES = 32

Clock: TypeAlias = Callable[[], datetime]


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What is kept of a key: enough to know it again, not enough to use it."""

    name: str
    """What a person calls it; in logs too."""
    sha256: str
    """Of the secret, hex."""
    scopes: tuple[Scope, ...]
    created: datetime
    rotated: datetime | None = None
    """When its secret was last replaced."""
    old_sha256: str | None = None
    """Of the secret before."""
    old_until: datetime | None = None
    """Until when that one is still taken."""

    def may(self, scopes: Sequence[Scope]) -> bool:
        """Whether it has one of the scopes; `admin` stands for all."""
        return "admin" in self.scopes or any(scope in self.scopes for scope in scopes)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key in the only moment in which its secret is known."""

    secret: str
    key: Key


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    keys: tuple[Key, ...] = ()
    schema: Literal[1] = 1


_FILE = TypeAdapter(_File)


def keys_file() -> Path:
    """Where keys lie."""
    return home_folder() / "keys.json"


@dataclass(slots=True)
class KeyFile:
    """The keys of a machine.

    Args:
        path: of the file; it may be missing, which means that there is no key.
        clock: tells when a rotated secret is no longer taken.
    """

    path: Path
    clock: Clock = now
    _seen: tuple[int, ...] | None = field(default=None, init=False)
    _keys: tuple[Key, ...] = field(default=(), init=False)

    def keys(self) -> tuple[Key, ...]:
        """All keys, in the order in which they were made; read anew when the file changed.

        Raises:
            UserError: the file is damaged, or cannot be read.
        """
        try:
            about = self.path.stat()
            stamp = (about.st_mtime_ns, about.st_size, about.st_ino)
            if stamp != self._seen:
                self._keys = _FILE.validate_json(self.path.read_bytes()).keys
                self._seen = stamp
        except FileNotFoundError:
            self._keys, self._seen = (), None
        except OSError as error:
            raise UserError(f"{self.path}: the keys cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            raise UserError(
                f"{self.path}: the file of keys is damaged. Put back a copy, or remove it and make "
                "new keys with `tunewise keys new`."
            ) from error
        return self._keys

    def find(self, secret: str) -> Key | None:
        """The key with that secret, or None. How long it takes tells nothing of the keys.

        Raises:
            UserError: see `keys`.
        """
        shown = _sha256(secret)
        at = self.clock()
        found = None
        for key in self.keys():
            old = key.old_sha256 if key.old_until and at < key.old_until else None
            for known in (key.sha256, old or ""):
                if hmac.compare_digest(shown, known):
                    found = key
        return found

    def new(self, name: str, scopes: Sequence[Scope]) -> NewKey:
        """Makes a key.

        Raises:
            UserError: the name is taken or empty, or there is no scope.
        """
        if not name.strip() or not name.isprintable():
            raise UserError("A key needs a name, for lists and logs: `tunewise keys new NAME`.")
        if not scopes:
            raise UserError(f"A key needs a scope: {', '.join(SCOPES)}.")
        with self._locked():
            if any(key.name == name for key in self.keys()):
                raise UserError(
                    f"There is a key {name!r} already. `tunewise keys rotate {name}` gives it a "
                    "new secret."
                )
            secret = _secret()
            key = Key(
                name=name,
                sha256=_sha256(secret),
                scopes=tuple(scope for scope in SCOPES if scope in scopes),
                created=self.clock(),
            )
            self._write((*self.keys(), key))
        return NewKey(secret=secret, key=key)

    def rotate(self, name: str, *, keep_old: timedelta = timedelta()) -> NewKey:
        """Gives a key a new secret.

        Args:
            name: of the key.
            keep_old: how long the secret before is still taken, for clients that cannot change
                at once.

        Raises:
            UserError: there is no such key.
        """
        with self._locked():
            before = self._named(name)
            secret, at = _secret(), self.clock()
            key = replace(
                before,
                sha256=_sha256(secret),
                rotated=at,
                old_sha256=before.sha256 if keep_old else None,
                old_until=at + keep_old if keep_old else None,
            )
            self._write([key if one.name == name else one for one in self.keys()])
        return NewKey(secret=secret, key=key)

    def remove(self, name: str) -> None:
        """Forgets a key.

        Raises:
            UserError: there is no such key.
        """
        with self._locked():
            self._named(name)
            self._write([key for key in self.keys() if key.name != name])

    def _named(self, name: str) -> Key:
        known = {key.name: key for key in self.keys()}
        if name not in known:
            raise UserError(f"There is no key {name!r}. Known: {', '.join(known) or 'none'}.")
        return known[name]

    def _locked(self) -> FileLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UserError(f"{self.path.parent} cannot be made: {error.strerror}.") from error
        return FileLock(self.path.with_name(f".{self.path.name}.lock"), mode=0o600)

    def _write(self, keys: Sequence[Key]) -> None:
        """Replaces the file, which is never readable for others, not for a moment."""
        content = _FILE.dump_json(_File(keys=tuple(keys)), indent=1) + b"\n"
        try:
            write_private(self.path, content).rename(self.path)
            sync(self.path.parent)
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}.") from error
        self._seen = None


def _secret() -> str:
    return PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", errors="replace")).hexdigest()
