"""Model: the equation with its numbers. A formula becomes X and Z, standard deviations become G, R and V.

Reading order: `tokens`, `plain` and `formula` (the text, taken apart), `frame` (every column as numbers or as a
factor), `groups` (which rows belong together), `evaluation` and `columns` (X and the columns of the random terms),
`random_effects` and `residual` (their standard deviations), `units` and `unstructured` (residuals that go together),
`matrices` (Z and G as labelled tables), `equation` (all of it on one design), `describe` (what it means in words),
`from_fit`, and `model`, which brings them together; then `standard` (columns without their units), `blocks` (V, block
by block) and `identifiable` (what cannot be told apart). What people ask is put into weights of coefficients by `grid`
(cells, and the row of X that belongs to each), `questions` (contrasts, means) and `hypotheses` (terms).
"""
