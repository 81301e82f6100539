"""Command `nous-sentinel`: says what this release of the sentinel can and cannot do."""

import sys
from importlib.metadata import version

_HELP = """\
usage: nous-sentinel [--help] [--version]

The independent verifier of nous-ledger logs.

This release watches nothing yet. These checks come with a later release:
  - following a log: heads only forward, consistent with the last trusted one
  - re-hashing every record, and verifying every signature and key epoch
  - receipt and label rules, subject chains, merge delay
  - witness cosignatures

One receipt can be verified today, offline:
  nous-ledger verify FILE --policy POLICY

options:
  --help     show this text and exit
  --version  show the version and exit
"""


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code: 0 after --help or --version, 2 for anything else.

    Args:
        arguments: the words after the command's name; None reads them from `sys.argv`.

    Returns:
        0 or 2. Asking for a check that does not exist yet is never a success.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["--version"]:
        sys.stdout.write(f"nous-sentinel {version('nous-ledger')}\n")
        return 0
    if given in (["--help"], ["-h"]):
        sys.stdout.write(_HELP)
        return 0
    what = f"unknown arguments: {' '.join(given)}" if given else "nothing to do"
    sys.stderr.write(
        f"nous-sentinel: error: {what}\n"
        "hint: this release has no checks yet; nous-sentinel --help says what is to come\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
