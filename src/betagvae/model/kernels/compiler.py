"""What Triton needs besides itself."""

import os
import sysconfig
from pathlib import Path
from shutil import which

from betagvae.errors import UserError


def check_compiler() -> None:
    """Raise `UserError` where Triton cannot link its kernels to Python."""
    # Debian's default scheme is of what is installed by hand, where there are no headers.
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    headers = Path(sysconfig.get_path("include", scheme), "Python.h").exists()
    compiler = os.environ.get("CC") or which("gcc") or which("clang")
    if not (compiler and headers):
        raise UserError(
            "a GPU's kernels are compiled when they are first used, which needs a C compiler and "
            "Python's headers (Debian: apt install gcc libc6-dev python3-dev)"
        )
