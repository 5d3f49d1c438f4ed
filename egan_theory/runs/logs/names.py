"""Names that scalars have in logs, and the variables they become.

A scalar is the loss of a player if the words of its name are a player's (d, disc, dis, discriminator, critic; g, gen,
generator), a word for a loss (loss, err, error, cost, objective), and else only words that say nothing (train, total,
step, mean, ...): d_loss, loss_D, errD, D/loss, Loss/G/loss, train/gen_loss_epoch, but not d_loss_real, val/g_loss or
g_path_loss. Where several are, the one of fewest words is taken, one per step before one per epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from ...base.errors import InputError
from ..sample import check_scalar_name
from ..schema import DIMS

DISCRIMINATOR, GENERATOR = "loss_discriminator", "loss_generator"
_PLAYERS = {
    DISCRIMINATOR: {"d", "disc", "dis", "discriminator", "critic", "netd"},
    GENERATOR: {"g", "gen", "generator", "netg"},
}
_LOSS = {"loss", "losses", "err", "error", "cost", "objective"}
_SILENT = {
    "train", "training", "trainer", "total", "step", "epoch", "iter", "iteration", "batch", "scalar", "scalars",
    "metric", "metrics", "mean", "avg", "average", "model", "net", "network", "log", "logs", "gan", "adv",
    "adversarial", "overall", "full", "running", "stats",
}  # fmt: skip
_JOINED = {
    f"{a}{b}": (a, b) for loss in ("loss", "err") for player in "dg" for a, b in ((player, loss), (loss, player))
}
#: the variable of wall times
WALL = "wall_time"


def words(name: str) -> list[str]:
    """The words of a name: "Loss/errD" is loss, err, d."""
    found = [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+", name)]
    return [part for w in found for part in _JOINED.get(w, (w,))]


def player_of(name: str) -> str | None:
    """The variable of the player whose loss a scalar of this name is, if it is one."""
    found = set(words(name))
    players = [v for v, own in _PLAYERS.items() if own & found]
    if len(players) != 1 or not _LOSS & found:
        return None
    return players[0] if found <= _PLAYERS[players[0]] | _LOSS | _SILENT else None


def losses(names: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Names of a run's scalars -> the player's variable, for those that the user has not named."""
    out: dict[str, str] = {}
    for player in _PLAYERS:
        if player in given.values():
            continue
        fits = [n for n in names if n not in given and player_of(n) == player]
        if fits:
            out[min(fits, key=lambda n: (len(words(n)), "epoch" in words(n), n))] = player
    return out


def clean(names: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Names -> the variables they become: identifiers that the schema leaves free, each once."""
    own = {*DIMS, "time", WALL, "run_name", *(dim for dims in DIMS.values() for dim in dims)}
    reserved = own | set(taken)
    out: dict[str, str] = {}
    last: dict[str, int] = {}  # of each that several names become: not counted from 2 on again
    for name in sorted(names):
        base = "".join(c if ("a" + c).isidentifier() else "_" for c in name)
        base = re.sub("_+", "_", base).strip("_")[:80].rstrip("_") or "scalar"
        base = base if base.isidentifier() else f"scalar_{base}"
        base = f"{base}_logged" if base in own else base
        variable, k = base, last.get(base, 2)
        while variable in reserved:
            variable, k = f"{base}_{k}", k + 1
        last[base] = k
        reserved.add(variable)
        out[name] = variable
    return out


def check_given(given: Mapping[str, str], names: Iterable[str]) -> None:
    """Raise InputError unless the user's names are those of scalars, and the variables free and each given once."""
    known = sorted(names)
    for name, variable in given.items():
        if name not in known:
            near = get_close_matches(name, known, 2) or known[:5]
            raise InputError("map", f"name scalars of the log (such as {', '.join(map(repr, near))})", repr(name))
        check_scalar_name(variable)
        if variable in (WALL, "run_name") or list(given.values()).count(variable) > 1:
            raise InputError("map", "give each variable once, and not those of the import itself", repr(variable))


__all__ = ["DISCRIMINATOR", "GENERATOR", "WALL", "check_given", "clean", "losses", "player_of"]
