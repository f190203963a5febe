"""Waiting between tries, without hurry and without marching in step."""

import random
from typing import Optional


class Backoff:
    """Exponential backoff with full jitter: each wait is random between nothing and a bound that doubles up to ``most``."""

    def __init__(self, first: float, most: float) -> None:
        self._first, self._most, self._bound = first, most, first

    def next(self, at_least: Optional[float] = None) -> float:
        """The next wait in seconds; not less than somebody asked for."""
        wait = random.uniform(0, self._bound)
        self._bound = min(self._bound * 2, self._most)
        return max(wait, at_least or 0.0)

    def reset(self) -> None:
        """It worked: the next failure starts small again."""
        self._bound = self._first
