"""Shapes of chance: what a random effect, a residual or a covariate may be drawn from.

A shape standardised has mean 0 and variance 1 whatever it looks like, so that choosing another shape never changes
a standard deviation. Numbers are drawn in C order: the first rows of many are the rows of few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from lmmsim.checks import is_number, quoted
from lmmsim.covariance import Corr, check_names, correlation_matrix, from_sd, square_root
from lmmsim.streams import Rng, generator

Size = int | tuple[int, ...]
LARGEST_SKEWNESS = 1e6


@dataclass(frozen=True)
class Shape:
    """A distribution with a mean and a standard deviation: what the functions of this module return.

    Attributes
    ----------
    name : str
        What to call it in a table or a legend.
    sampler : callable
        ``sampler(rng, size, *parameters)`` draws with mean 0 and variance 1.
    parameters : tuple of float
        What `sampler` needs beside.
    mean, sd : float
        Mean and standard deviation of what `draw` gives.
    skewness : float
        Third standardised moment.
    kurtosis : float
        Excess kurtosis: 0 for the normal distribution.
    """

    name: str
    sampler: Callable[..., np.ndarray] = field(repr=False)
    parameters: tuple[float, ...] = field(repr=False)
    mean: float
    sd: float
    skewness: float = field(default=0.0, compare=False)
    kurtosis: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        """Refuse an impossible mean or sd."""
        if not is_number(self.mean):
            raise ValueError(f"mean must be a finite number; got {quoted(self.mean)}")
        if not (is_number(self.sd) and self.sd >= 0):
            raise ValueError(f"an sd must be a number of 0 or more; got {quoted(self.sd)}")

    def standard(self, rng: Rng, size: Size, out: np.ndarray | None = None) -> np.ndarray:
        """Draw with mean 0 and variance 1.

        Parameters
        ----------
        rng : Generator, int or None
        size : int or tuple of int
        out : ndarray, optional
            A float64 array of shape `size`, in C order, to write to instead of making a new one.

        Returns
        -------
        ndarray, shape `size`
            In C order: ``standard(1, (9, 2))[:4]`` equals ``standard(1, (4, 2))``.
        """
        rng = generator(rng)
        if self.sampler is _normal:  # the one that can write in place, and the one that has to be fast
            return rng.standard_normal(size, out=out)
        values = self.sampler(rng, size, *self.parameters)
        if out is None:
            return values
        out[...] = values
        return out

    def draw(self, rng: Rng, size: Size) -> np.ndarray:
        """Draw with mean `mean` and standard deviation `sd`.

        Parameters
        ----------
        rng : Generator, int or None
        size : int or tuple of int

        Returns
        -------
        ndarray, shape `size`
        """
        return self.mean + self.sd * self.standard(rng, size)


def normal(mean: float = 0.0, sd: float = 1.0) -> Shape:
    """Describe the normal distribution.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation of what is drawn.

    Returns
    -------
    Shape

    Raises
    ------
    ValueError
        If `sd` is negative.

    Examples
    --------
    >>> normal(mean=50, sd=10).draw(rng=1, size=3).shape
    (3,)
    """
    return Shape("normal", _normal, (), mean, sd)


def student_t(df: float, mean: float = 0.0, sd: float = 1.0) -> Shape:
    """Describe Student's t distribution scaled to the sd asked for: heavy tails at an unchanged variance.

    Parameters
    ----------
    df : float
        Degrees of freedom, above 2; the kurtosis is infinite up to 4.
    mean, sd : float
        Mean and standard deviation of what is drawn (`sd` is not the scale parameter of the t).

    Returns
    -------
    Shape

    Raises
    ------
    ValueError
        If `df` is 2 or less, where the variance is infinite.

    Examples
    --------
    >>> student_t(df=5).kurtosis
    6.0
    """
    if not (is_number(df) and df > 2):
        raise ValueError(
            f"the variance of Student's t with df = {quoted(df)} is infinite, so it has no sd; use df above 2"
        )
    skewness = 0.0 if df > 3 else math.nan
    kurtosis = 6 / (df - 4) if df > 4 else math.inf
    return Shape(f"Student t, {df:g} df", _student_t, (df,), mean, sd, skewness, kurtosis)


def skewed(skewness: float = 1.0, mean: float = 0.0, sd: float = 1.0) -> Shape:
    """Describe a skewed distribution: a gamma, shifted and scaled, mirrored if `skewness` is negative.

    Parameters
    ----------
    skewness : float
        Third standardised moment, of any size and sign. 2 is the exponential distribution, 0 the normal.
    mean, sd : float
        Mean and standard deviation of what is drawn.

    Returns
    -------
    Shape

    Raises
    ------
    ValueError
        If `skewness` is not finite.

    Examples
    --------
    >>> exponential = skewed(skewness=2)
    >>> exponential.kurtosis
    6.0
    >>> bool(exponential.draw(rng=1, size=1000).min() >= -1)     # an exponential begins one sd below its mean
    True
    """
    if not is_number(skewness):
        raise ValueError(f"skewness must be a finite number; got {quoted(skewness)}")
    if abs(skewness) > LARGEST_SKEWNESS:
        raise ValueError(f"skewness is {skewness:g}; beyond {LARGEST_SKEWNESS:g} nearly all draws are the same number")
    name, kurtosis = f"skewed, skewness {skewness:g}", 1.5 * skewness**2
    return Shape(name, _skewed, (skewness,), mean, sd, skewness, kurtosis)


def uniform(mean: float = 0.0, sd: float = 1.0) -> Shape:
    """Describe the uniform distribution: from ``mean - sqrt(3) * sd`` to ``mean + sqrt(3) * sd``.

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation of what is drawn.

    Returns
    -------
    Shape

    Raises
    ------
    ValueError
        If `sd` is negative.

    Examples
    --------
    >>> bool(abs(uniform(sd=2).draw(rng=1, size=1000)).max() < 2 * 3 ** 0.5)
    True
    """
    return Shape("uniform", _uniform, (), mean, sd, kurtosis=-1.2)


def contaminated(share: float = 0.05, ratio: float = 5.0, mean: float = 0.0, sd: float = 1.0) -> Shape:
    """Describe Tukey's contaminated normal: most values behave, a few have a larger sd (Tukey 1960).

    Parameters
    ----------
    share : float
        Expected share of the wild values, from 0 to 1.
    ratio : float
        Standard deviation of the wild values over that of the others.
    mean, sd : float
        Mean and standard deviation of all values together.

    Returns
    -------
    Shape

    Raises
    ------
    ValueError
        If `share` is outside [0, 1] or `ratio` is not above 0.

    Examples
    --------
    >>> round(contaminated(share=0.05, ratio=5).kurtosis, 2)
    16.96
    """
    if not (is_number(share) and 0 <= share <= 1):
        raise ValueError(f"share, of the wild values, must lie between 0 and 1; got {quoted(share)}")
    if not (is_number(ratio) and ratio > 0):
        raise ValueError(f"ratio, of the wild values' sd to that of the others, must be above 0; got {quoted(ratio)}")
    kurtosis = 3 * (1 - share + share * ratio**4) / (1 - share + share * ratio**2) ** 2 - 3
    name = f"contaminated, {share:.3g} with {ratio:g} times the sd"
    return Shape(name, _contaminated, (share, ratio), mean, sd, kurtosis=kurtosis)


def _normal(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Standard normal numbers."""
    return rng.standard_normal(size)


