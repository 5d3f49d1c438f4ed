"""The command line as a page: every command with its arguments and options, from the program itself."""

from __future__ import annotations

import re
from typing import Any


def page() -> str:
    """All commands in Markdown, in the order of use."""
    import typer

    from egan_theory.cli.app import app

    program = typer.main.get_command(app)
    found = list(_commands("egan", program))
    lines = [
        "# Command line",
        "",
        str(program.help),
        "",
        "Exit codes: 0 done, 2 bad input (one line that names the field), 1 failed run. Options of the same name mean "
        "the same everywhere. `--help` after any command prints what stands here.",
        "",
        *(f"- [`{name}`](#{_anchor(name)}): {_first(command)}" for name, command in found),
        "",
    ]
    for name, command in found:
        lines += _section(name, command)
    return "\n".join(lines)


def _commands(path: str, group: Any) -> Any:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _first(command: Any) -> str:
    return _text(" ".join(command.help.strip().split("\n\n")[0].split()))


def _text(text: str) -> str:
    """Help as Markdown: words that would be markup are code."""
    text = re.sub(r"(?<![\w`])'(egan [^']*)'", r"`\1`", text)
    text = re.sub(r"(?<![\w`'/-])(--?[a-z][a-z-]*)(?![\w`])", r"`\1`", text)
    return re.sub(r"(?<![`\w])([\w.]*_[\w._]*)", r"`\1`", text).replace("*", r"\*").replace("<", "&lt;")


def _section(name: str, command: Any) -> list[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(" ".join(command.collect_usage_pieces(context)).replace("[OPTIONS]", "").split())
    usage = re.sub(r"\{([^{}]*)\}", r"\1", usage.replace("[[", "[").replace("]]", "]"))
    needed = [p for p in command.params if p.required and p.opts[0][0] == "-"]
    required = [p.get_help_record(context)[0].split(", ")[0] for p in needed]
    paragraphs = [_text(" ".join(part.split())) for part in command.help.strip().split("\n\n")]
    lines = [f"## {name} {{ #{_anchor(name)} }}", "", "\n\n".join(paragraphs), ""]
    lines += ["```console", " ".join(filter(None, ["$", name, usage, *required, "[options]"])), "```", ""]
    for p in command.params:
        record = p.get_help_record(context)
        if record is None:  # hidden
            continue
        term, said = re.sub(r" <\w+>$", "", record[0].strip()), record[1]
        found = re.fullmatch(r"(.*?)\s*(?:\[([^\[\]]*)\])?", " ".join(said.split()), re.S)
        text, rest = found.groups() if found else (said, None)
        notes = [_text(text)]
        for note in filter(None, (rest or "").split("; ")):
            key, _, value = note.partition(": ")
            notes.append(f"{key.capitalize()}: `{value}`." if value else f"{key.capitalize()}.")
        lines += [f"`{term}`", f":   {' '.join(note for note in notes if note) or '(see above)'}", ""]
    return lines
