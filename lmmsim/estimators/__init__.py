"""Estimators: specs that are called on data; the fit they return, and what one asks of it.

Reading order: `estimates` (what many responses give) and `fit` (what one gives). The questions: `prediction`,
`profile`, `bootstrap`, and `inference`, which puts them to a fit and compares two. The estimators: `projection`, `rows`
(which rows are analysed) and `least_squares` (OLS, GroupMeans, Within), `engines` and `lmm` (LMM), `mixedlm` (the same by
statsmodels).
"""
