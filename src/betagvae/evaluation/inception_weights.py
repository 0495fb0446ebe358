"""Getting the weights of the feature network that no package brings along."""

from pathlib import Path

from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

from betagvae.data.fetch import Published, obtain
from betagvae.errors import UserError
from betagvae.records.files import whole_file

INCEPTION_WEIGHTS = Published(
    name="weights-inception-2015-12-05-6726825d.pth",
    urls=(URL_INCEPTION_V3,),
    digest="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    bytes=95628359,
)
"""torch-fidelity's port of the TensorFlow network of 2015 that every published FID is from."""


def fetch_weights(output: Path, *, own: Path | None, urls: tuple[str, ...], folder: Path) -> None:
    """Write the weights of Inception-v3: the user's own copy or a download.

    Parameters
    ----------
    output
        Where the weights go once their hash was checked.
    own, urls, folder
        As for `betagvae.data.fetch.obtain`.

    Raises
    ------
    UserError
        When they cannot be had, or a copy is not of the published ones: by others it is not FID.
    """
    try:
        found = obtain(
            INCEPTION_WEIGHTS, own=own, extra_urls=urls, folder=folder, key="quality.weights.path"
        )
    except UserError as error:
        raise UserError(f"{error}; or choose another network as quality.features") from error
    if not found.record["as_published"]:
        raise UserError(
            f"{found.path} is not the published {INCEPTION_WEIGHTS.name} (it has "
            f"{INCEPTION_WEIGHTS.difference(found.record)}): set quality.weights.path to a copy "
            "of that, or to null"
        )
    with whole_file(output) as part:
        part.write_bytes(found.path.read_bytes())
