"""Designs in which every factor is nested in the next: pupils in classrooms in schools, with slopes anywhere.

The rows enter once: least squares within the innermost levels splits every other column, and the response, into what
the innermost columns explain and what is left (see `crossproducts`). After that the design is a table of small
matrices, one for each level of each factor, which `elimination` works through from the inside to the outside.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lmmsim.reml.chain import Factor, chain
from lmmsim.reml.crossproducts import Gram, block_diagonal
from lmmsim.reml.elimination import Jet, Step, added, added_up, first_step, names, next_step
from lmmsim.reml.likelihood import Likelihood
from lmmsim.reml.stacks import product, transpose
from lmmsim.reml.standard_form import Problem, Responses
from lmmsim.reml.tables import NestedMoments, Table

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FEW = 15  # random effects outside the innermost factor up to which a dense matrix of them is as fast


class Nested:
    """A chain of nested factors, from the inside to the outside. `Nested.find` returns None for other designs."""

    def __init__(self, problem: Problem, factors: list[Factor]) -> None:
        self.problem, self.factors = problem, factors
        inner, *self.outside = factors
        sizes = [factor.layout.k for factor in factors]
        self.k, self.p, self.J = sizes[0], problem.p, len(inner.number)
        self.begin = np.cumsum([0, *sizes[1:]])  # of every outer factor's columns in the table; last: of X
        self.d = int(self.begin[-1]) + self.p
        self.columns = np.concatenate([*(factor.columns for factor in self.outside), problem.X], axis=1)
        self.starts = [self._starts(a, b) for i, a in enumerate(factors) for b in [factors[i + 1 :]]]
        order = [np.arange(s.start, s.stop) for f in factors for i in f.terms for s in [problem.coordinates.slices[i]]]
        self.order = np.argsort(np.concatenate(order))

    @classmethod
    def find(cls, problem: Problem, few: int = FEW) -> Nested | None:
        """The chain of a design; None where two factors are crossed, or where the outer ones have few effects."""
        factors = chain(problem)
        if factors is None or sum(len(f.number) * f.layout.k for f in factors[1:]) <= few:
            return None
        return cls(problem, factors)

    @staticmethod
    def _starts(inner: Factor, outside: list[Factor]) -> list[np.ndarray]:
        """Where the levels of a factor begin that belong to each level of the factors outside it."""
        first = np.unique(inner.codes, return_index=True)[1]
        return [np.flatnonzero(np.diff(factor.codes[first], prepend=-1)) for factor in outside]

    def chunk(self, complete: bool) -> int:
        """How many responses to carry through the optimisation together."""
        jets = (self.problem.coordinates.size + 1) ** 2
        return max(1, min(2**22 // (jets * self.J * self.k * (self.d + 1)), 1000))

    # -- the rows ---------------------------------------------------------------------------------------------------

    @cached_property
    def _whole(self) -> tuple[Table, list[csr_array], np.ndarray, np.ndarray]:
        """The table of complete responses, and what `_table` needs to read a response."""
        return self._table(None)

    def _table(self, seen: np.ndarray | None) -> tuple[Table, list[csr_array], np.ndarray, np.ndarray]:
        """The table of the rows that were seen (n,); sums over the levels of all factors, (J k, n); X_left; A^+."""
        seen = np.ones(self.problem.n) if seen is None else seen
        inner = self.factors[0]
        sums = [_by_level(inner.codes, inner.columns * seen[:, None], self.J)]
        A = (sums[0] @ inner.columns).reshape(self.k, self.J, self.k).transpose(0, 2, 1)
        gram = Gram.of(np.ascontiguousarray(A)[:, :, None])
        inverse = gram.inverse()[:, :, 0]
        solve, left = block_diagonal(inverse), self.columns * seen[:, None]
        U = np.zeros((self.k * self.J, self.d))
        for _ in range(2):  # the second pass removes the rounding of the first
            more = solve @ (sums[0] @ left)
            left, U = left - sums[0].T @ more, U + more
        U = U.reshape(self.k, self.J, self.d).swapaxes(1, 2)[:, :, None]
        outer = []
        for factor, begin in zip(self.outside, self.begin[:-1], strict=True):
            k, J = factor.layout.k, len(factor.number)
            sums.append(_by_level(factor.codes, left[:, begin : begin + k], J))
            outer.append((sums[-1] @ left[:, begin:]).reshape(k, J, -1).swapaxes(1, 2)[:, :, None])
        X_left = left[:, self.begin[-1] :]
        return Table(gram, U, outer, (X_left.T @ X_left)[None]), sums, X_left, inverse

    def moments(self, responses: Responses) -> NestedMoments:
        """The sums that the criterion needs, for every response."""
        y, seen = responses.y, responses.observed
        if seen is None:
            return self._read(y, self._whole, np.full(y.shape[1], float(self.problem.n)))
        parts = []
        for i in range(y.shape[1]):
            mask = seen[:, i].astype(float)
            parts.append(self._read(y[:, i : i + 1], self._table(mask), np.array([mask.sum()])))
        return NestedMoments.join(parts)

    def _read(
        self, y: np.ndarray, design: tuple[Table, list[csr_array], np.ndarray, np.ndarray], n: np.ndarray
    ) -> NestedMoments:
        """Responses (n, m) that share their rows."""
        table, (inner, *outside), X_left, inverse = design
        solve, m = block_diagonal(inverse), y.shape[1]
        u = solve @ (inner @ y)
        left = y - inner.T @ u
        outer_y = [
            (sums @ left).reshape(f.layout.k, -1, m).swapaxes(1, 2)
            for sums, f in zip(outside, self.outside, strict=True)
        ]
        yy = np.einsum("im,im->m", left, left)
        return NestedMoments(table, n, u.reshape(self.k, self.J, m).swapaxes(1, 2), outer_y, left.T @ X_left, yy)

    # -- the likelihood ---------------------------------------------------------------------------------------------

    def at(self, theta: np.ndarray, moments: NestedMoments, reml: bool) -> Likelihood:
        """The likelihood and its derivatives at theta (m, t)."""
        log_det, S, before = self._eliminated(theta, moments)[1:]
        m, t, p = len(theta), theta.shape[1], self.p
        one, two = np.zeros((m, t)), np.zeros((m, t, t))
        S_one, S_two = np.zeros((m, t, p + 1, p + 1)), np.zeros((m, t, t, p + 1, p + 1))
        for name in names(t):
            if len(name) == 1:
                one[:, name[0]], S_one[:, name[0]] = log_det[name], S[name]
            elif name:
                a, b = name
                two[:, a, b] = two[:, b, a] = log_det[name]
                S_two[:, a, b] = S_two[:, b, a] = S[name]
        o = self.order
        return Likelihood(
            log_det[()],
            one[:, o],
            two[:, o][:, :, o],
            S[()],
            S_one[:, o],
            S_two[:, o][:, :, o],
            before,
            moments.n,
            reml,
        )

    def _eliminated(self, theta: np.ndarray, moments: NestedMoments) -> tuple[list[Step], Jet, Jet, np.ndarray]:
        """All steps, log|V|, S, and the diagonal of S after the first step."""
        table, m = moments.table, len(theta)
        factors = self.problem.coordinates.factors(theta)
        inner = self.factors[0]
        factor = inner.stacked(factors)
        psi = product(factor, transpose(factor))
        T, by_level = table.gram.absorb(psi)
        U = _beside(table.U, moments.u, m)
        step = first_step(T, by_level.sum(axis=1), U, psi, inner.layout.directions1)
        steps, t = [step], len(inner.layout.directions1)
        sums: list[Jet] = [{(): _beside(*both, m)} for both in zip(table.outer, moments.outer_y, strict=True)]
        S: Jet = {(): np.zeros((m, self.p + 1, self.p + 1))}
        S[()][:, :-1, :-1] = table.XX
        S[()][:, :-1, -1] = S[()][:, -1, :-1] = moments.Xy
        S[()][:, -1, -1] = moments.yy
        log_det: Jet = {}
        before = self._add(step, 0, t, sums, S, log_det)
        for f, outside in enumerate(self.outside):
            k, own = outside.layout.k, sums[f]
            A, B = ({name: part[:, at] for name, part in own.items()} for at in (slice(0, k), slice(k, None)))
            step = next_step(A, B, outside.stacked(factors), outside.layout.directions1, t)
            steps.append(step)
            t += len(outside.layout.directions1)
            self._add(step, f + 1, t, sums, S, log_det)
        return steps, log_det, S, before

    def _add(self, step: Step, f: int, t: int, sums: list[Jet], S: Jet, log_det: Jet) -> np.ndarray:
        """Add what eliminating factor f changes to the sums of the factors outside it, and to S."""
        offset = self.begin[f]
        for name in names(t):
            pairs = step.pairs[name]
            log_det[name] = log_det.get(name, 0.0) + step.log_det[name]
            for g in range(f, len(self.outside)):
                at = slice(self.begin[g] - offset, self.begin[g + 1] - offset)
                more = added(pairs, at, slice(at.start, None), self.starts[f][g - f])
                sums[g][name] = sums[g].get(name, 0.0) + more
            S[name] = S.get(name, 0.0) + added_up(pairs, slice(self.begin[-1] - offset, None))
        return np.array(np.diagonal(S[()], axis1=1, axis2=2))

    # -- the random effects ----------------------------------------------------------------------------------------

    def modes(self, theta: np.ndarray, responses: Responses, reml: bool) -> list[np.ndarray]:
        """Modes of every term, (m, J, k), in the user's columns and units.

        From the outside to the inside: given the outer effects b and beta, an effect is R (-b, -beta, 1).
        """
        moments = self.moments(responses)
        steps = self._eliminated(theta, moments)[0]
        known = np.append(-self.at(theta, moments, reml).beta.T, np.ones((1, len(theta))), axis=0)[:, :, None]
        out: dict[int, np.ndarray] = {}
        for f in range(len(steps) - 1, -1, -1):
            given = known if f == len(steps) - 1 else known[:, :, self._parents[f]]
            b = product(steps[f].R, given[:, None])[:, 0]  # (k, m, J)
            known = np.concatenate([-b, np.broadcast_to(given, (len(given), *b.shape[1:]))])
            out |= self._to_terms(f, responses.scale[:, None, None] * b.transpose(1, 2, 0))
        return [out[i] for i in range(len(out))]

    def mode_variances(self, theta: np.ndarray, sigma: np.ndarray, observed: np.ndarray | None) -> list[np.ndarray]:
        """Conditional variances of every term, (m, J, k, k), in the user's columns and units.

        That of an effect is K given the outer effects b, and R Var(b) R' more without them.
        """
        steps = self._eliminated(theta, self.moments(self.problem.no_response(len(theta), observed)))[0]
        joint, out = np.zeros((0, 0, len(theta), 1)), dict[int, np.ndarray]()
        for f in range(len(steps) - 1, -1, -1):
            step, outer = steps[f], joint if f == len(steps) - 1 else joint[..., self._parents[f]]
            R = step.R[:, : len(outer)]
            across = -product(R, outer) if len(outer) else R
            variance = step.K - product(across, transpose(R)) if len(outer) else step.K
            outer = np.broadcast_to(outer, (*outer.shape[:3], variance.shape[3]))
            joint = np.concatenate([np.append(variance, across, 1), np.append(transpose(across), outer, 1)])
            out |= self._to_terms(f, sigma[:, None, None, None] ** 2 * variance.transpose(2, 3, 0, 1))
        return [out[i] for i in range(len(out))]

    @cached_property
    def _parents(self) -> list[np.ndarray]:
        """The level of the next factor to which each level of a factor belongs."""
        firsts = [np.unique(factor.codes, return_index=True)[1] for factor in self.factors[:-1]]
        return [outside.codes[first] for first, outside in zip(firsts, self.outside, strict=True)]

    def _to_terms(self, f: int, values: np.ndarray) -> dict[int, np.ndarray]:
        """What is known of a factor's effects, (m, J, k) or (m, J, k, k), for each of its terms as the user has it."""
        factor, out = self.factors[f], {}
        placed = np.empty_like(values)
        placed[:, factor.number] = values
        for i, at in zip(factor.terms, factor.layout.own.values(), strict=True):
            back = self.problem.terms[i].back
            out[i] = placed[..., at] @ back.T if values.ndim == 3 else back @ placed[..., at, at] @ back.T
        return out

    def explain(self) -> str:
        """One sentence about the structure."""
        levels = " in ".join(str(len(factor.number)) for factor in self.factors)
        return (
            f"nested factors: {levels} levels, eliminated from the inside outward; the cost is linear in their number"
        )


def _by_level(codes: np.ndarray, columns: np.ndarray, J: int) -> csr_array:
    """The matrix (k J, n) that adds columns times values up by level, rows ordered by column, then level."""
    from scipy import sparse

    n, k = columns.shape
    order = np.argsort(codes, kind="stable")
    ends = np.arange(k)[:, None] * n + np.cumsum(np.bincount(codes, minlength=J))
    entries = (columns[order].T.ravel(), np.tile(order, k), np.append(0, ends))
    return sparse.csr_array(entries, shape=(k * J, n))


def _beside(columns: np.ndarray, response: np.ndarray, m: int) -> np.ndarray:
    """Matrices (k, d, 1 or m, J) with the response's (k, m, J) as the last column."""
    k, d, _, J = columns.shape
    return np.concatenate([np.broadcast_to(columns, (k, d, m, J)), response[:, None]], axis=1)
