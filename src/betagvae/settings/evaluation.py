"""Settings of the evaluation: `evaluation` of the configuration."""

from dataclasses import dataclass

from betagvae.settings.setting import setting
from betagvae.settings.training import PRECISIONS


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """What metrics and codes depend on besides model and data."""

    encoded_images: int | None = setting(
        "images of each split to encode, drawn at random; `null`: all. The disentanglement scores "
        "look at these codes",
        None,
        unit="images",
        least=1,
    )
    images: int | None = setting(
        "how many of these to decode as well, for reconstruction error and KL divergence; `null`: "
        "all",
        None,
        unit="images",
        least=1,
    )
    batch_size: int | None = setting(
        "does not change what is measured. `null` means 1,024 images at a time on a GPU and 64 on "
        "a CPU, where 256 were no faster",
        None,
        unit="images",
        least=1,
    )
    seed: int = setting("seed of the posterior sample behind the reconstruction error", 0, least=0)
    threads: int = setting("does not change what is measured", 1, unit="threads", least=1)
    precision: str = setting(
        "as in `training`; float32, whatever the model was trained in, so that all models are "
        "measured alike. In bfloat16 single codes are rounded, and means over images hardly change",
        "float32",
        choices=PRECISIONS,
    )
