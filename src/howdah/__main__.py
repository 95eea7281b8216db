"""The program `howdah`, also as `python -m howdah`: says plainly what it lacks."""

import sys

from howdah.errors import HowdahError

__all__ = ("main",)

_INTERRUPTED = 130


def main() -> None:
    """Run the command line; an error is one line, an interruption no traceback."""
    try:
        _run()
    except HowdahError as error:
        sys.exit(f"error: {error.message}")
    except KeyboardInterrupt:
        sys.stderr.write("\nAborted.\n")
        sys.exit(_INTERRUPTED)


def _run() -> None:
    try:
        from howdah.cli import app
    except ModuleNotFoundError as exc:
        if exc.name not in {"rich", "typer"}:
            raise
        sys.exit(
            f"error: the command line needs {exc.name}, which is not installed: "
            "pip install 'howdah[cli]'"
        )
    app(prog_name="howdah")


if __name__ == "__main__":
    main()
