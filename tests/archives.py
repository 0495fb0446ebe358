"""Small archives in the layout of the published ones, whole or with faults in them."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def jpeg(seed: int, size: tuple[int, int] = (178, 218)) -> bytes:
    """A smooth colour picture, width × height."""
    return encode(_picture(seed, size, 3), "JPEG", quality=92)


def png(seed: int, size: tuple[int, int] = (600, 600), mode: str = "RGB") -> bytes:
    """A picture whose middle is darker than its white rim."""
    picture = _picture(seed, size, 3)
    picture[:90], picture[:, :90], picture[-90:], picture[:, -90:] = 255, 255, 255, 255
    return encode(picture, "PNG", mode=mode, compress_level=1)


def _picture(seed: int, size: tuple[int, int], channels: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 200, (5, 4, channels), dtype=np.uint8)
    return np.array(Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR))


def encode(picture: np.ndarray, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """Encode H×W×C bytes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def celeba(
    folder: Path, splits: str = "0001122", replace: Mapping[str, bytes | None] | None = None
) -> tuple[Path, Path]:
    """Write img_align_celeba.zip and list_eval_partition.txt.

    Parameters
    ----------
    splits
        The split of each image: 0 train, 1 validation, 2 test.
    replace
        Other content for some names; None leaves the image out of the zip.
    """
    names = [f"{number:06}.jpg" for number in range(1, len(splits) + 1)]
    content = {name: jpeg(seed) for seed, name in enumerate(names, 1)} | dict(replace or {})
    archive, partition = folder / "img_align_celeba.zip", folder / "list_eval_partition.txt"
    with zipfile.ZipFile(archive, "w") as file:
        file.mkdir("img_align_celeba")
        for name, data in content.items():
            if data is not None:
                file.writestr(f"img_align_celeba/{name}", data)
    lines = [f"{name} {split}\n" for name, split in zip(names, splits, strict=True)]
    partition.write_text("".join(lines))
    return archive, partition


def model(number: int) -> str:
    """The name of a chair model, 32 hexadecimal digits."""
    return f"{number:032x}"


def render(model_number: int, view: int) -> str:
    """The path of a render in the archive."""
    name = f"image_{view:03}_p020_t{view * 12:03}_r096.png"
    return f"rendered_chairs/{model(model_number)}/renders/{name}"


def chairs(
    folder: Path,
    models: int = 4,
    views: int = 2,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write rendered_chairs.tar, its models in no order; ``extra`` adds or replaces files."""
    content = {
        render(number, view): png(100 * number + view)
        for number in reversed(range(models))
        for view in range(1, views + 1)
    }
    content = {"rendered_chairs/all_chair_names.mat": b"names"} | content | dict(extra or {})
    path = folder / "rendered_chairs.tar"
    with tarfile.open(path, "w") as file:
        folder_entry = tarfile.TarInfo(f"rendered_chairs/{model(99)}/renders")
        folder_entry.type = tarfile.DIRTYPE
        file.addfile(folder_entry)
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return path


def dsprites(folder: Path, images: np.ndarray, classes: np.ndarray) -> Path:
    """Write a dSprites npz, with a ``metadata`` that must not be unpickled."""
    path = folder / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    metadata = np.array({"author": "nobody"}, dtype=object)
    np.savez(path, imgs=images, latents_classes=classes, metadata=metadata)
    return path
