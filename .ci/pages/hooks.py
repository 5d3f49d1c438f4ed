"""What mkdocs does not do: mathematics as MathML, citations of equations as links, the theory's own HTML."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

from mkdocs.structure.toc import get_toc
from mkdocs.utils import get_relative_url

THEORY = "theory.md"
#: mathematics as the extension arithmatex leaves it
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.S)
_DISPLAY = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.S)
#: a citation of theory.md, and what it is not looked for in
_CITED = re.compile(r"Eqs?\. \((\d+), ([a-z0-9-]+)\)")
_WITHIN = re.compile(r"<(pre|code|a|script|style|svg|math)\b.*?</\1>|<[^>]+>", re.S)


@cache
def mathml(latex: str, display: bool = False) -> str:
    """LaTeX as MathML."""
    from egan_theory.symbolic.markup import mathml

    return mathml(latex, display=display)


def _theory(page: Any) -> str:
    """The theory as the package writes it; its sections in the table of contents, its anchors known to mkdocs."""
    from egan_theory.symbolic import derive

    content = derive().to_html()
    sections: list[dict[str, Any]] = []
    for level, anchor, name in re.findall(r'<h([23]) id="([^"]+)">(.*?)</h', content, re.S):
        entry = {"level": int(level), "id": anchor, "name": re.sub(r"<[^>]+>", "", name), "children": []}
        (sections[-1]["children"] if level == "3" else sections).append(entry)
    page.toc = get_toc(sections)
    page.present_anchor_ids = {*re.findall(r'\bid="([^"]+)"', content), *(page.present_anchor_ids or ())}
    return content


def _plain(text: str) -> str:
    return html.unescape(text).strip()


def on_page_content(content: str, *, page: Any, config: Any, files: Any) -> str:
    """The HTML of a page, before the template."""
    if page.file.src_uri == THEORY:
        return _theory(page)
    content = _DISPLAY.sub(lambda found: f'<div class="equation">{mathml(_plain(found[1]), True)}</div>', content)
    content = _INLINE.sub(lambda found: mathml(_plain(found[1])), content)
    theory = get_relative_url(files.get_file_from_path(THEORY).url, page.url)

    def cite(text: str) -> str:
        return _CITED.sub(lambda found: f'<a href="{theory}#eq-{found[2]}">{found[0]}</a>', text)

    out, end = [], 0
    for kept in _WITHIN.finditer(content):
        out += [cite(content[end : kept.start()]), kept[0]]
        end = kept.end()
    return "".join((*out, cite(content[end:])))


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """The whole page: the search is named for screen readers."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
