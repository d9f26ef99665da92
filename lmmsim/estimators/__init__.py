"""Estimators: specs that are called on data; the fit they return, and what one asks of it.

Reading order: `estimates` (what many responses give), `freedom` (what an estimate is compared with). The questions that
any fit is asked: `contrasts` (differences, means, joint tests), `variance_error`, `new_residual`, `prediction_error`
and `prediction` (of rows, and how far that may be off), put to it by `asked`; `spellings` (names of statsmodels),
`shown` (how it is printed) and `fit` (what one data set gives). Those that a mixed model is asked: `engines` (what has
fitted it), `surface` (its likelihood), `profile`, `bootstrap`, and `inference`, which also compares two. The
estimators: `asking` (the same questions of many responses), `projection`, `rows` (which rows are analysed),
`regression` and `least_squares` (OLS, GroupMeans, Within), `lmm` (LMM), `mixedlm` (the same by statsmodels).
"""
