"""What a number that a run is judged by means: its name to print, range and better direction."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Quantity:
    """How to read a number."""

    label: str
    better: Literal["higher", "lower", "near 1", ""]
    """Empty where neither direction is better."""
    low: float
    high: float | None
    """None: no upper bound."""

    @property
    def range(self) -> str:
        """The range in words."""
        return f"{self.low:g} or more" if self.high is None else f"{self.low:g} to {self.high:g}"
