"""`python -m betagvae` is the command `betagvae`."""

import sys

from betagvae.cli import main

sys.exit(main())
