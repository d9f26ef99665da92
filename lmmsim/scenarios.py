"""Ready-made worlds: the stories of the book, each a model and a design.

Every function takes the numbers that a course would turn, in the units of its
response, and returns `(model, design)` for `simulate`, `simulate_many` or `study`.
With `names` the same world is told in the words of another field: see `lmmsim.stories`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lmmsim import draws
from lmmsim.checks import check_whole
from lmmsim.design.allocation import assign
from lmmsim.design.covariates import covariate
from lmmsim.design.crossing import crossed, nested
from lmmsim.design.units import Draw
from lmmsim.model.model import Model
from lmmsim.model.random_effects import Random
from lmmsim.model.units import AR1
from lmmsim.stories import Names, tell
from lmmsim.streams import Rng, generator

World = tuple[Model, pd.DataFrame]


def plant_growth(
    plots: int = 30,
    weeks: int = 5,
    *,
    counts: Sequence[int] | None = None,
    start: float = 10.0,
    growth: float = 2.0,
    extra: tuple[float, float] = (0.5, 1.0),
    sd_start: float = 2.0,
    sd_growth: float = 0.4,
    corr: float = 0.3,
    sd_residual: float = 1.0,
    names: Names | None = None,
) -> World:
    """Plants on plots under three fertilizers, measured every week.

    Parameters
    ----------
    plots, weeks : int
        Number of plots, and of weekly measurements from week 0.
    counts : sequence of int, optional
        Plots under Control, A and B where they are not equal: (4, 3, 3) for ten.
    start, growth : float
        Mean height at week 0 in cm, and growth in cm per week, under Control.
    extra : (float, float)
        What A and B add to the growth, in cm per week.
    sd_start, sd_growth, corr, sd_residual : float
        How plots differ at week 0 (cm) and in growth (cm per week), the
        correlation of the two, and the residual (cm).
    names : mapping, optional
        Other words for columns and levels, as
        `{"plot": "child", "fertilizer": "diet", "Control": "usual", "height": "weight (kg)"}`.

    Returns
    -------
    Model, DataFrame

    Examples
    --------
    >>> model, design = plant_growth(plots=10, counts=(4, 3, 3))
    >>> design.groupby("fertilizer", observed=True)["plot"].nunique().tolist()
    [4, 3, 3]
    """
    check_whole("weeks", weeks)
    if np.shape(extra) != (2,):
        raise ValueError(f"extra={extra!r}: give two numbers, what A and what B add to the growth")
    design = crossed(plot=plots, week=np.arange(weeks))
    design = assign(design, to="plot", counts=counts, fertilizer=["Control", "A", "B"])
    model = Model(
        "height ~ week * fertilizer + (week | plot)",
        beta={
            "Intercept": start,
            "week": growth,
            "fertilizer[T.A]": 0.0,
            "fertilizer[T.B]": 0.0,
            "week:fertilizer[T.A]": extra[0],
            "week:fertilizer[T.B]": extra[1],
        },
        random={"plot": Random(sd={"Intercept": sd_start, "week": sd_growth}, corr=corr)},
        residual=sd_residual,
    )
    return tell(model, design, names, {"height": "cm", "week": "weeks"})


def teaching_methods(
    schools: int = 20,
    pupils: int = 25,
    *,
    mean: float = 50.0,
    effect: float = 2.0,
    sd_school: float = 3.0,
    sd_residual: float = 9.0,
    names: Names | None = None,
) -> World:
    """Pupils in schools; each school teaches by one method.

    Parameters
    ----------
    schools, pupils : int
        Number of schools (even), and of pupils in each.
    mean, effect : float
        Mean score under the usual method, and what the new one adds, in points.
    sd_school, sd_residual : float
        How schools, and pupils of one school, differ, in points.
    names : mapping, optional
        Other words for columns and levels, as
        `{"school": "clinic", "method": "therapy", "score": "pain (mm)"}`.

    Returns
    -------
    Model, DataFrame

    Examples
    --------
    >>> model, design = teaching_methods(sd_school=3, sd_residual=9)
    >>> round(float(model.icc(design).loc["school", "conditional"]), 2)
    0.1
    """
    design = assign(nested(school=schools, pupil=pupils), to="school", method=["usual", "new"])
    model = Model(
        "score ~ method + (1 | school)",
        beta={"Intercept": mean, "method[T.new]": effect},
        random={"school": sd_school},
        residual=sd_residual,
    )
    return tell(model, design, names, {"score": "points"})


def classrooms(
    schools: int = 20,
    classrooms: int = 4,
    pupils: int = 10,
    *,
    mean: float = 50.0,
    effect: float = 2.0,
    prior: float = 3.0,
    sd_school: float = 4.0,
    sd_classroom: float = 3.0,
    sd_residual: float = 9.0,
    rng: Rng = None,
    names: Names | None = None,
) -> World:
    """Pupils in classrooms in schools; classrooms draw lots for the method, pupils bring a prior score.

    Parameters
    ----------
    schools, classrooms, pupils : int
        Number of schools, of classrooms in each, and of pupils in each of those.
    mean, effect, prior : float
        Mean reading score under the usual method, what the new one adds, and
        what one standard deviation of the prior score adds, in points.
    sd_school, sd_classroom, sd_residual : float
        How schools, classrooms of a school, and pupils of a classroom differ, in points.
    rng : Generator, int or None
        Draws the prior scores and the lots.
    names : mapping, optional
        Other words for columns and levels, as
        `{"school": "clinic", "classroom": "ward", "pupil": "patient", "score": "pain (mm)"}`.

    Returns
    -------
    Model, DataFrame
    """
    chance = generator(rng)
    design = nested(school=schools, classroom=classrooms, pupil=pupils)
    design = assign(design, to="classroom", method=["usual", "new"], rng=chance)
    design = covariate(design, at="pupil", prior=draws.normal(), rng=chance)
    model = Model(
        "score ~ method + prior + (1 | school/classroom)",
        beta={"Intercept": mean, "method[T.new]": effect, "prior": prior},
        random={"school": sd_school, "school:classroom": sd_classroom},
        residual=sd_residual,
    )
    return tell(model, design, names, {"score": "points", "prior": "sd"})


def _unequal(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw sizes from 2 to 39."""
    return rng.integers(2, 40, size)


