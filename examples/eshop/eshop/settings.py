"""settings.toml -> Settings."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eshop.errors import DeskError

FunctionName = Literal["triage", "summary", "reply", "analyst", "search"]


class Function(BaseModel):
    """What one function of the desk is answered by."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(max_length=512)] | None = None
    """Base model, version or alias; None or empty: the function is off."""
    project: Path | None = None
    """The Tunewise project whose rows teach it."""
    instruct: bool = False
    """Whether the project's instruction goes along, as a bare base model needs it."""


class Functions(BaseModel):
    """All five; one that is not named is off."""

    model_config = ConfigDict(extra="forbid")

    triage: Function = Function()
    summary: Function = Function()
    reply: Function = Function()
    analyst: Function = Function()
    search: Function = Function()


class Settings(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Path()
    """Where paths start: the folder of the file."""
    server: Annotated[str, Field(pattern=r"^https?://")] = "http://127.0.0.1:8642/v1"
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 30
    """Seconds that the server may be silent."""
    database: str = "sqlite:///desk.sqlite"
    """SQLAlchemy's URL; a relative SQLite file lies in `folder`."""
    orders: Path = Path("shop.sqlite")
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    functions: Functions = Functions()

    def function(self, name: FunctionName) -> Function:
        """The settings of one function."""
        return getattr(self.functions, name)

    @property
    def orders_file(self) -> Path:
        """The file of the shop's orders."""
        return self.folder / self.orders

    @property
    def database_url(self) -> str:
        """The URL, with a relative SQLite file put into `folder`."""
        head, file = self.database[:10], self.database[10:]
        if head == "sqlite:///" and not file.startswith(("/", ":")):
            return f"{head}{self.folder.resolve() / file}"
        return self.database

    @property
    def key(self) -> str:
        """What the server is given as its key."""
        return os.environ.get("ESHOP_KEY") or "none"

    def instruction(self, name: FunctionName) -> str | None:
        """The project's instruction, where the function sends one.

        Raises:
            DeskError: the project has none that can be read.
        """
        function = self.function(name)
        if not function.instruct:
            return None
        file = self.folder / (function.project or "") / "tunewise.toml"
        try:
            return str(tomllib.loads(file.read_text("utf-8"))["task"]["instruction"]).strip()
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise DeskError(
                f"functions.{name}.instruct: {file} holds no instruction. Name the project's "
                "folder in `project`, or set `instruct = false`."
            ) from error


def read_settings(file: Path) -> Settings:
    """Reads the file.

    Raises:
        DeskError: it is not there, is no TOML, or holds what no setting takes; all faults at once.
    """
    try:
        told = tomllib.loads(file.read_text("utf-8"))
        settings = Settings.model_validate({**told, "folder": file.parent})
    except OSError as error:
        raise DeskError(f"{file}: {error.strerror}. Name another with --settings.") from error
    except ValidationError as error:
        faults = [
            f"{file}: {'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise DeskError("\n".join(faults)) from error
    except ValueError as error:
        raise DeskError(f"{file}: {error}") from error
    for name in Functions.model_fields:
        settings.instruction(name)
    return settings
