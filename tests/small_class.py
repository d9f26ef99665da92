"""A small class with an exam on fertilizers, and students who answer in their own ways."""

import json
import warnings

import pandas as pd

from lmmsim import LMM, OLS

EXAM = """
title = "Fertilizers"
scenario = "plant growth"
text = "{plot}s got {fertilizer[Control]}, {fertilizer[A]} or {fertilizer[B]}."

[numbers]
plots = 12

[ranges]
extra = [{ from = 0.0, to = 1.5, step = 0.05 }, { from = 0.5, to = 1.5, step = 0.05 }]

[[question]]
id = "faster"
ask = "estimate"
term = "week:fertilizer[T.B]"
text = "How much more do plants under {fertilizer[B]} grow per {week}, in {unit of height}?"
points = 2

[[question]]
id = "se"
ask = "se"
term = "week:fertilizer[T.B]"

[[question]]
id = "low"
ask = "low"
term = "week:fertilizer[T.B]"

[[question]]
id = "p"
ask = "p"
term = "week:fertilizer[T.B]"

[[question]]
id = "yes"
ask = "significant"
term = "week:fertilizer[T.B]"

[[question]]
id = "slopes"
ask = "sd"
group = "plot"
term = "week"
"""
FORMULA = "height ~ week * fertilizer + (week | plot)"
TERM = "week:fertilizer[T.B]"
STUDENTS = [f"s{k:02d}" for k in range(1, 13)]


def plainly(folder, sort=False):
    """Data as a student reads them: pandas, and the order of levels unless it is forgotten."""
    data = pd.read_csv(folder / "data.csv")
    if not sort:
        data["fertilizer"] = pd.Categorical(data["fertilizer"], ["Control", "A", "B"])
    return data


def answers_of(fit, term=TERM, slopes=True):
    row = fit.coef.loc[term]
    answers = {"faster": row["estimate"], "se": row["se"], "low": row["low"], "p": row["p"]}
    answers["yes"] = "yes" if row["p"] < 0.05 else "no"
    if slopes:
        answers["slopes"] = fit.components["sd", "plot", "week"]
    return answers


def worked(folder, how="right"):
    """The answers of a student who analyses their file in one way or another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = plainly(folder, sort=how == "wrong reference")
        if how in ("right", "wrong reference"):
            return answers_of(LMM(FORMULA)(data))
        if how == "Kenward-Roger":
            return answers_of(LMM(FORMULA, df="kenward-roger")(data))
        if how == "z":
            return answers_of(LMM(FORMULA, df="z")(data))
        if how == "ML":
            return answers_of(LMM(FORMULA, reml=False)(data))
        if how == "missing slope":
            return answers_of(LMM("height ~ week * fertilizer + (1 | plot)")(data), slopes=False)
        if how == "variance":
            right = answers_of(LMM(FORMULA)(data))
            return right | {"slopes": right["slopes"] ** 2}
        assert how == "OLS"
        return answers_of(OLS("height ~ week * fertilizer")(data), slopes=False)


def handed_in(place, student, answers):
    place.mkdir(exist_ok=True, parents=True)
    rounded = {k: float(f"{v:.4g}") if not isinstance(v, str) else v for k, v in answers.items()}
    path = place / f"{student}.json"
    path.write_text(json.dumps({"student": student, "answers": rounded}))
    return path
