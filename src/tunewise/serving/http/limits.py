"""How much of everything one server takes on. Each limit has a clear answer beyond it."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from tunewise.errors import UserError
from tunewise.serving.http.errors import ApiError


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of a server."""

    running: int = 32
    """Requests that the engine works on at once."""
    queue: int = 64
    """Requests that wait beside them; further ones get a 429 at once."""
    body_bytes: int = 4 * 2**20
    """Of a request; a 413 beyond it."""
    upload_bytes: int = 512 * 2**20
    """Of a request that uploads a file."""
    body_seconds: float = 60.0
    """For a request's body to arrive; of an upload for each part of it."""
    header_seconds: float = 10.0
    """For a request's headers to arrive."""
    send_seconds: float = 60.0
    """For a client to take a part of an answer; one that does not is hung up on."""
    drain_seconds: float = 30.0
    """For running requests to end once the server was told to."""
    rate: str | None = None
    """Requests of one key, as `60/minute`; None: any number."""


class Rates:
    """Counts requests by key, in a sliding window.

    Args:
        rate: `60/minute`, `5/second`, several joined by `;`. None: nothing is counted.
        clock: Unix seconds.

    Raises:
        UserError: it is none of these.
    """

    def __init__(self, rate: str | None, *, clock: Callable[[], float] = time.time) -> None:
        self._items = _read(rate)
        self._clock = clock
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, who: str) -> None:
        """Counts a request.

        Args:
            who: the name of a key, or an address.

        Raises:
            ApiError: 429, with the seconds after which the next one is let through.
        """
        for item in self._items:
            if not await self._limiter.hit(item, who):
                stats = await self._limiter.get_window_stats(item, who)
                seconds = max(1, math.ceil(stats.reset_time - self._clock()))
                raise ApiError(
                    429,
                    f"More requests than {item}. Ask again in {seconds} s.",
                    code="rate_limit_exceeded",
                    headers={"Retry-After": str(seconds)},
                )


def _read(rate: str | None) -> list[RateLimitItem]:
    try:
        return [] if rate is None else parse_many(rate)
    except ValueError as error:
        raise UserError(
            f"--rate {rate!r} is no rate. Write 60/minute, or 5/second;600/hour."
        ) from error
