"""Texts of the repository as pages: their links, which are paths in the repository, lead to pages and copied files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

#: ``[text](target)``, ``![text](target "title")``; ``src="target"``, ``href="target"``; ``[name]: target``
_MARKDOWN = re.compile(r"(?<=\]\()(?P<target>[^()\s]+)(?=(?:\s+\"[^\"]*\")?\))")
_HTML = re.compile(r"(?<=\b(?:href)=\")(?P<target>[^\"]+)(?=\")|(?<=\bsrc=\")(?P<source>[^\"]+)(?=\")")
_REFERENCE = re.compile(r"^(?P<before>\[[^\]]+\]:\s+)(?P<target>\S+)", re.M)
_BLOCK = re.compile(r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$|\$\$.*?\$\$", re.M | re.S)
#: code and mathematics
_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,}).*?^(?P=fence)[ \t]*$|(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
    r"|\$\$.*?\$\$|\$(?=\S)[^$`]+\$",
    re.M | re.S,
)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//")


class Gathered:
    """The pages gathered into ``folder``, and which file of the repository at ``root`` each is made of."""

    def __init__(self, root: Path, folder: Path, pages: Mapping[str, str]):
        self.root, self.folder, self.pages = root, folder, dict(pages)
        self.sources: dict[str, str] = {}

    def write(self, page: str, text: str) -> None:
        file = self.folder / page
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def page(self, origin: str) -> None:
        """Writes the page of the Markdown file ``origin``."""
        text = (self.root / origin).read_text(encoding="utf-8")
        self.write(self.pages[origin], self.linked(text, origin, self.pages[origin]))

    def linked(self, text: str, origin: str, page: str) -> str:
        """The text with the links of ``origin`` made those of ``page``, but for what is code or mathematics."""

        def link(found: re.Match[str]) -> str:
            parts = found.groupdict()
            return (parts.get("before") or "") + self.target(parts["target"] or parts["source"], origin, page)

        def html(found: re.Match[str]) -> str:  # addresses that mkdocs does not rewrite: of the page that is made
            return re.sub(r"\.md(?=$|#)", ".html", link(found))

        def prose(part: str) -> str:
            return _HTML.sub(html, _REFERENCE.sub(link, _MARKDOWN.sub(link, part)))

        return outside(_CODE, outside(_BLOCK, text, _spelled), prose)

    def target(self, target: str, origin: str, page: str) -> str:
        """Where a link of ``origin`` leads, seen from ``page``."""
        if _ELSEWHERE.match(target) or target.startswith("#"):
            return target
        path, _, anchor = target.partition("#")
        file = os.path.normpath(os.path.join(os.path.dirname(origin), path)).replace(os.sep, "/")
        if (self.root / file).is_dir():
            inside = f"{file}/README.md"
            file = inside if inside in self.pages else file
        if not (self.root / file).exists():
            raise SystemExit(f"{origin}: links must lead to files of the repository, but found {target!r}")
        to = self.pages.get(file) or self.copied(file)
        return os.path.relpath(to, os.path.dirname(page) or ".").replace(os.sep, "/") + (f"#{anchor}" if anchor else "")

    def copied(self, file: str) -> str:
        """The page or file in the site that shows a file of the repository: pictures as they are, code on a page."""
        source = self.root / file
        if source.suffix == ".md":
            self.pages[file] = f"files/{file}".replace("README.md", "index.md")
            self.page(file)
            return self.pages[file]
        if source.is_dir():
            names = sorted(path.name for path in source.iterdir() if not path.name.startswith(("_", ".")))
            body = "\n".join(f"- `{name}`" for name in names)
        elif source.suffix in {".png", ".svg", ".webp"}:
            to = self.folder / "files" / file
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, to)
            return f"files/{file}"
        else:
            language = {".py": "python", ".toml": "toml", ".yml": "yaml"}.get(source.suffix, "text")
            body = f"`````{language}\n{source.read_text(encoding='utf-8')}\n`````"
        page = f"files/{file}.md"
        if page not in self.sources:
            self.sources[page] = file
            self.write(
                page, f"---\nsearch: {{exclude: true}}\n---\n# {source.name}\n\n`{file}` of the repository.\n\n{body}\n"
            )
        return page


def _spelled(text: str) -> str:
    """What GitHub and Python-Markdown spell differently: breaks of lines, lists that follow a line of text."""
    return re.sub(r"^(?![-*>|#\s]|\d+\. )([^\n]+\n)(?=[-*] )", r"\1\n", re.sub(r"\\\n", "  \n", text), flags=re.M)


def outside(blocks: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    """The text with everything but the blocks changed."""
    out, end = [], 0
    for block in blocks.finditer(text):
        out += [change(text[end : block.start()]), block.group()]
        end = block.end()
    return "".join((*out, change(text[end:])))


def title(file: Path) -> str:
    """The first heading of a Markdown file."""
    found = re.search(r"^# (.+)$", file.read_text(encoding="utf-8"), re.M)
    return found.group(1).strip() if found else file.stem.replace("_", " ").capitalize()
