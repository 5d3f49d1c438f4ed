"""The `egan` command: its subcommands, and what becomes of their errors. Each subcommand imports what it runs.

Exit codes: 0 done; 2 bad input, one line on stderr (what must hold, what was found, where); 1 failed run.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer

from . import __version__
from .commands.runs import compare, remedies, report, simulate
from .commands.shared import BAD_INPUT, DONE, FAILED, complain
from .commands.templates import TEMPLATE_CHANGES, TEMPLATES, new, template
from .commands.theory import advise, derive, phase, powers, regularizer, spectrum, threshold, universality
from .errors import EganError, InputError
from .models.solvable.command import solvable
from .published.command import published
from .sweeps.command import sweep

app = typer.Typer(
    name="egan",
    help="The theory of adversarial training, to compute with and to check. One experiment file drives everything.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _command in (sweep, new, derive, spectrum, regularizer, threshold, phase, simulate, compare, universality):
    app.command()(_command)
app.command("power-laws")(powers)
app.command("compare-remedies")(remedies)
app.command()(advise)
app.command()(report)
app.add_typer(published)
app.add_typer(solvable)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"egan-theory {__version__}")
        raise typer.Exit(DONE)
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. Every error is one line on stderr."""
    command = typer.main.get_command(app)
    try:
        with _deferred_warnings() as pending:
            code = command.main(arguments, prog_name="egan", standalone_mode=False)
            sys.stdout.flush()
            for message in dict.fromkeys(pending):
                complain(f"warning: {message}")
        if code == 130:  # typer's word for Ctrl-C
            return _fail("interrupted: nothing was written")
        return code if isinstance(code, int) else DONE
    except (BrokenPipeError, SystemExit):  # standalone_mode=False: typer ends the process for a broken pipe only
        return _reader_gone()
    except (KeyboardInterrupt, typer.Abort):
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
    text = str(error) or "no message"
    return f"unexpected failure, {type(error).__name__}: {text} (EGAN_TRACEBACK=1 shows the traceback)"


def _reader_gone() -> int:
    """The reader of our output closed it (as `| head` does): no error, and nothing more to say."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


__all__ = ["TEMPLATES", "TEMPLATE_CHANGES", "app", "main", "template"]

if __name__ == "__main__":
    sys.exit(main())
