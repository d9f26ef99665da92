"""The arithmetic of least squares for many responses: one factorisation of X, plain or cluster-robust errors.

Arrays in, arrays out; `least_squares` puts names to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lmmsim.estimators.asking import Answers, Questions
from lmmsim.estimators.estimates import Estimates
from lmmsim.estimators.freedom import Constant, Freedom
from lmmsim.theory.joint import uncorrelated, wald

Prepare = Callable[[np.ndarray], np.ndarray]


class Groups:
    """The groups that have rows: `codes` 0 .. J - 1 of the rows, J, and `sizes` (J, 1)."""

    def __init__(self, codes: np.ndarray) -> None:
        self.order = np.argsort(codes, kind="stable")
        ordered = codes[self.order]
        first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        self.starts = np.flatnonzero(first)
        self.J = len(self.starts)
        self.codes = np.empty(len(codes), dtype=np.intp)
        self.codes[self.order] = np.cumsum(first) - 1
        self.sizes = np.diff(np.append(self.starts, len(codes)))[:, None]
        self.sorted = bool((np.diff(codes) >= 0).all())

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the rows of every group, (n, ...) to (J, ...)."""
        return np.add.reduceat(values if self.sorted else values[self.order], self.starts, axis=0)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means of the rows of every group, (n, r) to (J, r)."""
        return self.sums(values) / self.sizes


@dataclass(frozen=True, eq=False)
class Solved:
    """Least squares of r responses: rows of the first three belong to columns of Y."""

    estimate: np.ndarray
    se: np.ndarray
    sigma: np.ndarray
    criterion: np.ndarray
    resid: np.ndarray


class Projection:
    """Least squares on one X: all that does not depend on the response.

    `X` (n, p) has full rank; `df_resid` are the residual degrees of freedom; `codes` (n,) is the cluster of each row
    when the errors are robust to dependence within clusters.
    """

    def __init__(self, X: np.ndarray, df_resid: int, codes: np.ndarray | None = None, robust: str = "") -> None:
        Q, R = np.linalg.qr(X)
        R_inverse = np.linalg.inv(R)
        self.X, self.df_resid, self.robust = X, df_resid, robust
        self.pinv, self.bread = R_inverse @ Q.T, R_inverse @ R_inverse.T
        self.df = np.full(X.shape[1], float(df_resid))
        if codes is not None:
            self._cluster(Q, R_inverse, codes)

    def _cluster(self, Q: np.ndarray, R_inverse: np.ndarray, codes: np.ndarray) -> None:
        """Weights whose products with the residuals, summed by cluster, give the robust variance."""
        n, p = self.X.shape
        self.groups = Groups(codes)
        J = self.groups.J
        if J < 2:
            raise ValueError("cluster-robust errors need at least two clusters; there is one")
        weights = Q
        if self.robust == "CR0":
            self.df = np.full(p, np.inf)
        elif self.robust == "CR1":
            # Stata's factor, and its t with J - 1 df
            weights = Q * np.sqrt(J / (J - 1) * (n - 1) / (n - p))
            self.df = np.full(p, J - 1.0)
        else:
            weights = bell_mccaffrey(Q, self.groups)
        self.weights = weights @ R_inverse.T
        if self.robust == "CR2":
            self.df = self._satterthwaite()

    def _satterthwaite(self) -> np.ndarray:
        """Df of the CR2 variances if the errors were independent (Pustejovsky & Tipton 2018, eq. 11)."""
        return self.freedom.df(np.eye(self.X.shape[1]))[0]

    @property
    def freedom(self) -> Freedom:
        """The reference distribution of combinations of the coefficients."""
        if self.robust == "CR2":
            return Clusters(self.X, self.bread, self.weights, self.groups)
        return Constant(float(np.fmax.reduce(self.df)))  # of those that have any

    def solve(self, Y: np.ndarray) -> Solved:
        """Estimates and standard errors for every column of Y (n, r)."""
        n = len(Y)
        beta = self.pinv @ Y
        resid = Y - self.X @ beta
        rss = (resid**2).sum(axis=0)
        sigma = np.sqrt(rss / self.df_resid)
        if self.robust:
            scores = (self.groups.sums(w[:, None] * resid) for w in self.weights.T)
            se = np.sqrt([(score**2).sum(axis=0) for score in scores]).T
        else:
            se = sigma[:, None] * np.sqrt(np.diagonal(self.bread))
        with np.errstate(divide="ignore"):
            criterion = n * (1 + np.log(2 * np.pi * rss / n))
        return Solved(beta.T, se, sigma, criterion, resid)

    def vcov(self, solved: Solved) -> np.ndarray:
        """Covariance (r, p, p) of the estimates of every response."""
        if not self.robust:
            return solved.sigma[:, None, None] ** 2 * self.bread
        scores = np.stack([self.groups.sums(w[:, None] * solved.resid) for w in self.weights.T])
        return np.einsum("ajr,bjr->rab", scores, scores)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Reference distributions of CR2 variances, worked out for independent errors (Pustejovsky & Tipton 2018).

    Attributes
    ----------
    X, bread : ndarray, (n, p) and (p, p)
        The columns, and (X'X)^-1.
    weights : ndarray, (n, p)
        Their products with residuals, summed by cluster, are the scores of the coefficients.
    groups : Groups
    """

    X: np.ndarray
    bread: np.ndarray
    weights: np.ndarray
    groups: Groups

    def df(self, L: np.ndarray) -> np.ndarray:
        """Satterthwaite's df, (1, q): 2 v^2 / Var(v) of every variance v (their eq. 11)."""
        W = self._combined(L)
        d = self.groups.sums(W**2)
        x = self.groups.sums(self.X[:, None, :] * W[:, :, None])
        xB = x @ self.bread
        leverage = (xB * x).sum(axis=2)
        cross = np.einsum("gji,gjk->jik", xB, x)
        trace = (cross * cross.transpose(0, 2, 1)).sum(axis=(1, 2))
        df = (d - leverage).sum(axis=0) ** 2 / ((d**2 - 2 * d * leverage).sum(axis=0) + trace)
        return np.asarray(df)[None]

    def _combined(self, L: np.ndarray) -> np.ndarray:
        """Weights (n, q) of the combinations; NaN where a coefficient is weighed that has no robust error."""
        lost = np.isnan(self.weights[0])
        combined = np.where(lost, 0.0, self.weights) @ L.T
        combined[:, (L[:, lost] != 0).any(axis=1)] = np.nan
        return combined

    def total_variance(self, L: np.ndarray) -> float:
        """Variances of all entries of the covariance of L beta, added up, for errors of variance 1.

        An entry is the sum over clusters of (p_a'e) (p_b'e), whose covariances are products of p_ai'p_bj. These are
        w_ai'w_bi - x_ai B x_bi within a cluster, and - x_ai B x_bj between two, with B = (X'X)^-1.
        """
        W = self._combined(L)
        own = self.groups.sums(W[:, :, None] * W[:, None, :])
        x = self.groups.sums(W[:, :, None] * self.X[:, None, :])
        xB = x @ self.bread
        shared = np.einsum("jap,jbp->jab", xB, x)
        M = np.einsum("jap,jbq->abpq", x, xB)
        total = 0.0
        for a, b in np.ndindex(own.shape[1:]):
            squares = own[:, a, a] * (own[:, b, b] - shared[:, b, b]) - shared[:, a, a] * own[:, b, b]
            products = own[:, a, b] * (own[:, a, b] - 2 * shared[:, a, b])
            between = np.sum(M[a, b] * M[b, a].T) + np.sum(M[b, a] * M[b, a].T)
            total += float((squares + products).sum() + between)
        return total

    def joint(self, L: np.ndarray, beta: np.ndarray, vcov: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hotelling's T squared with the df of a Wishart of the same total variance (AHT; their section 3.2)."""
        q = len(L)
        if q == 1:
            return wald(L, beta, vcov), np.broadcast_to(self.df(L)[:, 0], len(beta))
        axes, variances = uncorrelated(L, self.bread[None])
        eta = q * (q + 1) / self.total_variance(axes[0] @ L / np.sqrt(variances[0])[:, None])
        left = eta - q + 1
        if left <= 0:
            raise ValueError(
                f"a joint test of {q} contrasts with CR2 errors has {eta:.1f} degrees of freedom for their covariance, "
                f"fewer than {q}: test fewer at once, or use more clusters"
            )
        return left / (eta * q) * wald(L, beta, vcov), np.full(len(beta), left)


def bell_mccaffrey(Q: np.ndarray, groups: Groups) -> np.ndarray:
    """Return (I - H_gg)^(-1/2) Q_g, cluster by cluster (Bell & McCaffrey 2002).

    Q has orthonormal columns, so H_gg = Q_g Q_g' and only p x p matrices are inverted. Directions that a cluster
    alone determines have no residual; they get weight zero.
    """
    leverage, U = np.linalg.eigh(groups.sums(Q[:, :, None] * Q[:, None, :]))
    free = leverage < 1 - 1e-10
    stretch = np.where(free, 1 / np.sqrt(np.where(free, 1 - leverage, 1)), 0)
    adjust = (U * stretch[:, None, :]) @ U.transpose(0, 2, 1)
    return (Q[:, None, :] @ adjust[groups.codes])[:, 0]


def by_pattern(
    Y: np.ndarray,
    terms: tuple[str, ...],
    level: float,
    message: np.ndarray,
    analyse: Callable[[np.ndarray], tuple[Projection, Prepare]],
    questions: Questions | None = None,
) -> Estimates:
    """Analyse the columns of Y that have no message yet, those that miss the same rows together."""
    r, p = Y.shape[1], len(terms)
    parts: list[tuple[np.ndarray, Answers]] = []
    estimate, se, df = np.full((3, r, p), np.nan)
    criterion, sigma = np.full((2, r), np.nan)
    usable = np.flatnonzero(message == "")
    for rows, members in patterns(~np.isnan(Y[:, usable])):
        columns = usable[members]
        try:
            projection, prepare = analyse(rows)
            everything = rows.all() and len(columns) == r
            solved = projection.solve(prepare(Y if everything else Y[np.ix_(rows, columns)]))
            if questions:
                parts.append((columns, questions.answers(solved.estimate, projection.vcov(solved), projection.freedom)))
        except ValueError as error:
            message[columns] = str(error)
            continue
        estimate[columns], se[columns], df[columns] = solved.estimate, solved.se, projection.df
        criterion[columns], sigma[columns] = solved.criterion, solved.sigma
    singular = np.zeros(r, dtype=bool)
    found = Estimates(terms, estimate, se, df, criterion, sigma, message == "", singular, message, level=level)
    return found if questions is None else questions.beside(found, parts)


def patterns(observed: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (rows, columns) for the columns of a boolean (n, r) that are alike."""
    if observed.all():
        yield np.ones(len(observed), dtype=bool), np.arange(observed.shape[1])
        return
    alike: dict[bytes, list[int]] = {}
    for j, bits in enumerate(np.packbits(observed.T, axis=1)):
        alike.setdefault(bits.tobytes(), []).append(j)
    for columns in alike.values():
        yield observed[:, columns[0]], np.array(columns)
