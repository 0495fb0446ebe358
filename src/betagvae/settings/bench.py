"""Settings of the measurement of speed and memory: `bench` of the configuration."""

from dataclasses import dataclass

from betagvae.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """How a machine is measured."""

    rounds: int = setting(
        "how often everything is measured, in turn; medians are over rounds", 7, least=1
    )
    seconds: float = setting("about how long one measurement takes", 1.0, unit="s", above=0)
