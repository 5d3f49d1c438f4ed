"""Every public name says what it is: shapes, units, errors and source, in sections that mkdocstrings reads too."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel

import egan_theory as eg

#: a section as griffe reads Google's style: a title alone on its line, a blank line above, indented text below
TITLE = re.compile(r"^([A-Z]\w*):\s*$")
#: that of a function that raises nothing by itself
NOTHING = re.compile(r"^Raises: nothing of its own\.$", re.MULTILINE)
#: what is empty, whatever it is called
EMPTY = {"", "none", "n/a", "todo", "tbd", "see above", "as above", "various", "-", "..."}
ARRAYS = re.compile(r"ndarray|Dataset|DataArray|ArrayLike")
NUMBERS = re.compile(r"\b(float|int|complex|ndarray|Numbers|Vectors|Integers|Positive|NotNegative)\b")
#: the unit of a number, in brackets; [-] for a pure number, [steps], [1/time]
UNIT = re.compile(r"\[[^\]\[]+\]")


def sections(doc: str | None) -> dict[str, str]:
    """Titles and texts of a docstring; what stands above the first section has the title ""."""
    lines = inspect.cleandoc(doc or "").splitlines()
    found, title = {"": []}, ""
    for i, line in enumerate(lines):
        starts = TITLE.match(line) and (i == 0 or not lines[i - 1].strip())
        if starts and i + 1 < len(lines) and lines[i + 1].startswith(" "):
            title = line.strip()[:-1]
            found[title] = []
        elif line[:1].strip() and title:  # text after a section belongs to none
            title = ""
        found[title].append(line) if not starts else None
    return {title: inspect.cleandoc("\n".join(text)).strip() for title, text in found.items()}


def entries(text: str) -> dict[str, str]:
    """Name and text of each entry of a section "Attributes" or "Raises"."""
    found, name = {}, ""
    for line in text.splitlines():
        match = re.match(r"^(\w+):\s*(.*)$", line)
        if match:
            name = match[1]
            found[name] = match[2]
        elif name:
            found[name] += f" {line.strip()}"
    return found


def says_nothing(text: str | None) -> bool:
    return text is None or text.strip().rstrip(".").lower() in EMPTY or len(re.findall(r"\w", text)) < 8


def hints(function) -> str:
    return " ".join(str(v) for v in getattr(function, "__annotations__", {}).values())


def raises_itself(function) -> bool:
    """Whether its own lines raise: the words of its body, docstrings left out."""
    try:
        tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    except (SyntaxError, TypeError, OSError):
        return False
    return any(isinstance(node, ast.Raise) for node in ast.walk(tree))


def of_function(function) -> list[str]:
    """What a function's docstring lacks."""
    found = sections(function.__doc__)
    wanted = ["Units", "Source"]
    if str(getattr(function, "__annotations__", {}).get("return", "")) != "None":
        wanted.append("Returns")
    if ARRAYS.search(hints(function)):
        wanted.append("Shapes")
    lacks = [title for title in wanted if says_nothing(found.get(title))]
    lacks += ["summary"] if says_nothing(found[""]) else []
    return lacks + of_raises(function, found)


def of_raises(function, found: dict[str, str]) -> list[str]:
    said = entries(found.get("Raises", ""))
    if says_nothing(found.get("Raises")):
        return ["Raises"] if raises_itself(function) or not NOTHING.search(found[""]) else []
    if NOTHING.search(found[""]):
        return ["Raises: nothing of its own, and yet a section"]
    return [f"Raises: when {name}" for name, when in said.items() if says_nothing(when)] or ([] if said else ["Raises"])


