"""What is left of a map near a threshold: its coefficients on the critical eigenspace, up to third order.

With coordinates z_i on the critical eigenvectors q_i (and the conjugates of complex ones among them) the state is
z = sum_i q_i z_i + sum_ij h_ij z_i z_j / 2 + ..., and one step multiplies z_i z_j by lambda_i lambda_j (flow: its rate
is s_i + s_j; read zeta for either). Eq. (105, centre-coefficient) for one pair:

    h_ij = (zeta_ij - A)^-1 B(q_i, q_j)
    T_l^ijk = <p_l, C(q_i, q_j, q_k) + B(q_i, h_jk) + B(q_j, h_ik) + B(q_k, h_ij)>
    z_l -> lambda_l z_l + sum_ij <p_l, B(q_i, q_j)> z_i z_j / 2 + sum_ijk T_l^ijk z_i z_j z_k / 6

of which the resonant terms remain: of a pair on the unit circle those with one conjugate factor. No symmetry is
assumed: two pairs that share an eigenvalue have all of their terms. Sources: Kuznetsov, Elements of Applied
Bifurcation Theory, chs. 5.4 and 9; Golubitsky, Stewart, Schaeffer, Singularities and Groups II, ch. XVII.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .critical import CriticalSpace, Resolvent, SplitResolvent
from .differentials import Differentials

Array = np.ndarray


@dataclass(frozen=True)
class Reduced:
    """quadratic (k, m, m): <p_l, B(q_i, q_j)>, zero unless resonant (a single +1); cubic (k, m, m, m): T_l^ijk, zero
    unless resonant; response (m, m, n): h_ij. Indices i, j, k run over ``space.all_values``. scale (k,): the sum of the
    absolute values of the terms that T is the sum of, for what is zero to rounding."""

    space: CriticalSpace
    quadratic: Array
    cubic: Array
    response: Array
    scale: float


def realified(space: CriticalSpace) -> tuple[Array, Array]:
    """(basis (r, n) real, M (m, r) complex): all_right = M @ basis."""
    q = space.right.T
    if space.real:
        return np.ascontiguousarray(q.real), np.eye(space.size)
    eye = np.eye(space.size)
    return np.concatenate([q.real, q.imag]), np.block([[eye, 1j * eye], [eye, -1j * eye]])


def responses(
    space: CriticalSpace, differentials: Differentials, resolvent: Resolvent | SplitResolvent
) -> tuple[Array, Array]:
    """(B_ij (m, m, n), h_ij (m, m, n)) of the critical directions."""
    basis, M = realified(space)
    B = np.einsum("ia,jb,abn->ijn", M, M, differentials.form(basis, 2), optimize=True)
    m = len(M)
    h = np.zeros_like(B, dtype=B.dtype if space.real else complex)
    k = space.size
    for i in range(m):
        for j in range(i, m):
            if not space.real and i >= k:  # the conjugate of one that is there
                h[i, j] = h[i - k, j - k].conj()
            elif not space.real and j >= k and j - k < i:
                h[i, j] = h[j - k, i + k].conj()
            else:
                resonant = space if _quadratic(space) else None
                h[i, j] = resolvent(space.combined(i, j), B[i, j], resonant)
            h[j, i] = h[i, j]
    return B, h


def _quadratic(space: CriticalSpace) -> bool:
    """Whether z_i z_j may act on z_l: eigenvalues +1 (flow: 0)."""
    return space.real and bool(np.all(np.abs(space.values - (0.0 if space.continuous else 1.0)) < 0.5))


def reduce(space: CriticalSpace, differentials: Differentials, resolvent: Resolvent | SplitResolvent) -> Reduced:
    """The resonant coefficients. Raises Refused (weights that nothing damps)."""
    basis, M = realified(space)
    k, m = space.size, len(M)
    B, h = responses(space, differentials, resolvent)
    third = np.einsum("ia,jb,kc,abcn->ijkn", M, M, M, differentials.form(basis, 3), optimize=True)
    direct = np.einsum("nl,ijkn->lijk", space.left.conj(), third, optimize=True)
    # B(q_i, h_jk), j <= k
    pairs = [(j, l) for j in range(m) for l in range(j, m)]
    vectors = np.stack([h[j, l] for j, l in pairs])
    q = space.all_right
    mixed = np.empty((k, m, m, m), dtype=complex)
    u = np.repeat(q, len(pairs), axis=0)
    found = differentials.bilinear(u.astype(complex), np.tile(vectors, (m, 1)).astype(complex))
    projected = (found @ space.left.conj()).reshape(m, len(pairs), k)
    for at, (j, l) in enumerate(pairs):
        mixed[:, :, j, l] = mixed[:, :, l, j] = projected[:, at].T
    through = mixed + np.swapaxes(mixed, 1, 2) + np.transpose(mixed, (0, 3, 2, 1))
    cubic = direct + through
    scale = float(np.abs(direct).max() + 3 * np.abs(mixed).max())
    quadratic = np.einsum("nl,ijn->lij", space.left.conj(), B, optimize=True)
    if not _quadratic(space):
        quadratic = np.zeros_like(quadratic)
    if not space.real:
        conjugates = np.arange(m) >= k
        number = conjugates[:, None, None].astype(int) + conjugates[None, :, None] + conjugates[None, None, :]
        cubic = np.where(number == 1, cubic, 0.0)
    else:
        quadratic, cubic = quadratic.real, cubic.real
    return Reduced(space, quadratic, cubic, h, scale)


__all__ = ["Reduced", "realified", "reduce", "responses"]
