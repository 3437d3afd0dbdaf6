"""The command line: results on standard output, progress and errors on standard error.

Heavy modules are imported inside the commands that need them, so that ``--help`` stays quick.
"""

from __future__ import annotations

import os
import sys
import traceback

from cyclopts import App, CycloptsError

from emgsim.cli import campaigns, dataset, golden, playing, recordings, rigs, runs
from emgsim.cli.history import history
from emgsim.cli.metrology import metrology
from emgsim.cli.pages import report
from emgsim.cli.requirements import requirements
from emgsim.cli.run import run, schedule
from emgsim.cli.schema import schema
from emgsim.cli.shipped import list_
from emgsim.errors import EmgsimError, UsageError

DEBUG = "--debug"
READER_LEFT = 141  # 128 + SIGPIPE, as a shell counts

app = App(
    name="emgsim",
    help="Hardware-in-the-loop simulator and test bench for electromyography (EMG).",
    help_on_error=False,
    suppress_keyboard_interrupt=False,
    version_flags=["--version"],
)
for command in (
    run,
    schedule,
    playing.play,
    metrology,
    recordings.simulate,
    recordings.analyse,
    recordings.compare,
    recordings.conclude,
    recordings.gallery,
    runs.diff,
    report,
    history,
    requirements,
    schema,
    rigs.arm,
    rigs.disarm,
):
    app.command(command)
app.command(list_, name="list")
app.command(rigs.app)
app.command(campaigns.app)
app.command(dataset.app)
app.command(golden.app)
app.command(runs.app)


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 pass; 1 a limit failed; 2 wrong use; 3 an input is invalid; 4 instrument or link;
    5 inconclusive or stopped for safety; 130 interrupted; 141 nobody reads the output any more.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in words
    words = [word for word in words if word != DEBUG]
    try:
        result = app(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(UsageError(str(error), todo="see `emgsim --help`"), debug)
    except EmgsimError as error:
        return _fail(error, debug)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # who read the output has left, as `| head` does
        return _unread()
    except Exception as error:
        if debug:
            raise
        what = f"internal error: {type(error).__name__}: {error}"
        return _fail(EmgsimError(what, todo=f"repeat with {DEBUG} and report it"), debug)
    return result if isinstance(result, int) else 0


def console() -> None:
    """Entry point of the ``emgsim`` command."""
    code = main()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _unread()
    sys.exit(code)


def _unread() -> int:
    """Let what is still printed go nowhere, and return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_LEFT


def _fail(error: EmgsimError, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    else:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", []))
        print(f"error: {error}{notes}", file=sys.stderr)
    return error.exit_code
