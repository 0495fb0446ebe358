"""Settings of image quality: `quality` of the configuration."""

from dataclasses import dataclass
from pathlib import Path

from betagvae.settings.setting import setting

NETWORKS = {
    "inception_v3": "the 2,048 features of Inception-v3 at 299×299, by which FID is defined",
    "efficientnet_lite0": (
        "320 features of EfficientNet-Lite0 (ImageNet) at 64×64, which is not FID and cannot be "
        "compared with published FIDs"
    ),
}
"""What each feature network of `betagvae.evaluation.feature_networks` is."""


@dataclass(frozen=True, kw_only=True)
class QualitySettings:
    """What the numbers depend on besides model and data."""

    features: str = setting(
        "network behind the Fréchet distance. `inception_v3`: the one by which FID is defined; its "
        "weights (96 MB) are downloaded once, with the data. `efficientnet_lite0`: comes with the "
        "installation, for machines that cannot download; its distances compare models here, but "
        "not with published FIDs. The network's name is in every result",
        "inception_v3",
        choices=tuple(NETWORKS),
    )
    images: int = setting(
        "images, and as many samples; at most what the split has. The Fréchet distance is "
        "overestimated the more, the fewer they are, so compare equal numbers only. With 2,048 "
        "features a few thousand are the least",
        10_000,
        unit="images",
        least=2,
    )
    batch_size: int = setting("does not change what is measured", 100, unit="images", least=1)
    seed: int = setting("seed of the choice of images and of the samples", 0, least=0)
    threads: int = setting("does not change what is measured", 1, unit="threads", least=1)


@dataclass(frozen=True, kw_only=True)
class WeightsSettings:
    """Where the weights of `inception_v3` come from."""

    path: Path | None = setting(
        "your own copy of torch-fidelity's weights-inception-2015-12-05-6726825d.pth; `null` "
        "downloads it",
        None,
        unit="path",
    )
    urls: tuple[str, ...] = setting("mirrors to try before the known source", ())
