"""REML: the likelihood of many responses to one design.

Reading order: `stacks` (small linear algebra), `theta` (coordinates of a covariance), `standard_form` (one design,
rescaled), `structure` (what every kind of design must answer). Then the kinds: `strata` and `one_component`, and for
everything else `crossproducts`, `mixed_model_equations` and `derivatives`, brought together by `blocks`. How the
optimum is found: `scoring` (the first guess), `newton` (the steps), `search` (start, zero variances, second try).
What comes after: `solution`, `modes`, `degrees_of_freedom`. The `engine` is what others call.

Residuals that depend on each other, or have more than one sd: `residual_numbers` and `unstructured_numbers` (R as a
function of what is free in it), then the likelihood by V itself, `marginal_form`, `unit_sums`, `marginal`,
`marginal_search` and `marginal_engine`; for designs whose blocks are large `whitening` and `whitened`. `structured`
chooses between them.
"""
