"""Responses to one design that each lack other values, looked at together by `marginal`'s formulas.

Where every response has gaps of its own no two share their blocks, and nothing can be added up over blocks that look
alike. What is shared is V of a complete block: the blocks of all responses stand in one array, and a value that was not
observed has a row and column of zeros in T, the inverse of V of the others. With t = T (y - X beta) of one block,

    f_a = sum of M V_a    M = T - U C U' - t t' / s2    U = T X

so that M, and with it the gradient, is added up over the blocks of a pattern before it meets V_a.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from lmmsim.reml import stacks
from lmmsim.reml.marginal import MarginalPoint
from lmmsim.reml.marginal_form import EXACT, Form, Standard
from lmmsim.reml.residual_numbers import Numbers
from lmmsim.reml.unit_sums import Stack

FEW = 3  # responses that share their gaps up to which each is fitted beside others, whatever their gaps
MANY = 500  # blocks of V beyond which those that look alike are counted first, mask by mask
LARGEST = 2**21  # numbers that are carried together


@dataclass(frozen=True, eq=False)
class Layout:
    """The blocks of one stack, those of a pattern side by side: J of m rows.

    Attributes
    ----------
    rows : ndarray, (J, m)
    pattern : ndarray, (J,)
    places : list of slice
        Of every pattern.
    X : ndarray, (J, m, p)
    """

    rows: np.ndarray
    pattern: np.ndarray
    places: list[slice]
    X: np.ndarray

    @classmethod
    def of(cls, stack: Stack, X: np.ndarray) -> Layout:
        """The layout of a stack of the complete design; X (n, p)."""
        sizes = [len(rows) for rows in stack.rows]
        ends = np.cumsum(sizes)
        rows = np.concatenate(stack.rows)
        places = [slice(int(end) - size, int(end)) for end, size in zip(ends, sizes, strict=True)]
        return cls(rows, np.repeat(np.arange(len(sizes)), sizes), places, X[rows])


@dataclass(frozen=True, eq=False)
class Gaps:
    """Responses, zero where they were not observed, block by block of every stack.

    Attributes
    ----------
    n : ndarray, (r,)
        How many values each has.
    layouts : tuple of Layout
    y, seen : tuple of ndarray, (r, J, m)
    kinds : tuple of ndarray, (K, 1 + m)
        Distinct blocks: the pattern, then which rows were seen.
    kind : tuple of ndarray, (r, J)
    """

    n: np.ndarray
    layouts: tuple[Layout, ...]
    y: tuple[np.ndarray, ...]
    seen: tuple[np.ndarray, ...]
    kinds: tuple[np.ndarray, ...]
    kind: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, layouts: Sequence[Layout], rows: np.ndarray, observed: np.ndarray) -> Gaps:
        """From responses (n, r) and which of their values were observed."""
        y, seen, kinds, kind = [], [], [], []
        for layout in layouts:
            here = observed[layout.rows].transpose(2, 0, 1)  # (r, J, m)
            pattern = np.broadcast_to(layout.pattern[:, None], (*here.shape[:2], 1))
            what = np.concatenate([pattern, here], axis=2).reshape(-1, 1 + here.shape[2])
            distinct, which = np.unique(what, axis=0, return_inverse=True)
            y.append(np.ascontiguousarray(rows[layout.rows].transpose(2, 0, 1)))
            seen.append(here.astype(float))
            kinds.append(distinct)
            kind.append(which.reshape(here.shape[:2]))
        return cls(observed.sum(axis=0).astype(float), tuple(layouts), tuple(y), tuple(seen), tuple(kinds), tuple(kind))

    def take(self, which: np.ndarray) -> Gaps:
        """Some of the responses."""
        y, seen = tuple(part[which] for part in self.y), tuple(part[which] for part in self.seen)
        return Gaps(self.n[which], self.layouts, y, seen, self.kinds, tuple(part[which] for part in self.kind))


class GapPoint(MarginalPoint):
    """The likelihood of responses that each lack other values; `sums` are `Gaps`."""

    sums: Gaps  # type: ignore[assignment]

    def _solve(self) -> None:
        k, p, r = self.r, self.p, len(self.sums.n)
        self.T, self.U, self.Ty = [], [], []
        log_det, XX, Xy, yy = np.zeros(r), np.zeros((r, p, p)), np.zeros((r, p)), np.zeros(r)
        parts = zip(self.design, self.residual, self.sums.layouts, self.sums.y, strict=True)
        for i, (stack, here, layout, y) in enumerate(parts):
            V = np.broadcast_to(here.R + np.tensordot(self.psi, stack.Z, 1), (k, *here.R.shape[1:]))
            T, own = self._inverse(i, V, layout)
            U = T @ layout.X
            Ty = (T @ y[..., None])[..., 0]
            log_det += own
            XX += layout.X.reshape(-1, p).T @ U.reshape(r, -1, p)
            Xy += (y.reshape(r, 1, -1) @ U.reshape(r, -1, p))[:, 0]
            yy += (y * Ty).sum(axis=(1, 2))
            self.T.append(T)
            self.U.append(U)
            self.Ty.append(Ty)
        self._estimate(log_det, XX, Xy, yy)

    def _inverse(self, i: int, V: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
        """T (r, J, m, m) of what was seen of every block, and log|V| (r,); at common parameters kind by kind."""
        m = V.shape[-1]
        if len(V) == 1:  # one place of all responses, or one response
            kinds, kind = self.sums.kinds[i], self.sums.kind[i]
            blocks, seen = V[0, kinds[:, 0].astype(int)], kinds[:, 1:].astype(float)
        else:
            blocks, seen = V[:, layout.pattern].reshape(-1, m, m), self.sums.seen[i].reshape(-1, m)
        both = seen[:, :, None] * seen[:, None, :]
        filled = blocks * both
        filled[:, np.arange(m), np.arange(m)] += 1 - seen
        inverse, pivots = stacks.inverse(filled)
        inverse, logs = inverse * both, pivots.sum(axis=1)
        if len(V) == 1:
            return inverse[kind], logs[kind].sum(axis=1)
        shape = (len(V), len(layout.rows))
        return inverse.reshape(*shape, m, m), logs.reshape(shape).sum(axis=1)

    def _of_all(self) -> tuple[np.ndarray, ...]:
        """Gradient, squares g, joint Hessian without the profiled scale, H: in (psi, phi)."""
        r, p, a = self.r, self.p, self.t + self.phi.shape[1]
        gradient, squares, hessian = np.zeros((r, a)), np.zeros((r, a)), np.zeros((r, a, a))
        H, h = np.zeros((r, a, p, p)), np.zeros((r, a, p))
        s2 = self.sigma2[:, None]
        parts = zip(self.design, self.residual, self.sums.layouts, self.T, self.U, self.Ty, strict=True)
        for stack, here, layout, T, U, Ty in parts:
            t = Ty - (U @ self.beta[:, None, :, None])[..., 0]  # (r, J, m)
            D = (U @ self.vcov[:, None]) @ U.swapaxes(2, 3) if self.reml else None
            W = t[..., :, None] * (t / s2[..., None])[..., None, :]
            M = T - W if D is None else T - W - D
            Q = 2 * W - T if D is None else 2 * (W + D) - T
            V = self._slopes(stack, here)  # (r, a, G, m, m)
            m, G = stack.m, len(layout.places)
            total, squared = np.empty((r, G, m, m)), np.empty((r, G, m, m))
            for g, place in enumerate(layout.places):
                total[:, g], squared[:, g] = M[:, place].sum(axis=1), W[:, place].sum(axis=1)
                of_g = V[:, :, g]
                VT, VQ = _times(of_g, T[:, place]), _times(of_g, Q[:, place])
                hessian += VT.reshape(r, a, -1) @ VQ.transpose(0, 1, 4, 3, 2).reshape(r, a, -1).swapaxes(1, 2)
                Ug = U[:, place].transpose(0, 2, 1, 3).reshape(r, m, -1)  # (r, m, J p)
                moved = (of_g @ Ug[:, None]).reshape(r, a, -1, p)  # (r, a, m J, p)
                H += Ug.reshape(r, 1, -1, p).swapaxes(2, 3) @ moved
                h += (t[:, place].swapaxes(1, 2).reshape(r, 1, 1, -1) @ moved)[:, :, 0]
            tall = V.reshape(r, a, -1)
            gradient += (tall @ total.reshape(r, -1, 1))[..., 0]
            squares += (tall @ squared.reshape(r, -1, 1))[..., 0]
            if self.phi.shape[1]:
                hessian[:, self.t :, self.t :] += here.bend(total)
        C = self.vcov
        if self.reml:
            CH = C[:, None] @ H
            hessian -= CH.reshape(r, a, p * p) @ CH.swapaxes(2, 3).reshape(r, a, p * p).swapaxes(1, 2)
        hessian -= 2 * h @ C @ h.swapaxes(1, 2) / self.sigma2[:, None, None]
        return gradient, squares, (hessian + hessian.swapaxes(1, 2)) / 2, H


def _times(V: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """V_a times every block: (r, a, m, m) and (r, J, m, m) to (r, a, m, J, m)."""
    r, J, m, _ = blocks.shape
    side_by_side = blocks.transpose(0, 2, 1, 3).reshape(r, 1, m, J * m)
    return np.asarray((V @ side_by_side).reshape(r, V.shape[1], m, J, m))


class Together:
    """Which responses to a design are fitted together, gaps and all, and how many at a time.

    Parameters
    ----------
    form : Form
    design : list of Stack
        Of all rows.
    numbers : Numbers
        The residual's.
    """

    def __init__(self, form: Form, design: list[Stack], numbers: Numbers) -> None:
        self.form, self.design, self.a = form, design, form.t + numbers.size
        self.blocks = int(sum(stack.count.sum() for stack in design))

    def alone(self, observed: np.ndarray | None) -> np.ndarray:
        """The responses whose gaps (n, r) hardly another one has; none where blocks that look alike save more."""
        if observed is None or observed.all() or self.blocks > MANY:
            return np.empty(0, dtype=int)
        _, inverse, counts = np.unique(observed.T, axis=0, return_inverse=True, return_counts=True)
        alone = np.flatnonzero((counts <= FEW)[inverse.ravel()] & ~observed.all(axis=0))
        return alone if len(alone) > FEW else np.empty(0, dtype=int)

    def chunks(self, alone: np.ndarray) -> Iterator[np.ndarray]:
        """As many of these responses as are carried together."""
        each = 0
        for stack in self.design:
            J, m, p = int(stack.count.sum()), stack.m, self.form.p
            each += J * m * m * (2 * self.a + 8) + J * m * p * (self.a + 2)
        size = max(1, LARGEST // each)
        for first in range(0, len(alone), size):
            yield alone[first : first + size]

    @cached_property
    def layouts(self) -> list[Layout]:
        """The blocks of all stacks."""
        return [Layout.of(stack, self.form.X) for stack in self.design]

    def sums(self, rows: np.ndarray, observed: np.ndarray) -> Gaps:
        """What the likelihood needs of responses (n, r), zero in their gaps."""
        return Gaps.of(self.layouts, rows, observed)

    def point(self, found: Any, which: np.ndarray) -> GapPoint:
        """The likelihood of some responses of a solution, for questions that do not need them."""
        observed = found.observed[:, which]
        noise = np.where(observed, np.random.default_rng(0).normal(size=(self.form.n, 1)), 0.0)
        parameters = np.hstack([found.standard_theta[which], found.phi[which]])
        sums: Any = self.sums(noise, observed)
        return GapPoint(self.design, self.form.coordinates, parameters, sums, found.reml)


def standardised(form: Form, Y: np.ndarray) -> Standard:
    """Least-squares residuals of responses (n, r) with gaps, in units of their size, and zero in the gaps."""
    observed = np.isfinite(Y)
    n, r = observed.sum(axis=0), Y.shape[1]
    seen = observed.T.astype(float)  # (r, n)
    gram = (seen[:, None] * form.X.T) @ form.X
    stand_in = np.where(observed, np.random.default_rng(0).normal(size=(form.n, 1)), 0.0)
    message = np.full(r, "", dtype=object)
    message[np.linalg.eigvalsh(gram)[:, 0] < 1e-10] = (
        "the rows observed in this replicate do not identify every coefficient"
    )
    message[n <= form.p] = "no more rows observed in this replicate than coefficients"
    unusable = message != ""
    gram[unusable] = np.eye(form.p)
    base, y = np.zeros((r, form.p)), np.where(observed, Y, 0.0)
    for _ in range(2):  # the second pass removes the rounding of the first
        step = np.linalg.solve(gram, (form.X.T @ y).T[..., None])[..., 0]
        base, y = base + step, np.where(observed, y - form.X @ step.T, 0.0)
    square = np.einsum("im,im->m", y, y) / np.maximum(n, 1)
    exact = (square <= EXACT**2 * ((base**2).sum(axis=1) / np.maximum(n, 1) + square)) & ~unusable
    message[exact] = "an exact linear function of the fixed effects: nothing is left to vary"
    failed = exact | unusable
    base[unusable] = 0.0
    scale = np.where(failed, np.nan, np.sqrt(square))
    return Standard(np.where(failed, stand_in, y / np.where(failed, 1.0, scale)), base, scale, message)
