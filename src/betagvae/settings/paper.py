"""Settings of tables, figures and claims: `tables` and `figures` of the configuration."""

from dataclasses import dataclass

from betagvae.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class TableSettings:
    """Settings of tables, of Figs. 4 and 5 and of the claims."""

    level: float = setting(
        "confidence level of the intervals over seeds (Student's t), in tables, figures and claims",
        0.95,
        above=0,
        below=1,
    )


@dataclass(frozen=True, kw_only=True)
class TraversalSettings:
    """Settings of Figs. 6 to 8."""

    columns: int = setting("values of each latent; ten, as in Figs. 6–8", 10, least=2)
    low: float = setting("first value", -3.0, unit="standard deviations of the prior")
    high: float = setting("last value", 3.0, unit="standard deviations of the prior")
