"""The `egan` command: its subcommands, and what becomes of their errors. Each subcommand imports what it runs.

Exit codes: 0 done; 2 bad input, one line on stderr (what must hold, what was found, where); 1 failed run; 143 and 129
ended by SIGTERM and SIGHUP, as Ctrl-C ends it.
"""

from __future__ import annotations

import os
import pkgutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__, papers
from ..base.errors import EganError, InputError, hidden
from ..base.signals import ended_by_signals, over
from ..console.answer import complain
from ..console.shared import BAD_INPUT, DONE, FAILED, shared
from .branch import branch
from .guide import guide
from .logs import import_
from .monitor import monitor
from .new import new
from .runs import compare, remedies, report, simulate
from .sweep import sweep
from .theory import advise, derive, frequency, phase, powers, regularizer, spectrum, threshold, universality

#: the commands in the order of use, each called as in Python (eg.power_laws is "egan power-laws")
COMMANDS: dict[str, Callable[..., None]] = {
    "guide": guide,
    "new": new,
    "derive": derive,
    "spectrum": spectrum,
    "frequency": frequency,
    "power-laws": powers,
    "universality": universality,
    "regularizer": regularizer,
    "advise": advise,
    "threshold": threshold,
    "branch": branch,
    "phase": phase,
    "simulate": simulate,
    "import": import_,
    "sweep": sweep,
    "compare": compare,
    "compare-remedies": remedies,
    "report": report,
    "monitor": monitor,
}
#: names of Python functions that are called otherwise
ALIASES: dict[str, str] = {"best-regularizer": "regularizer", "thresholds": "threshold", "import-log": "import"}


class _Commands(TyperGroup):
    """Finds a command by its name in Python, too: underscores are hyphens."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        name = cmd_name.replace("_", "-")
        return super().get_command(ctx, ALIASES.get(name, name))


app = typer.Typer(
    name="egan",
    help="The theory of adversarial training, to compute with and to check. One experiment file drives everything.",
    cls=_Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _name, _command in COMMANDS.items():
    app.command(_name)(shared(_command))
for _paper in pkgutil.iter_modules(papers.__path__):
    _module = f"{papers.__name__}.{_paper.name}.command"
    if _paper.ispkg and find_spec(_module):  # a paper with commands of its own
        app.add_typer(import_module(_module).app)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"egan-theory {__version__}")
        raise typer.Exit(DONE)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Every error is one line on stderr."""
    with _streams(), ended_by_signals() as ending:
        try:
            code = _run(arguments)
        except KeyboardInterrupt:  # another one, while the first was told
            code = FAILED
        over()
        return ending.code(code)


def _run(arguments: Sequence[str] | None) -> int:
    if COMPLETION in os.environ:  # the shell asks what may come next; typer answers and ends the process
        typer.main.get_command(app).main(arguments, prog_name="egan", complete_var=COMPLETION)
    try:
        command = typer.main.get_command(app)
        with _deferred_warnings() as pending:
            code = command.main(arguments, prog_name="egan", standalone_mode=False)
            sys.stdout.flush()
            for message in dict.fromkeys(pending):
                complain(f"warning: {message}")
        if code == 130:  # typer's word for Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else DONE
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code and not isinstance(error.__context__, OSError):
            return _fail(f"unexpected end: {error.code}{hidden()}")
        _discard(sys.stdout)  # the reader closed it (as `| head` does): no error, and nothing more to say
        return DONE
    except (KeyboardInterrupt, typer.Abort):
        over()
        return _fail("interrupted: nothing was written")
    except InputError as error:
        return _fail(str(error), BAD_INPUT)
    except EganError as error:
        return _fail(str(error), FAILED)
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of the command line itself
            return _fail(_usage(error), BAD_INPUT)
        if os.environ.get("EGAN_TRACEBACK"):
            raise
        return _fail(_unexpected(error))


# -- errors ------------------------------------------------------------------------------------------------------


@contextmanager
def _deferred_warnings() -> Iterator[list[str]]:
    """Collect warnings, so that an error stays the only line on stderr; say nothing of failing destructors."""
    pending: list[str] = []
    hook = sys.unraisablehook
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: pending.append(str(message))
        sys.unraisablehook = lambda _: None  # h5netcdf's, of files that it could not open
        try:
            yield pending
        finally:
            sys.unraisablehook = hook


def _fail(message: str, code: int = FAILED) -> int:
    complain(message)
    return code


def _usage(error: Any) -> str:
    """A usage error in the package's form, and where help is."""
    path = error.ctx.command_path if getattr(error, "ctx", None) is not None else "egan"
    return f"{error.format_message().rstrip('.')} (see '{path} --help')"


def _unexpected(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"a file could not be read or written: {error}"
    if isinstance(error, MemoryError):
        return "not enough memory: use fewer particles, features, runs or records"
    text = f"{str(error) or 'no message'}{hidden()}"
    return f"unexpected failure, {type(error).__name__}: {text} (EGAN_TRACEBACK=1 shows the traceback)"


@contextmanager
def _streams() -> Iterator[None]:
    """Standard streams that can always be written to: characters that an encoding lacks are replaced; a stream that is
    closed, or fails (a full disk), swallows the rest without a second error when the process ends."""
    for number in range(3):  # or the first file that is opened would become the closed stream
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before, changed = (sys.stdout, sys.stderr), []
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
            changed.append(stream)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                _discard(stream)
        for stream in changed:
            stream.reconfigure(errors="strict")
        sys.stdout, sys.stderr = before


def _discard(stream: Any) -> None:
    """Let the rest of what the stream holds go nowhere."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


#: set by the shell's completion script
COMPLETION = "_EGAN_COMPLETE"

__all__ = ["app", "main"]
