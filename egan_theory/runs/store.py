"""The crash-safe store of recordings and sweeps: a Zarr group in a folder that one process fills, others read.

    <folder>/.lock        held by the process that fills it, while it lives
    <folder>/zarr.json    attributes, among them what says that the store has been begun
    <folder>/<array>/c/.. chunks
    <folder>/complete/    of a sweep: which batches are complete (sweeps.complete)

Every file is written to a temporary name, seen onto the disk and renamed, so that it is there whole or not at all, on
every system that Python runs on. What makes samples of a recording (unfinished.py) or cells of a sweep (sweeps.store)
complete is written after all that belongs to them: a process killed at any moment loses only what was not complete.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import LocalStore

from ..base.errors import InputError
from ..base.files import TEMPORARY, atomic
from ..base.locks import Lock, holder, lock
from .chunks import Form

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

LOCK = ".lock"
#: the file of attributes and metadata, and its name while the store is removed
ROOT, REMOVED = "zarr.json", ".removed"
#: the folder of a sweep's records
COMPLETE = "complete"
#: the files of a store
_OWN = re.compile(
    rf"{re.escape(LOCK)}|{re.escape(REMOVED)}|zarr\.json|{COMPLETE}/\d+\.json|[^/]+/(zarr\.json|c([./]\d+)*)"
)


class Files(LocalStore):
    """Zarr's folder of files, each of them written by ``atomic``, and read only if it is a regular file that lies
    there: a pipe would be waited for, a link leads anywhere. Chunks are judged before they are inflated."""

    def __init__(self, root: Path | str, *, read_only: bool = False) -> None:
        super().__init__(root, read_only=read_only)
        #: by array: the metadata that were read, with the file; what they say of chunks
        self._seen: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self._forms: dict[str, Form] = {}

    def _wanted(self, key: str) -> bool:
        """Whether a file is one to be read."""
        return True

    def _judged(self, key: str, form: Form | None, data: Buffer | None) -> Buffer | None:
        """What was read. Raises InputError for a chunk that cannot be one of its array."""
        if data is not None and key.endswith(ROOT):
            self._met(key, data.to_bytes())
        elif data is not None and form is not None and form.packed:
            form.check(str(self.root / key), data.to_bytes())
        return data

    def _met(self, key: str, data: bytes) -> None:
        """Keep the metadata of arrays; those in the root's file, too."""
        try:
            found = json.loads(data)
            within = ((found.get("consolidated_metadata") or {}).get("metadata") or {}).items()
            arrays = [(key.rpartition("/")[0], found), *within]
            arrays = [(name, of) for name, of in arrays if of.get("node_type") == "array"]
        except (ValueError, RecursionError, AttributeError):  # Zarr refuses it
            return
        for name, of in arrays:
            seen = self._seen.setdefault(name, [])
            if (new := (str(self.root / key), of)) not in seen:
                seen.append(new)
                self._forms.pop(name, None)

    def _form(self, key: str) -> Form | None:
        """Of the chunks of the array, where it is the key of one. Raises InputError for one that may not be read."""
        name, _, rest = key.partition("/")
        if not rest or rest == ROOT or rest.startswith(".z") or name == COMPLETE:
            return None
        file = self.root / key
        if name not in self._forms:
            if name not in self._seen and (own := self.root / name / ROOT).is_file():
                self._met(f"{name}/{ROOT}", own.read_bytes())
            forms = [Form.of(*seen) for seen in self._seen.get(name, ())]
            if len(set(forms)) != 1:
                found = "none" if not forms else "different ones in its own file and the root's"
                raise InputError(str(self.root / name / ROOT), "hold the metadata of the array", found)
            self._forms[name] = forms[0]
        with suppress(OSError):  # which is not there
            self._forms[name].check_stored(str(file), file.stat().st_size)
        return self._forms[name]

    def _check(self, key: str) -> None:
        parts = key.split("/")
        names = [self.root.joinpath(*parts[: i + 1]) for i in range(len(parts))]
        for file in names:
            if ".." in parts or file.is_symlink():
                raise InputError(str(file), "be a regular file of the store", "a link to another place")
        if os.path.lexists(names[-1]) and not (names[-1].is_file() or names[-1].is_dir()):
            raise InputError(str(names[-1]), "be a regular file", "another kind of file")

    def get_sync(self, key: str, **how: Any) -> Buffer | None:
        if not self._wanted(key):
            return None
        self._check(key)
        form = self._form(key)
        return self._judged(key, form, super().get_sync(key, **how))

    async def get(self, key: str, *arguments: Any, **how: Any) -> Buffer | None:
        if not self._wanted(key):
            return None
        self._check(key)
        form = self._form(key)
        return self._judged(key, form, await super().get(key, *arguments, **how))

    def set_sync(self, key: str, value: Buffer) -> None:
        self._check(key)  # or a link's place would be written to
        if key.endswith(f"/{ROOT}"):  # an array in place of another one
            self._seen.pop(key.partition("/")[0], None)
            self._forms.pop(key.partition("/")[0], None)
        file = self.root / key
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic(file, sync=True) as temporary:
            temporary.write_bytes(value.as_buffer_like())

    async def set(self, key: str, value: Buffer) -> None:
        await asyncio.to_thread(self.set_sync, key, value)


