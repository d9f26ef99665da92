"""Diagnostics: do the data look like what their own model would make?

Reading order: `refits` (data simulated from a fit, and fitted again) and `precision`; the checks: `quantiles`,
`residuals`, `trends`, `serial`, `influence`; `lineup` (find the real data); `verdicts` (each number in words) and
`diagnose`, which does them all.
"""
