"""What tests of jobs share: a data base of either kind, and a home with its files."""

import secrets
from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest

from postgres_server import postgres
from tunewise.serving.jobs.database import Database
from tunewise.serving.jobs.service import Jobs, open_jobs


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Generator[Database]:
    found = Database(f"sqlite:///{tmp_path / 'jobs.sqlite3'}", clock=clock)
    yield found
    found.close()


@pytest.fixture(scope="session")
def postgres_url() -> Generator[str]:
    with postgres() as url:
        yield url


@pytest.fixture
def jobs(tmp_path: Path) -> Generator[Jobs]:
    found = open_jobs(home=tmp_path / "home", max_file_bytes=2_000_000)
    yield found
    found.close()


@pytest.fixture
def own_postgres_url(postgres_url: str) -> str:
    """Of a data base that no other test has seen."""
    name = f"own_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return postgres_url.replace("///postgres?", f"///{name}?")