def of_method(function) -> list[str]:
    """What the docstring of a method or property lacks; shorter: a unit in brackets or a section, and errors."""
    found = sections(inspect.getdoc(function))
    lacks = ["summary"] if says_nothing(found[""]) else []
    returned = str(getattr(function, "__annotations__", {}).get("return", ""))
    if NUMBERS.search(returned) and says_nothing(found.get("Units")) and not UNIT.search(found[""]):
        lacks.append("Units")
    if ARRAYS.search(returned) and says_nothing(found.get("Shapes")) and not re.search(r"\([^)]*\)", found[""]):
        lacks.append("Shapes")
    if raises_itself(function) and says_nothing(found.get("Raises")):
        lacks.append("Raises")
    return lacks


def own_fields(cls) -> dict[str, str]:
    """Fields that the class itself declares, with their annotations."""
    known = cls.model_fields if issubclass(cls, BaseModel) else getattr(cls, "__dataclass_fields__", {})
    if not known and issubclass(cls, tuple):
        known = dict.fromkeys(getattr(cls, "_fields", ()))
    told = inspect.get_annotations(cls)
    fields = {name: str(told[name]) for name in told if name in known and not name.startswith("_")}
    return {name: hint for name, hint in fields.items() if "ClassVar" not in hint}


def described(cls) -> dict[str, str]:
    """Texts of the attributes that the classes of a result or description have of their own."""
    found: dict[str, str] = {}
    for base in reversed([c for c in cls.__mro__ if c.__module__.startswith("egan_theory")]):
        if issubclass(base, BaseModel):
            found |= {name: f.description for name, f in base.model_fields.items() if f.description}
        found |= entries(sections(base.__dict__.get("__doc__")).get("Attributes", ""))
    return found


def of_class(cls) -> list[str]:
    """What the docstring of a class lacks: summary, source, what each field is, units of numbers, shapes."""
    found = sections(cls.__doc__)
    lacks = [title for title in ("summary", "Source") if says_nothing(found.get(title.replace("summary", "")))]
    said = described(cls)
    for base in (c for c in cls.__mro__ if c.__module__.startswith("egan_theory")):
        for name, hint in own_fields(base).items():
            text = said.get(name, "")
            if says_nothing(text):
                lacks.append(f"field {name}")
            elif NUMBERS.search(hint) and not UNIT.search(text):
                lacks.append(f"unit of {name}")
            elif ARRAYS.search(hint) and not re.search(r"\([^)]*\)", text):
                lacks.append(f"shape of {name}")
    lacks += [f"{name}, no field" for name in entries(found.get("Attributes", "")) if not hasattr_or_field(cls, name)]
    return lacks


def hasattr_or_field(cls, name: str) -> bool:
    return any(hasattr(c, name) or name in inspect.get_annotations(c) for c in cls.__mro__)


def methods(cls):
    """(name, function) of the public methods and properties, inherited ones where the package defines them."""
    for name in dir(cls):
        owner = next((c for c in cls.__mro__ if name in c.__dict__), None)
        if name.startswith("_") or owner is None or not owner.__module__.startswith("egan_theory"):
            continue
        value = owner.__dict__[name]
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        value = value.func if isinstance(value, cached_property) else value
        value = value.fget if isinstance(value, property) else value
        if inspect.isfunction(value):
            yield name, getattr(cls, name) if value.__doc__ is None else value, value


def of_constant(module: ModuleType, name: str) -> list[str]:
    """What lies below the assignment of a constant: a string that names unit and source."""
    stub = ast.parse((Path(module.__file__).parent / "__init__.pyi").read_text())
    where = next(n.module for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names if a.name == name)
    body = ast.parse((Path(module.__file__).parent / f"{where}.py").read_text()).body
    for node, after in pairwise(body):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            doc = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            found = sections(doc)
            return [t or "summary" for t in ("", "Units", "Source") if says_nothing(found.get(t))]
    return ["assignment"]


