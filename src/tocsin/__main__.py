"""Where the program starts. Picks the short way for what must be quick, and keeps tracebacks from users."""

import os
import sys


def main() -> int:
    """Run the command line of this process and return its exit code.

    `status` and `check` answer 0 ok, 1 warning, 2 critical, 3 unknown, and 3 for everything that goes wrong. All other
    commands: 0 done, 1 refused or failed, 3 a mistake in the command line, the configuration or Tocsin, 130 stopped.
    """
    from tocsin.cli import _fast  # noqa: PLC0415 - inside the net

    argv = ["version"] if sys.argv[1:] == ["--version"] else sys.argv[1:]
    try:
        if _fast.takes(argv):
            return _fast.run(argv)
        from tocsin.cli.main import run  # noqa: PLC0415 - loads typer

        return run(argv)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader has gone; the interpreter must not find that out again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except Exception as error:  # noqa: BLE001 - the last net: no traceback, and never 1 or 2 for a bug in a check
        return _internal(argv, error)


def _internal(argv: list[str], error: Exception) -> int:
    from tocsin.cli import _fast  # noqa: PLC0415
    from tocsin.secret import redact  # noqa: PLC0415 - only here

    if os.environ.get("TOCSIN_DEBUG"):
        import traceback  # noqa: PLC0415 - only here

        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    name = argv[0] if argv else ""
    said = f"internal error: {type(error).__name__}: {error}; TOCSIN_DEBUG=1 shows where"
    return _fast.complain(name, redact(said))


if __name__ == "__main__":
    sys.exit(main())
