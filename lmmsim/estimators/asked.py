"""The questions that any fit is asked, as its methods: differences, means, joint tests, predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmmsim.estimators import contrasts
from lmmsim.estimators.contrasts import Adjust, Answer
from lmmsim.estimators.freedom import Constant, Freedom, of_engine
from lmmsim.estimators.prediction import Kind, NewGroups, predict
from lmmsim.model.equation import Equation
from lmmsim.model.questions import Pairs


class Asked(ABC):
    """What a fit answers by its coefficients and their reference distribution."""

    df: np.ndarray
    reference: Freedom | None

    @property
    @abstractmethod
    def equation(self) -> Equation:
        """The equation of the data, with the estimates for its numbers."""

    @cached_property
    def information(self) -> Any:
        """What the rows tell about the variances, at the estimates: `lmmsim.theory.gls.Information`."""
        from lmmsim.theory.gls import information

        return information(self.equation)

    @cached_property
    def freedom(self) -> Freedom:
        """The reference distribution of any combination of the coefficients."""
        own = self.reference or of_engine(self)
        tested = np.unique(self.df[~np.isnan(self.df)])  # which all have the same
        return own or Constant(float(tested[0]) if len(tested) == 1 else np.nan)

    def contrast(self, question: Any, level: float | None = None) -> Answer:
        """Estimate differences by coefficients or cells; see `lmmsim.estimators.contrasts.contrast`."""
        return contrasts.contrast(self, question, level)

    def means(
        self,
        of: str | Sequence[str],
        by: str | Sequence[str] | None = None,
        at: Mapping[str, Any] | None = None,
        pairs: bool | Pairs = False,
        adjust: Adjust | None = None,
        level: float | None = None,
    ) -> Answer:
        """Estimate marginal means, or differences between them; see `lmmsim.estimators.contrasts.means`."""
        return contrasts.means(self, of, by, at, pairs, adjust, level)

    def test(self, question: Any = None, at: Mapping[str, Any] | None = None) -> Answer:
        """Test terms, or contrasts together; see `lmmsim.estimators.contrasts.joint_test`."""
        return contrasts.joint_test(self, question, at)

    def predict(
        self,
        data: pd.DataFrame | None = None,
        kind: Kind = "population",
        level: float = 0.95,
        new_groups: NewGroups = "raise",
        interval: bool = True,
    ) -> pd.DataFrame:
        """Predict rows; see `lmmsim.estimators.prediction.predict`."""
        return predict(self, data, kind, level, new_groups, interval)
