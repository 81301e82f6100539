"""Command `nous-sentinel`, and `python -m sentinel`."""

from __future__ import annotations


def main() -> None:
    """Run the command and leave with its exit code."""
    # Processes that check records import this module too, and need no command line.
    from sentinel.cli import main as run  # noqa: PLC0415

    run()


if __name__ == "__main__":
    main()
