"""Image arrays of a test's own making, as the data stage would write them."""

from betagvae.data.arrays import ArrayWriter


def write_array(path, images, *, splits, packed=False, **described):
    """Write images, uint8 N×C×64×64 (packed: N×C×64×8), with their JSON; return the path."""
    with ArrayWriter(path, channels=images.shape[1], packed=packed) as writer:
        writer.append(images)
        known = {"dataset": "toy", "source": "drawn", "stand_in": True, "preprocessing": {}}
        writer.finish(splits=splits, **{**known, **described})
    return path
