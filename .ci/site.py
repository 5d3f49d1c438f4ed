"""Builds the documentation site: python .ci/site.py [-o build/site]

Pages are the README, the guide, the theory, the gallery, notebooks, the API by subject, the command line, CONTRIBUTING
and CHANGELOG. They are gathered into a temporary folder, since each has its place in the repository; mkdocs builds
them, and any warning ends it. Notebooks are run for it, which takes about a minute. Nothing is fetched, neither now nor
by a reader's browser.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))

from pages import api, commands, notebooks, tables  # noqa: E402
from pages.texts import Gathered, title  # noqa: E402

GUIDE = "egan_theory/guide"
#: files of the repository that are pages
TEXTS = {
    "README.md": "index.md",
    "egan_theory/theory.md": "theory.md",
    "analyses/README.md": "gallery.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


def gather(folder: Path) -> list[object]:
    """Writes all pages into ``folder``; returns the navigation."""
    guide = {f"{GUIDE}/README.md": "guide/index.md"}
    guide |= {f"{GUIDE}/{name}.md": f"guide/{name}.md" for name in topics()}
    stories = {f"analyses/notebooks/{file.name}": f"notebooks/{file.stem}.md" for file in notebook_files()}
    texts = {origin: page for origin, page in TEXTS.items() if (ROOT / origin).exists()}
    site = Gathered(ROOT, folder, texts | guide | stories)
    for origin in texts | guide:
        site.page(origin)
    site.write("theory.md", f"# {title(ROOT / 'egan_theory/theory.md')}\n")  # hooks.py: the theory in HTML
    books = notebooks.executed((ROOT / origin for origin in stories), ROOT)
    for origin, page in stories.items():
        text, outputs, figures = notebooks.page(books[ROOT / origin], Path(page).stem)
        text = site.linked(text, origin, page)
        for place, output in outputs.items():
            text = text.replace(f"\n{place}\n", f"\n{output}\n", 1)
        site.write(page, text)
        for name, png in figures.items():
            (folder / page).with_name(name).write_bytes(png)
    for name, text in (api.pages() | {"tables.md": tables.page()}).items():
        site.write(f"api/{name}", text)
    site.write("commands.md", commands.page())
    nav: list[object] = [{"Start": "index.md"}]
    nav.append({"Guide": ["guide/index.md", *({title(ROOT / o): page} for o, page in list(guide.items())[1:])]})
    nav.append({"Theory": "theory.md"})
    if "analyses/README.md" in texts:
        nav.append({"Gallery": "gallery.md"})
    if stories:
        nav.append({"Notebooks": [{title(folder / page): page} for page in stories.values()]})
    reference: list[object] = ["api/index.md", *({name: f"api/{page}"} for name, page in api.titles())]
    nav += [
        {"API reference": [*reference, {"Losses, kernels, penalties, rules": "api/tables.md"}]},
        {"Command line": "commands.md"},
        {"Contributing": "contributing.md"},
        {"Changes": "changelog.md"},
    ]
    return nav


def topics() -> list[str]:
    """The topics of the guide, in the order in which its overview links to them."""
    text = (ROOT / GUIDE / "README.md").read_text(encoding="utf-8")
    files = {file.stem for file in (ROOT / GUIDE).glob("*.md")} - {"README"}
    linked = dict.fromkeys(name for name in re.findall(r"\]\((\w+)\.md", text) if name in files)
    return [*linked, *sorted(files - set(linked))]


def notebook_files() -> list[Path]:
    return sorted((ROOT / "analyses" / "notebooks").glob("*.ipynb"))


def configure(folder: Path, nav: list[object], site: Path) -> Path:
    """The configuration of this build: .ci/mkdocs.yml and where things are."""
    import yaml

    data = {
        "INHERIT": str(HERE / "mkdocs.yml"),
        "docs_dir": str(folder / "docs"),
        "site_dir": str(site),
        "nav": nav,
        "hooks": [str(HERE / "pages" / "hooks.py")],
        "theme": {"custom_dir": str(HERE / "pages" / "theme")},
        "plugins": {
            "mkdocstrings": {
                "handlers": {
                    "python": {
                        "paths": [str(ROOT)],
                        "options": {"extensions": [{f"{HERE / 'pages' / 'extension.py'}": {}}]},
                    }
                }
            }
        },
    }
    config = folder / "mkdocs.yml"
    config.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return config


def main() -> None:
    """Gathers the pages and runs mkdocs."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("-o", "--output", default="build/site", metavar="DIR", help="folder of the site (replaced)")
    site = Path(parser.parse_args().output).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = configure(folder, gather(folder / "docs"), site)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "-f", str(config)]
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path, "NO_MKDOCS_2_WARNING": "1"})
    if done.returncode:
        sys.exit(done.returncode)
    print(f"{len(list(site.rglob('*.html')))} pages in {site}")


if __name__ == "__main__":
    main()
