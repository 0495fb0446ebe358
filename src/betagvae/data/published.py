"""A published file, and how to tell whether another one is the same."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16  # bytes


@dataclass(frozen=True)
class Published:
    """A file as its publishers describe it."""

    name: str
    urls: tuple[str, ...]
    """Where it can be had, in the order to try."""
    digest: str
    """Its hash as its publishers give it, hexadecimal: MD5 or SHA-256."""
    bytes: int | None = None
    """Its size; None: not known."""
    certain: bool = True
    """Whether the hash is beyond doubt; a file that differs from a doubtful one is accepted."""

    @property
    def algorithm(self) -> str:
        """The hash's name, which its length tells."""
        return "md5" if len(self.digest) == 32 else "sha256"

    def difference(self, record: dict[str, Any]) -> str:
        """Say how the hash of a file differs from the published one."""
        name = {"md5": "MD5", "sha256": "SHA-256"}[self.algorithm]
        return f"{name} {record[self.algorithm]} instead of {self.digest}"

    def record(self, path: Path) -> dict[str, Any]:
        """Return a file's ``bytes``, ``md5``, ``sha256`` and ``as_published``; it is read once."""
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        with path.open("rb") as content:
            while chunk := content.read(_CHUNK):
                md5.update(chunk)
                sha256.update(chunk)
        hashes = {"md5": md5.hexdigest(), "sha256": sha256.hexdigest()}
        as_published = hashes[self.algorithm] == self.digest
        return {"bytes": path.stat().st_size, **hashes, "as_published": as_published}
