"""Studies refuse at the door what cannot be meant, and keep their folders in order."""

import numpy as np
import pandas as pd
import pytest

from lmmsim import LMM, OLS, Model, crossed, find_size, nested, replicates_for, scenarios, study, sweep

MODEL, DESIGN = scenarios.teaching_methods(schools=6, pupils=4, effect=4)
ANALYSES = {"LMM": LMM(MODEL.formula)}


def go(**settings):
    return study(MODEL, DESIGN, settings.pop("analyses", ANALYSES), 20, rng=1, progress=False, **settings)


@pytest.mark.parametrize("wrong", [0, "x", 1.5])
def test_processes_are_a_number(wrong):
    with pytest.raises(ValueError, match=r"n_jobs is .*; it is a number of processes"):
        go(n_jobs=wrong)


def test_an_analysis_has_a_name():
    with pytest.raises(TypeError, match="None cannot name an analysis"):
        go(analyses={None: ANALYSES["LMM"]})


def test_losing_rows_makes_none():
    with pytest.raises(ValueError, match="of 24 rows it made 48"):
        go(observe=lambda data, rng: pd.concat([data, data]))


def test_a_cell_is_run_once():
    with pytest.raises(ValueError, match=r"the grid has \{'schools': 4\} twice"):
        sweep({"schools": [4, 4]}, lambda schools: scenarios.teaching_methods(schools, 4), ANALYSES, 5, rng=1)


def test_an_error_that_needs_too_many_replicates_is_refused():
    with pytest.raises(ValueError, match=r"more than 1e\+15 replicates"):
        replicates_for(1e-200, rate=0.05)
    with pytest.raises(ValueError, match="mcse is 'x'"):
        replicates_for("x", rate=0.05)


def test_a_piece_without_its_study_is_named(tmp_path):
    go(checkpoint=tmp_path / "here")
    (tmp_path / "here" / "study.json").unlink()
    with pytest.raises(ValueError, match=r"has pieces \(.*npz\) but no study.json"):
        go(checkpoint=tmp_path / "here")


def test_what_an_interrupted_write_left_is_removed(tmp_path):
    go(checkpoint=tmp_path / "here")
    left = tmp_path / "here" / "many-000000000-000001024.npz.999999999.part"
    left.write_bytes(b"half")
    go(checkpoint=tmp_path / "here")
    assert not left.exists()


def test_pieces_that_were_swapped_are_named(tmp_path):
    settings = {"checkpoint": tmp_path / "here", "rng": 1, "progress": False}
    study(MODEL, DESIGN, ANALYSES, 1500, **settings)
    one, other = sorted((tmp_path / "here").glob("many*"))[:2]
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    with pytest.raises(ValueError, match="holds the task"):
        study(MODEL, DESIGN, ANALYSES, 1500, **settings)


def test_a_piece_whose_numbers_were_changed_is_named(tmp_path):
    go(checkpoint=tmp_path / "here")
    [piece] = (tmp_path / "here").glob("many*")
    arrays = dict(np.load(piece))
    lost = {name: values * np.nan if name.endswith("estimate") else values for name, values in arrays.items()}
    np.savez(piece, **lost)
    with pytest.raises(ValueError, match="has not the numbers that were saved: it was changed by hand"):
        go(checkpoint=tmp_path / "here")


def world(schools, formula="y ~ poly(size, 2) + (1 | school)"):
    beta = {"Intercept": 1, "poly(size, 2)[1]": 1, "poly(size, 2)[2]": 1}
    design = nested(school=schools, pupil=4)
    return Model(formula, beta, {"school": 1}, 1.0), design.assign(size=design.groupby("school").ngroup() % 5)


@pytest.mark.filterwarnings("ignore:the columns of")
def test_cells_whose_terms_mean_something_else_are_named():
    with pytest.warns(UserWarning, match=r"poly\(size, 2\) means something else on each of these designs"):
        sweep({"schools": [6, 12]}, world, {"LMM": LMM("y ~ size + (1 | school)")}, 5, rng=1, progress=False)
    with pytest.warns(UserWarning, match=r"poly\(size, 2\) means something else on each of these designs"):
        find_size(world, [6, 12, 60], term="poly(size, 2)[1]", power=0.05001)


def test_a_study_of_a_world_on_a_basis_knows_its_basis_again(tmp_path):
    curve = Model("y ~ x + (1 | g)", {"Intercept": 0, "x": 1}, {"g": 1}, 1.0)
    from lmmsim import simulate

    designs = [crossed(g=8, x=range(6)), crossed(g=8, x=range(7))]
    worlds = [Model.from_fit(LMM("y ~ center(x) + (1 | g)")(simulate(curve, one, rng=1).data)) for one in designs]
    folder = tmp_path / "here"
    study(worlds[0], designs[0], {"LMM": LMM("y ~ x + (1 | g)")}, 5, rng=1, progress=False, checkpoint=folder)
    with pytest.raises(ValueError, match="basis: "):
        study(worlds[1], designs[0], {"LMM": LMM("y ~ x + (1 | g)")}, 5, rng=1, progress=False, checkpoint=folder)


def test_an_estimator_of_ones_own_that_returns_too_few_rows_is_named():
    class OneLess:
        formula = "score ~ method"

        def __call__(self, data):
            return OLS(self.formula)(data)

        def many(self, Y, data):
            return OLS(self.formula).many(Y[:, 1:], data)

    with pytest.raises(RuntimeError, match=r"returned arrays of another shape: estimate \(0, 2\), not \(1, 2\); se"):
        go(analyses={"mine": OneLess()})
