"""The command `sinyal-provision`, also as `python -m provisioning`."""

import sys

from provisioning.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
