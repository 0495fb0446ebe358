"""What trainings tell while they advance: the rows of `history.csv`, and how far they are."""

import logging
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from betagvae.settings.setting import number
from betagvae.settings.training import WEIGHTS, TrainingSettings
from betagvae.training.engine import Engine

log = logging.getLogger(__name__)
SYMBOLS = {"beta": "β", "gamma": "γ"}
"""Weights that the paper has, in its notation."""


def name_of(settings: TrainingSettings) -> str:
    """Return a training in words."""
    weights = {weight: getattr(settings, weight) for weight in WEIGHTS}
    shown = [f"{SYMBOLS.get(w, w)} = {number(v)}" for w, v in weights.items() if v or w in SYMBOLS]
    return f"{', '.join(shown)}, seed {settings.seed}"


class History:
    """The rows of one training's history, each the mean of every column over `log_every` steps."""

    def __init__(
        self, engine: Engine, number: int, saved: dict[str, Any] | None, detail: str = ""
    ) -> None:
        """Begin the history of an engine's training of a number, or go on from what is saved."""
        self.engine, self.number = engine, number
        self.settings = engine.settings[number]
        self.name = name_of(self.settings) + (f" ({detail})" if detail else "")
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self.failure: str | None = None
        if saved:
            engine.restore(number, saved["trainer"])
            self.rows, self.seconds = saved["rows"], saved["seconds"]
            log.info("%s: going on from step %d", self.name, engine.step_number)
        else:
            log.info("%s: starting", self.name)

    @property
    def left(self) -> int:
        """Steps that are still to be taken."""
        return 0 if self.failure else self.settings.steps - self.engine.step_number

    def add_row(self, means: dict[str, float]) -> None:
        """Note the means of the columns since the last row."""
        step = self.engine.step_number
        self.rows.append({"step": step, **means})
        if not math.isfinite(loss := self.rows[-1]["loss"]):
            self.failure = f"{self.name}: the loss is {loss} at step {step}"
            log.warning("%s; it ends here", self.failure)

    def state(self) -> dict[str, Any]:
        """Return all that a cut training goes on from."""
        state = self.engine.state(self.number)
        return {"trainer": state, "rows": self.rows, "seconds": self.seconds}


class Progress:
    """A bar for a person at a terminal, a line every half minute for a log; steps of all runs."""

    def __init__(self, histories: Sequence[History]) -> None:
        self.histories = histories
        self.first = self._steps()
        self.started = self.logged = time.monotonic()
        self.bar = tqdm(
            total=self.first + self._left(),
            initial=self.first,
            unit="step",
            disable=not sys.stderr.isatty(),
        )

    def _steps(self) -> int:
        return sum(history.engine.step_number for history in self.histories)

    def _left(self) -> int:
        return sum(history.left for history in self.histories)

    def show(self) -> None:
        """Tell the speed, the time left and where the first training stands."""
        step, left = self._steps(), self._left()
        self.bar.update(step - self.bar.n)
        now = time.monotonic()
        if self.bar.disable and (now - self.logged > 30 or not left):
            speed = (step - self.first) / (now - self.started)
            first = self.histories[0]
            log.info(
                "step %d of %d, %.1f steps/s, %.0f s left; %s: reconstruction error %.3f, KL %.3f",
                *(step, step + left, speed, left / speed, first.name),
                *(first.rows[-1]["reconstruction_error"], first.rows[-1]["kl"]),
            )
            self.logged = now
