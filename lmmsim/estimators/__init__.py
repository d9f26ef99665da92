"""Estimators: specs that are called on data; the fit they return, and what one asks of it.

Reading order: `estimates` (what many responses give), `freedom` (what an estimate is compared with), `contrasts`
(differences, means, joint tests), `spellings` (names of statsmodels), `shown` (how it is printed) and `fit` (what one
data set gives). The questions: `prediction`, `profile`, `bootstrap`, and `inference`, which puts them to a fit and
compares two. The estimators: `rows` (which rows are analysed), `projection` and `least_squares` (OLS, GroupMeans,
Within), `lmm` (LMM), `mixedlm` (the same by statsmodels).
"""