def hospitals(
    hospitals: int = 30,
    patients: int | Sequence[int] | Draw = _unequal,
    *,
    mean: float = 30.0,
    severity: float = 4.0,
    sd_hospital: float = 3.0,
    sd_residual: float = 8.0,
    rng: Rng = None,
    names: Names | None = None,
) -> World:
    """Patients in hospitals of unequal size: days until recovery, by how ill they came.

    Parameters
    ----------
    hospitals : int
        Number of hospitals.
    patients : int, sequence or callable
        Patients in each: one number, one for each hospital, or a draw `(rng, size)`.
    mean, severity : float
        Mean days until recovery, and days that one standard deviation of severity adds.
    sd_hospital, sd_residual : float
        How hospitals, and patients of one hospital, differ, in days.
    rng : Generator, int or None
        Draws the sizes and the severities.
    names : mapping, optional
        Other words for columns and levels, as
        `{"hospital": "team", "patient": "repair", "severity": "damage", "days": "hours (h)"}`.

    Returns
    -------
    Model, DataFrame
    """
    chance = generator(rng)
    design = nested(hospital=hospitals, patient=patients, rng=chance)
    design = covariate(design, at="patient", severity=draws.normal(), rng=chance)
    model = Model(
        "days ~ severity + (1 | hospital)",
        beta={"Intercept": mean, "severity": severity},
        random={"hospital": sd_hospital},
        residual=sd_residual,
    )
    return tell(model, design, names, {"days": "days", "severity": "sd"})


def departments(
    departments: int = 24,
    employees: int = 15,
    *,
    salary: float = 3000.0,
    per_year: float = 60.0,
    sd_salary: float = 300.0,
    sd_per_year: float = 20.0,
    corr: float = -0.3,
    sd_residual: float = 250.0,
    rng: Rng = None,
    names: Names | None = None,
) -> World:
    """Employees in departments: monthly salary by years of experience, which count differently in each.

    Parameters
    ----------
    departments, employees : int
        Number of departments, and of employees in each.
    salary, per_year : float
        Mean salary at the start, and what a year of experience adds, in euros per month.
    sd_salary, sd_per_year, corr : float
        How departments differ in both, and the correlation of the two.
    sd_residual : float
        How employees of one department and equal experience differ, in euros per month.
    rng : Generator, int or None
        Draws the years of experience, 0 to 30.
    names : mapping, optional
        Other words for columns and levels, as
        `{"department": "region", "employee": "shop", "salary": "rent (euros)", "experience": "size (m²)"}`.

    Returns
    -------
    Model, DataFrame
    """
    design = covariate(
        nested(department=departments, employee=employees),
        at="employee",
        experience=lambda rng, size: rng.uniform(0, 30, size).round(1),
        rng=generator(rng),
    )
    model = Model(
        "salary ~ experience + (experience | department)",
        beta={"Intercept": salary, "experience": per_year},
        random={"department": Random(sd={"Intercept": sd_salary, "experience": sd_per_year}, corr=corr)},
        residual=sd_residual,
    )
    return tell(model, design, names, {"salary": "euros per month", "experience": "years"})


