"""`python -m avstream`, and the `avstream` command."""

import sys

from avstream.cli import main

if __name__ == "__main__":
    sys.exit(main())