def _student_t(rng: np.random.Generator, size: Size, df: float) -> np.ndarray:
    """Student's t over its sd."""
    return rng.standard_t(df, size) * math.sqrt((df - 2) / df)


def _skewed(rng: np.random.Generator, size: Size, skewness: float) -> np.ndarray:
    """Gamma with this skewness, less its mean, over its sd."""
    if abs(skewness) < 1e-6:  # the shape of the gamma would be above 4e12, and it is a normal by then
        return rng.standard_normal(size)
    k = 4 / skewness**2
    return (rng.standard_gamma(k, size) - k) * math.copysign(k**-0.5, skewness)


def _uniform(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Uniform numbers between -sqrt(3) and sqrt(3)."""
    return (rng.random(size) - 0.5) * math.sqrt(12)


def _contaminated(rng: np.random.Generator, size: Size, share: float, ratio: float) -> np.ndarray:
    """Mixture of two normals over its sd."""
    from statistics import NormalDist

    # Each value takes two normals side by side, the second to choose the sd of the first: that keeps C order.
    shape = size if isinstance(size, tuple) else (size,)
    pairs = rng.standard_normal((*shape, 2))
    threshold = NormalDist().inv_cdf(share) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)
    wild = pairs[..., 1] < threshold
    return pairs[..., 0] * np.where(wild, ratio, 1.0) / math.sqrt(1 - share + share * ratio**2)


NORMAL = normal()
SHAPES = (normal, student_t, skewed, uniform, contaminated)


def as_shape(shape: Shape | Callable[[], Shape]) -> Shape:
    """Accept a shape, or a function of this module that needs no arguments, such as ``draws.normal``.

    Parameters
    ----------
    shape : Shape or callable

    Returns
    -------
    Shape

    Raises
    ------
    TypeError
        If it is neither.

    Examples
    --------
    >>> as_shape(normal) == normal()
    True
    """
    if isinstance(shape, Shape):
        return shape
    if shape is student_t:
        raise TypeError("student_t needs its degrees of freedom: write draws.student_t(df=5)")
    made = shape() if callable(shape) else None
    if not isinstance(made, Shape):
        raise TypeError(f"a shape is one of draws.normal(), draws.student_t(df=5), draws.skewed(), ...; got {shape!r}")
    return made


@dataclass(frozen=True)
class Correlated:
    """Several covariates drawn together from a multivariate normal distribution.

    Attributes
    ----------
    names : tuple of str
        The covariates, in the order of the columns that `draw` gives.
    mean, sd : tuple of float
        One per covariate.
    corr : tuple of tuples of float
        Their correlation matrix.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    corr: tuple[tuple[float, ...], ...]

    @property
    def cov(self) -> pd.DataFrame:
        """Covariance matrix, labelled."""
        return pd.DataFrame(from_sd(self.sd, self.corr), index=self.names, columns=self.names)

    @cached_property
    def _root(self) -> np.ndarray:
        """L with L L' equal to the covariance."""
        return square_root(from_sd(self.sd, self.corr))

    def draw(self, rng: Rng, n: int) -> np.ndarray:
        """Draw `n` rows.

        Parameters
        ----------
        rng : Generator, int or None
        n : int

        Returns
        -------
        ndarray, shape (n, k)
            Columns in the order of `names`.
        """
        z = generator(rng).standard_normal((n, len(self.names)))
        return z @ self._root.T + np.array(self.mean)


def correlated(sd: Mapping[str, float], corr: Corr = 0.0, mean: float | Mapping[str, float] = 0.0) -> Correlated:
    """Describe correlated covariates, normal each and together.

    Parameters
    ----------
    sd : mapping of str to float
        Name and standard deviation of every covariate.
    corr : float, mapping, DataFrame or array_like, shape (k, k)
        One correlation shared by all pairs; ``{("prior", "ses"): 0.4}``; a matrix labelled with the names in any
        order; or a plain matrix in the order of `sd`.
    mean : float or mapping of str to float
        One mean for all, or one per name.

    Returns
    -------
    Correlated

    Raises
    ------
    ValueError
        If names do not match, an sd is negative, or no distribution has these correlations.

    Examples
    --------
    >>> pupil = correlated(sd={"prior": 1.0, "ses": 2.0}, corr=0.4)
    >>> pupil.cov
           prior  ses
    prior    1.0  0.8
    ses      0.8  4.0
    >>> pupil.draw(rng=1, n=5).shape
    (5, 2)
    """
    if not isinstance(sd, Mapping):
        raise TypeError(f"sd names every covariate, as in sd={{'prior': 1.0, 'ses': 2.0}}; got {sd!r}")
    names = tuple(sd)
    if not names:
        raise ValueError("sd names no covariate; give at least one, as in sd={'prior': 1.0}")
    means = mean if isinstance(mean, Mapping) else dict.fromkeys(names, mean)
    check_names("mean", means, names)
    sds = tuple(float(sd[name]) for name in names)
    R = correlation_matrix(corr, names)
    from_sd(sds, corr if is_number(corr) else R)  # refuses what cannot exist
    return Correlated(names, tuple(float(means[name]) for name in names), sds, tuple(map(tuple, R.tolist())))