def blood_pressure(
    patients: int = 40,
    weeks: Sequence[float] = (0, 1, 2, 4, 8, 12),
    *,
    start: float = 150.0,
    change: float = -0.2,
    effect: float = -0.8,
    sd_start: float = 12.0,
    sd_change: float = 0.6,
    corr: float = -0.2,
    sd_residual: float = 5.0,
    rho: float = 0.8,
    names: Names | None = None,
) -> World:
    """Patients under a drug or a placebo, systolic blood pressure over weeks.

    Parameters
    ----------
    patients : int
        Number of patients (even), half in each arm.
    weeks : sequence of float
        When they are measured; the gaps may be unequal.
    start, change, effect : float
        Mean pressure at week 0 in mmHg, its change per week under placebo, and
        what the drug adds to that, in mmHg per week.
    sd_start, sd_change, corr : float
        How patients differ at week 0 and in their change, and the correlation of the two.
    sd_residual, rho : float
        Residual in mmHg, and the correlation of two residuals one week apart.
    names : mapping, optional
        Other words for columns and levels, as
        `{"patient": "athlete", "drug": "training", "systolic": "pulse (per minute)"}`.

    Returns
    -------
    Model, DataFrame
    """
    if np.ndim(weeks) != 1:
        raise ValueError(f"weeks={weeks!r}: give the weeks of the measurements, as in weeks=(0, 1, 2, 4)")
    design = assign(crossed(patient=patients, week=list(weeks)), to="patient", drug=["placebo", "drug"])
    model = Model(
        "systolic ~ week * drug + (week | patient)",
        beta={"Intercept": start, "week": change, "drug[T.drug]": 0.0, "week:drug[T.drug]": effect},
        random={"patient": Random(sd={"Intercept": sd_start, "week": sd_change}, corr=corr)},
        residual=AR1(sd=sd_residual, rho=rho, unit="patient", time="week"),
    )
    return tell(model, design, names, {"systolic": "mmHg", "week": "weeks"})


def subjects_items(
    subjects: int = 40,
    items: int = 20,
    *,
    mean: float = 800.0,
    effect: float = 40.0,
    sd_subject: float = 100.0,
    sd_effect: float = 40.0,
    corr: float = 0.2,
    sd_item: float = 50.0,
    sd_residual: float = 150.0,
    names: Names | None = None,
) -> World:
    """Subjects who respond to every item, half of the words frequent and half rare: reaction time.

    Parameters
    ----------
    subjects, items : int
        Number of subjects, and of items (even).
    mean, effect : float
        Mean reaction time to frequent words, and what a rare one adds, in ms.
    sd_subject, sd_effect, corr : float
        How subjects differ in both, in ms, and the correlation of the two.
    sd_item, sd_residual : float
        How items of one kind, and single responses, differ, in ms.
    names : mapping, optional
        Other words for columns and levels, as
        `{"item": "face", "frequency": "mood", "frequent": "happy", "rare": "sad"}`.

    Returns
    -------
    Model, DataFrame
    """
    design = assign(crossed(subject=subjects, item=items), to="item", frequency=["frequent", "rare"])
    model = Model(
        "rt ~ frequency + (frequency | subject) + (1 | item)",
        beta={"Intercept": mean, "frequency[T.rare]": effect},
        random={
            "subject": Random(sd={"Intercept": sd_subject, "frequency[T.rare]": sd_effect}, corr=corr),
            "item": sd_item,
        },
        residual=sd_residual,
    )
    return tell(model, design, names, {"rt": "ms"})


ALL: dict[str, Callable[..., World]] = {
    "plant growth": plant_growth,
    "teaching methods": teaching_methods,
    "classrooms": classrooms,
    "hospitals": hospitals,
    "departments": departments,
    "blood pressure": blood_pressure,
    "subjects and items": subjects_items,
}
