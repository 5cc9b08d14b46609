"""``python -m bids_app`` is ``musenc-bidsapp``."""

import sys

from bids_app.cli.run import main

if __name__ == "__main__":
    sys.exit(main())
