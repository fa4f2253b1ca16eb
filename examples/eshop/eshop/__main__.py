"""The desk's command line: `python -m eshop seed | serve | start | export FUNCTION`."""

import argparse
import sys
from pathlib import Path
from typing import get_args

import uvicorn
from sqlalchemy.exc import SQLAlchemyError

from eshop.corrections import log_lines
from eshop.errors import DeskError
from eshop.seed import seed_orders, seed_tickets
from eshop.settings import FunctionName, Settings, read_settings
from eshop.shop import Shop
from eshop.start import choose_models, served, table, with_models
from eshop.tables import open_database
from eshop.web import create_app, open_desk

HOST = "127.0.0.1"
"""The desk asks nobody for a password: it listens on this machine alone."""


def main() -> int:
    """Runs a command; 1 where something has to be set right first."""
    given = _arguments().parse_args()
    try:
        settings = read_settings(given.settings)
        match given.command:
            case "seed":
                built = seed_orders(settings.orders_file)
                count = seed_tickets(
                    open_database(settings.database_url), Shop(settings.orders_file)
                )
                _say(f"orders: {'built' if built else 'there already'}; tickets: {count} added")
            case "export":
                lines = log_lines(open_desk(settings).said(), given.function)
                sys.stdout.writelines(lines)
            case "start":
                seed_orders(settings.orders_file)
                seed_tickets(open_database(settings.database_url), Shop(settings.orders_file))
                chosen = choose_models(settings, quick=given.quick, say=_say)
                _say("\n".join(table(chosen)))
                with served(settings, say=_say):
                    _serve(with_models(settings, chosen), given.port)
            case _:
                _serve(settings, given.port)
    except (DeskError, SQLAlchemyError) as error:
        _say(str(error))
        return 1
    return 0


def _serve(settings: Settings, port: int) -> None:
    app = create_app(settings)
    _say(f"The desk: http://{HOST}:{port}/")
    uvicorn.run(app, host=HOST, port=port, log_level="warning")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="eshop", description=__doc__)
    own = Path(__file__).resolve().parents[1] / "settings.toml"
    parser.add_argument("--settings", type=Path, default=own)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("seed", help="makes the databases")
    serve = commands.add_parser("serve", help="starts the desk")
    serve.add_argument("--port", type=int, default=8700)
    start = commands.add_parser(
        "start", help="decides where nothing is decided, names the winners, starts models and desk"
    )
    start.add_argument("--port", type=int, default=8700)
    start.add_argument(
        "--quick", action="store_true", help="decides nothing: runs that are there, or what ships"
    )
    export = commands.add_parser(
        "export", help="writes what agents said, for tunewise data from-logs"
    )
    export.add_argument("function", choices=[n for n in get_args(FunctionName) if n != "search"])
    return parser


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
