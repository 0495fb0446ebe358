#!/usr/bin/env python3
"""Check all that dvc.lock records, byte by byte, and put back what is damaged or missing.

DVC itself trusts write-protected files of its cache, and where one file of a folder can be had
nowhere, `dvc pull` and `dvc checkout` remove the whole folder.
"""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from dvc.exceptions import DvcException
from dvc.repo import Repo


def main() -> int:
    """Restore what can be; the exit code is 1 if something must be made again."""
    repo = Repo()
    files = list(recorded(repo))
    for _, _, copy in files:
        if copy.exists() and md5(copy) != copy.parent.name + copy.name:
            print(f"damaged in the cache, removed: {copy}")
            copy.unlink()
    if any(not copy.exists() for _, _, copy in files):
        fetch(repo)
    lost = [path for path, oid, copy in files if not restore(path, oid, copy)]
    for path in lost:
        print(f"lost: {path}")
    if lost:
        print("`dvc repro` makes what is lost again, and only that")
    return bool(lost)


def recorded(repo: Repo) -> Iterator[tuple[Path, str, Path]]:
    """Yield every recorded file with its MD5 and its place in the cache."""
    for out in repo.index.outs:
        if not out.hash_info:
            sys.exit("dvc.lock records nothing: there is nothing to restore")
        try:
            folder = out.get_obj()
        except DvcException as error:
            sys.exit(f"restore: the list of files of {out} is lost: {error}")
        for key, _, found in folder or ():
            copy = Path(out.cache.oid_to_path(found.value))
            yield Path(out.fs_path).joinpath(*key), found.value, copy


def fetch(repo: Repo) -> None:
    """Ask the remote, if there is one, for what the cache lacks."""
    try:
        repo.fetch()
    except DvcException as error:
        print(f"not everything is in a remote: {error}")


def restore(path: Path, oid: str, copy: Path) -> bool:
    """Put a file back unless it is whole; return whether it is now."""
    if path.exists() and md5(path) == oid:
        return True
    path.unlink(missing_ok=True)
    if not copy.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(copy, path)
    print(f"restored: {path}")
    return True


def md5(path: Path) -> str:
    """Return the MD5 by which DVC names a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
