"""`python -m avstream`, and the `avstream` command."""

from avstream.cli import entry

if __name__ == "__main__":
    entry()
