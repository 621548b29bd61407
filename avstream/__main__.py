"""`python -m avstream`, and the `avstream` command."""

from typing import NoReturn

from avstream.workers import without_pools


def entry() -> NoReturn:
    """The program, from before anything large is imported."""
    without_pools()
    from avstream import cli

    cli.entry()


if __name__ == "__main__":
    entry()