def public() -> dict[str, list[str]]:
    """What each public name lacks; a class's methods stand as "Class.method"."""
    lacks: dict[str, list[str]] = {}
    spaces = {"": eg} | {n: getattr(eg, n) for n in eg.__all__ if isinstance(getattr(eg, n), ModuleType)}
    for space, module in spaces.items():
        for name in names_of(module):
            value, path = inspect.unwrap(getattr(module, name)), f"{space}.{name}".strip(".")
            LOOKED_UP[path] = value
            if isinstance(value, ModuleType):
                lacks[path] = ["summary"] if says_nothing(value.__doc__) else []
            elif inspect.isclass(value):
                lacks[path] = of_class(value)
                lacks |= {f"{path}.{n}": of_method(f) for n, _, f in methods(value)}
            elif callable(value):
                lacks[path] = of_function(value)
            elif not name[0].isupper() or hasattr(module, "__all__"):
                lacks[path] = of_constant(module, name)
    return lacks


def names_of(module: ModuleType) -> list[str]:
    """The names of its list; those of a module without one are its own public functions and classes."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return [
        n for n, v in vars(module).items() if not n.startswith("_") and getattr(v, "__module__", 0) == module.__name__
    ]


LOOKED_UP: dict[str, object] = {}
LACKS = public()


@pytest.mark.parametrize("name", LACKS)
def test_every_public_name_says_what_it_is(name):
    assert LACKS[name] == []


def test_the_list_is_the_whole_of_the_public_names():
    assert set(eg.__all__) <= set(LACKS) and len(LACKS) > 300


@pytest.mark.slow
def test_mkdocstrings_reads_the_same_sections_and_has_nothing_to_warn_of(caplog):
    """griffe, as mkdocstrings uses it, on the source: the same titles, and no warning anywhere."""
    griffe = pytest.importorskip("griffe")
    caplog.set_level("WARNING", logger="griffe")
    package = griffe.load("egan_theory", search_paths=[Path(eg.__file__).parents[1]])
    for path, value in LOOKED_UP.items():
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        found = package[f"{value.__module__}.{value.__qualname__}".removeprefix("egan_theory.")]
        kinds = {"parameters": "Args"}
        titles = {
            section.title if section.kind.value == "admonition" else kinds.get(section.kind.value, section.kind.value)
            for section in found.docstring.parse("google")
        }
        assert {t.capitalize() for t in titles} - {"Text"} == set(sections(value.__doc__)) - {""}, path
        for member in found.members.values() if inspect.isclass(value) else ():
            _ = member.docstring and member.docstring.parse("google")
    assert caplog.messages == []
    griffe.Docstring("Does.\n\nRaises:\n    nothing that has a name\n").parse("google")
    assert len(caplog.messages) == 1  # it would have warned


# -- the checks can fail -----------------------------------------------------------------------------------------------


def good(x: float) -> float:
    """Twice a length, which is longer.

    Returns:
        The double.

    Units:
        Lengths in the unit of x.

    Raises:
        InputError: if x is below zero.

    Source:
        none, arithmetic.
    """


def test_a_section_that_is_empty_or_missing_is_seen():
    assert of_function(good) == []
    for title in ("Returns", "Units", "Raises", "Source"):
        for text in ("", "todo", "-"):
            changed = re.sub(rf"({title}:\n)    .*", rf"\1    {text}", inspect.getdoc(good))
            bad = dataclasses.make_dataclass("f", [])
            bad.__doc__, bad.__annotations__ = changed, {"return": "float"}
            assert of_function(bad) == [title], (title, text)


def test_a_field_without_unit_or_text_and_a_raise_without_section_are_seen():
    @dataclasses.dataclass
    class Result:
        """A thing that was measured.

        Attributes:
            rate: [1/time] of the slowest mode.
            best: strength without a unit.

        Source:
            nowhere in particular.
        """

        rate: float
        best: float
        other: str

        def lower(self) -> float:
            """What is lower than the rest."""
            raise ValueError

    Result.__module__ = "egan_theory.x"
    assert of_class(Result) == ["unit of best", "field other"]
    assert of_method(Result.lower) == ["Units", "Raises"]
