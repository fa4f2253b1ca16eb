"""Logs as JSON lines on stderr: one a request, and what libraries have to say."""

import logging
import sys
import traceback
from typing import Any

import structlog
from structlog.types import ExcInfo, Processor

MAX_CAUSES = 5
"""Exceptions behind one another that are told."""


def write_json_logs(level: int = logging.INFO) -> None:
    """Has structlog, and the loggers of uvicorn and other libraries, write JSON lines to stderr.

    Args:
        level: what is less is not written; of other libraries nothing below a warning is.
    """
    log_as_json(level)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))


def log_as_json(level: int = logging.INFO) -> None:
    """Has structlog alone do so."""
    structlog.configure(
        processors=[*_shared(), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_where),
    ]


def _where(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """The kind of an exception and its way, and those behind it. Not what it says: that may quote
    a request."""
    told: list[dict[str, Any]] = []
    behind: BaseException | None = exc_info[1]
    while behind is not None and len(told) < MAX_CAUSES:
        frames = traceback.extract_tb(behind.__traceback__)
        way = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        told.append({"type": type(behind).__name__, "way": way})
        behind = behind.__cause__ or behind.__context__
    return told
