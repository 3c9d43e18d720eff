"""How fast something may go: token buckets, alone or one for each address."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

MANY_BUCKETS = 1000  # from here on, buckets that are full again are forgotten


@dataclass
class TokenBucket:
    """At most `burst` tokens at once, refilled at `rate` a second; it begins full.

    Attributes:
        rate: tokens a second.
        burst: tokens that it holds.
        clock: seconds, from any start.
    """

    rate: float
    burst: float
    clock: Callable[[], float] = time.monotonic
    _tokens: float = field(init=False)
    _filled: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens, self._filled = self.burst, self.clock()

    def delay(self) -> float:
        """Seconds until there is a token; 0 if there is one now."""
        now = self.clock()
        self._tokens, self._filled = min(self.burst, self._tokens + (now - self._filled) * self.rate), now
        return max(0.0, (1 - self._tokens) / self.rate)

    def take(self) -> bool:
        """Take a token; false if there is none."""
        if self.delay():
            return False
        self._tokens -= 1
        return True

    @property
    def is_full(self) -> bool:
        """Whether nothing is missing, so that a new bucket would do as well."""
        self.delay()
        return self._tokens >= self.burst


class AddressBuckets:
    """One bucket for each address, which outlives the address's connections: reconnecting does not refill it."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: dict[str, TokenBucket] = {}

    def find(self, address: str) -> TokenBucket:
        """The address's bucket."""
        if len(self._buckets) >= MANY_BUCKETS:
            self._buckets = {known: bucket for known, bucket in self._buckets.items() if not bucket.is_full}
        return self._buckets.setdefault(address, TokenBucket(self._rate, self._burst))
