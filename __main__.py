"""The command ``stackbone``, and ``python -m stackbone``: an interrupt ends it with a line from the first import on."""

from __future__ import annotations

from stackbone.commands.shared import interrupts


def main() -> None:
    """Run the command line and exit, as `cli.main` does."""
    interrupts.guard()
    from stackbone.cli import main

    main()


if __name__ == "__main__":
    main()
