"""REML: the likelihood of many responses to one design.

Reading order: `stacks` (small linear algebra), `theta` (coordinates of a covariance), `refused` and `standard_form`
(one design, checked and rescaled), `structure` (what every kind of design must answer), `level_sums` (Z'y and Z u).
Then the kinds: `commuting`, `strata` and `one_component`; `crossproducts`, `mixed_model_equations`, `derivatives` and
`absorption`, brought together by `modes` and `blocks`; for nested factors `chain`, `tables`, `elimination`,
`likelihood`, brought together by `nested`. How the optimum is found: `scoring` (the first guess), `identified` (what no
guess can find), `newton` (the steps), `search` (start, zero variances, second try). What comes after: `solution`,
`report`, `degrees_of_freedom`. The `engine` is what others call.

Residuals that depend on each other, or have more than one sd: `residual_correlations`, `residual_numbers` and
`unstructured_numbers` (R as a function of what is free in it), then the likelihood by V itself, `marginal_form`,
`unit_sums`, `marginal`, `gaps`, `marginal_search`, `marginal_solution` and `marginal_engine`; for designs whose blocks
are large `whitening` and `whitened`. `structured` chooses between them.

**How arrays are laid out.** A study asks the same question about m responses, each at its own theta, and most formulas
are about small matrices, k x k, one for each of G patterns of groups. Such matrices are kept with their indices first,
(k, k, m, G): entry [0, 1] is an m x G table, and a loop over the k x k entries does the work for all of them. An axis
of length 1 stands for "the same for all". Three plots were measured 3, 4 and 5 times; two responses have different
variances of the intercept and of the slope:

>>> import numpy as np
>>> from lmmsim.reml import stacks
>>> plots = [np.column_stack([np.ones(times), np.arange(times)]) for times in (3, 4, 5)]
>>> A = np.stack([Z.T @ Z for Z in plots], axis=-1)[:, :, None, :]  # Z'Z: the same for all responses
>>> psi = np.stack([np.diag([1.0, 0.1]), np.diag([4.0, 0.2])], axis=-1)[:, :, :, None]  # the same for all plots
>>> A.shape, psi.shape
((2, 2, 1, 3), (2, 2, 2, 1))
>>> A[0, 1]  # the sum of the weeks in the three plots
array([[ 3.,  6., 10.]])
>>> both = stacks.product(psi, A)  # all six products, with two loops over two indices
>>> both.shape, np.allclose(both[:, :, 1, 2], np.diag([4.0, 0.2]) @ plots[2].T @ plots[2])
((2, 2, 2, 3), True)

Larger matrices, and those that NumPy's own routines work on, have the responses first: (m, p, p).

**Letters.** n rows, p columns of X, q of Z; m (or r) responses; J groups; theta the lower triangles of Lambda, psi
those of Psi = Lambda Lambda', t of them; a and b count these directions, and V_a = dV / dpsi_a.
"""