def claim(folder: Path, refusal: InputError) -> Lock:
    """The folder, made if need be, locked until ``release`` or the end of the process. Raises ``refusal`` where another
    writer has it, with the number of its process; OSError."""
    folder.mkdir(exist_ok=True)
    held = lock(folder / LOCK)
    if held is None:
        number = holder(folder / LOCK)
        raise (
            refusal
            if number is None
            else InputError(refusal.field, refusal.must, f"{refusal.found} (process {number})")
        )
    return held


def fresh(folder: Path) -> zarr.Group:
    """An empty group in a claimed folder, in place of whatever a store left there."""
    _clear(folder, LOCK)
    return zarr.create_group(Files(folder), zarr_format=3)


def foreign(folder: Path) -> Path | None:
    """Something in the folder that is no part of a store of ours."""
    return next((file for file in _files(folder) if not _is_own(file, folder)), None)


def discard(folder: Path) -> None:
    """Remove a store, and its folder unless something else is in it."""
    with suppress(OSError):
        _clear(folder)
        os.rmdir(folder)


def _clear(folder: Path, *kept: str) -> None:
    """Remove what is a store's own: first what says that it is complete, then what says that it is one. Until the end
    REMOVED tells that what is left was not lost."""
    own = [file for file in _files(folder) if _is_own(file, folder) and file.name not in kept]
    order = {COMPLETE: 0, ROOT: 1}
    for file in sorted(own, key=lambda f: order.get(f.relative_to(folder).parts[0], 2)):
        if file == folder / ROOT:
            file.replace(folder / REMOVED)
        elif file != folder / REMOVED:
            file.unlink(missing_ok=True)
    (folder / REMOVED).unlink(missing_ok=True)
    for above, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # which is not empty
            os.rmdir(above) if Path(above) != folder else None


def _files(folder: Path) -> Iterator[Path]:
    """What is in a folder and the folders in it: all but these, links to folders among it."""
    for above, folders, files in os.walk(folder):
        yield from (Path(above, name) for name in files)
        yield from (link for name in folders if (link := Path(above, name)).is_symlink())


def _is_own(file: Path, folder: Path) -> bool:
    return _is_half_written(file) or _OWN.fullmatch(file.relative_to(folder).as_posix()) is not None


def _is_half_written(file: Path) -> bool:
    return file.name.startswith(TEMPORARY) or file.name.endswith(".partial")


def opened(folder: Path, *, write: bool) -> zarr.Group:
    """The group in a folder."""
    store = Files(folder, read_only=not write)
    return zarr.open_group(store, mode="r+" if write else "r", zarr_format=3, use_consolidated=False)


def attributes(folder: str | Path) -> dict[str, Any]:
    """The attributes of the Zarr group in a folder; raises what Zarr raises where there is none."""
    return dict(opened(Path(folder), write=False).attrs)


def is_store(folder: str | Path) -> bool:
    """Whether a folder holds a Zarr group, or what can only be one that is damaged."""
    with suppress(OSError, ValueError):
        return os.path.lexists(Path(folder) / ROOT)
    return False


def vacant(folder: Path) -> bool:
    """Whether a store may be begun there: in no folder, in an empty one, in one that a kill left before it was made or
    while it was removed. One that has lost its zarr.json is none of these."""
    if not folder.exists():
        return True
    if not folder.is_dir() or (folder / COMPLETE).exists():  # a sweep
        return False
    files = list(_files(folder))
    if not files:
        return not any(folder.iterdir())
    if not all(_is_own(file, folder) for file in files):
        return False
    if is_store(folder):
        return (folder / LOCK).exists() and not _attributed(folder)
    return (folder / REMOVED).exists() or all(file.name == LOCK or _is_half_written(file) for file in files)


def _attributed(folder: Path) -> bool:
    try:
        return bool(attributes(folder))
    except Exception:  # damaged, so that there was a store
        return True


def add_array(
    group: zarr.Group,
    name: str,
    dims: Iterable[Any],
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: Any,
    fill: Any,
    attrs: dict[str, Any],
    **settings: Any,
) -> zarr.Array:
    """A new array of ``fill``, in place of one that was not completed."""
    return group.create_array(
        name, shape=tuple(shape), chunks=tuple(chunks), dtype=dtype, fill_value=fill, dimension_names=tuple(dims),
        attributes=attrs, overwrite=True, **settings,
    )  # fmt: skip


def consolidate(group: zarr.Group) -> zarr.Group:
    """The group with the metadata of its arrays in one file, for readers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are not in Zarr's specification yet, that a lock is no array
        return zarr.consolidate_metadata(group.store)


def remove_leftovers(folder: Path) -> None:
    """Delete what a kill left half-written. Only in a claimed folder: a writer's own are such files, too."""
    for pattern in (f"{TEMPORARY}*", "*.partial"):
        for leftover in folder.rglob(pattern):
            leftover.unlink(missing_ok=True)


@contextmanager
def readable(path: str | Path) -> Iterator[None]:
    """Raise InputError where Zarr cannot read what is stored."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Zarr, its codecs and xarray fail in many ways on what is not whole
        within = error.__context__
        while within is not None:  # xarray before 2026 makes another error of each, of one argument
            if isinstance(within, InputError):
                raise within from None
            within = within.__context__
        raise InputError(str(path), "be a Zarr store that can be read", f"{type(error).__name__}: {error}") from None


def why(error: OSError) -> str:
    """What the system says, in a few words."""
    return error.strerror or str(error)
