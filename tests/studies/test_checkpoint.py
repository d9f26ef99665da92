"""An interrupted study goes on where it stopped, and ends with the very same numbers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from places import TOP
from small_estimators import Mean, MeanSingly

from lmmsim import IID, Model, Random, crossed, draws, drop_out, scenarios
from lmmsim.estimators.least_squares import OLS
from lmmsim.estimators.lmm import LMM
from lmmsim.streams import root as root_of
from lmmsim.studies.checkpoint import Checkpoint, seed_of
from lmmsim.studies.fingerprint import describe, differences
from lmmsim.studies.recipe import Recipe
from lmmsim.studies.study import study
from lmmsim.studies.tasks import Task, perform, plan

MODEL = Model("y ~ 1", {"Intercept": 1.0}, residual=2.0)
DESIGN = crossed(unit=8)
pytestmark = pytest.mark.filterwarnings("ignore:.*failed in:UserWarning")
ANALYSES = {"mean": Mean(fails_above=3.2), "singly": MeanSingly(fails_above=3.4)}


def a_study(checkpoint=None, replicates=100, rng=1, **changes):
    arguments = {"model": MODEL, "design": DESIGN, "analyses": ANALYSES} | changes
    return study(**arguments, replicates=replicates, rng=rng, checkpoint=checkpoint)


def assert_same(one, other):
    pd.testing.assert_frame_equal(one.estimates, other.estimates, check_exact=True)
    pd.testing.assert_frame_equal(one.failures, other.failures)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    model, design = scenarios.plant_growth(plots=9)
    recipe = Recipe(model, design, {"LMM": LMM(model.formula), "OLS": OLS("height ~ week")}, root_of(1))
    task = Task("many", 0, 64)
    answers = perform(plan(recipe), task)
    store = Checkpoint(tmp_path, recipe)
    assert store.load(task) is None
    store.save(task, answers)
    loaded = store.load(task)
    for name, one in answers.items():
        other = loaded[name]
        assert (one.terms, one.level, one.effects) == (other.terms, other.level, other.effects)
        assert one.message.tolist() == other.message.tolist()
        for array in ("estimate", "se", "df", "criterion", "sigma", "converged", "singular"):
            assert np.array_equal(getattr(one, array), getattr(other, array), equal_nan=True)
        assert all(
            np.array_equal(values, other.components[key], equal_nan=True) for key, values in one.components.items()
        )


def test_a_study_that_lost_pieces_ends_with_the_same_numbers(tmp_path):
    whole = a_study()
    first = a_study(tmp_path)
    assert_same(first, whole)
    pieces = sorted(tmp_path.glob("*.npz"))
    assert len(pieces) == 1 + 7  # a batch of 1024, and 100 data sets 16 at a time
    pieces[0].unlink()
    pieces[3].write_bytes(pieces[3].read_bytes()[:100])  # cannot be read: done again
    pieces[4].unlink()
    assert_same(a_study(tmp_path), whole)


def test_finished_pieces_are_not_done_again(tmp_path):
    a_study(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")}
    a_study(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npz")} == before


def test_a_checkpoint_extends_to_more_replicates(tmp_path):
    a_study(tmp_path, 50)
    assert_same(a_study(tmp_path, 120), a_study(replicates=120))
    assert_same(a_study(tmp_path, 30), a_study(replicates=30))


def test_without_a_seed_the_first_one_is_kept(tmp_path):
    first, again = (a_study(tmp_path, rng=None) for _ in range(2))
    assert_same(first, again)
    assert seed_of(tmp_path, None).entropy == first.recipe.seed.entropy
    other = a_study(rng=None)
    assert other.recipe.seed.entropy != first.recipe.seed.entropy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rng": 2}, r"seed: \[1, \[\]\] there, \[2, \[\]\] here"),
        ({"model": Model("y ~ 1", {"Intercept": 1.5}, residual=2.0)}, "beta of Intercept: 1.0 there, 1.5 here"),
        ({"model": Model("y ~ 1", {"Intercept": 1.0}, residual=3.0)}, "residual: IID"),
        ({"design": crossed(unit=9)}, "design: 8 rows of unit, content .* there, 9 rows of unit"),
        (
            {"analyses": {"mean": Mean(fails_above=3.2)}},
            r"analysis 'singly': MeanSingly\(fails_above=3.4\) there, nothing",
        ),
        ({"analyses": ANALYSES | {"mean": Mean(fails_above=3.0)}}, r"analysis 'mean': .*3.2.* there, .*3.0.* here"),
        ({"observe": drop_out(unit="unit", time="unit", hazard=0.0)}, "observe: None there, DropOut"),
    ],
    ids=["seed", "beta", "residual", "design", "analysis gone", "analysis", "observe"],
)
def test_a_checkpoint_of_another_study_is_refused_with_what_differs(tmp_path, change, message):
    a_study(tmp_path, 20)
    kept = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=f"(?s)belongs to another study:\n  {message}.*delete this one"):
        a_study(tmp_path, 20, **change)
    assert sorted(tmp_path.iterdir()) == kept


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    a_study(tmp_path, 20)
    known = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(known | {"lmmsim": "0.0.1", "numpy": "1.0"}))
    with pytest.raises(ValueError, match=r"(?s)lmmsim: 0.0.1 there.*numpy: 1.0 there"):
        a_study(tmp_path, 20)


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe"])
def test_a_damaged_description_is_refused_and_nothing_is_lost(tmp_path, damage):
    a_study(tmp_path, 20, rng=None)
    for name in ("study.json", "seed.json"):
        good = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(damage)
        kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        with pytest.raises(ValueError, match=f"(?s){name}' is damaged, .* put the file back .*, or delete this one"):
            a_study(tmp_path, 20, rng=None)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept
        (tmp_path / name).write_bytes(good)


def test_whatever_befell_a_piece_it_is_done_again(tmp_path):
    """Cut short, overwritten, or with bits that flipped, headers included."""
    whole, rng = a_study(tmp_path, 20), np.random.default_rng(1)
    piece = next(tmp_path.glob("single*"))
    good = piece.read_bytes()
    for trial in range(300):
        bad = bytearray(good)
        if trial % 3 == 0:
            del bad[rng.integers(len(bad)) :]
        elif trial % 3 == 1:
            bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        else:
            place = rng.integers(len(bad))
            bad[place : place + 200] = bytes(len(bad[place : place + 200]))
        piece.write_bytes(bytes(bad))
        if trial % 60 == 0:
            assert_same(a_study(tmp_path, 20), whole)
        store = Checkpoint(tmp_path, whole.recipe)
        store.load(Task("single", 0, 16))  # answers or None, but no error


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_piece_that_somebody_sent_runs_no_code(tmp_path):
    """Arrays of objects are pickles, and a pickle does what whoever wrote it wants."""
    whole = a_study(tmp_path / "checkpoint", 20)
    piece, sprung = next((tmp_path / "checkpoint").glob("single*")), tmp_path / "sprung"
    with np.load(piece) as file:
        arrays = dict(file)
    trap = np.empty(1, dtype=object)
    trap[0] = Trap(sprung)
    np.savez(piece, **{**arrays, "0.estimate": trap})
    with np.load(piece, allow_pickle=True) as file:  # negative control: the trap works
        file["0.estimate"]
    sprung.rmdir()
    assert_same(a_study(tmp_path / "checkpoint", 20), whole)
    assert not sprung.exists()


def test_a_difference_deep_inside_is_shown():
    """Of twenty standard deviations the last one differs."""
    one, other = (
        {"residual": describe(IID({f"unit {i}": 1.0 for i in range(19)} | {"last": sd}, by="unit"))}
        for sd in (2.5, 3.5)
    )
    assert len(one["residual"]) > 300
    [line] = differences(one, other)
    assert "last: 2.5" in line.split(" there, ")[0] and "last: 3.5" in line.split(" there, ")[1]


def test_a_folder_with_other_things_and_a_file_are_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="holds other things"):
        a_study(tmp_path)
    with pytest.raises(ValueError, match="is a file; a checkpoint is a folder"):
        a_study(tmp_path / "thesis.tex")


def test_functions_are_known_by_their_code_and_what_they_close_over():
    def make(limit, more=1):
        return lambda data, k=more: data["y"] > limit

    assert describe(make(1.0)) == describe(make(1.0))
    assert describe(make(1.0)) != describe(make(2.0))
    assert describe(make(1.0)) != describe(make(1.0, more=2))
    assert describe(make(1.0)) != describe(lambda data: data["y"] > 1.0)
    assert describe(np.mean) == describe(np.mean)


def test_an_object_is_known_by_its_fields_not_its_address():
    class Analysis:
        def __init__(self, level):
            self.level = level

    assert describe(Analysis(0.9)) == describe(Analysis(0.9)) != describe(Analysis(0.8))
    assert "0x" not in describe(Analysis(0.9)) + describe(OLS("y ~ x")) + describe(Random(2.0, shape=draws.uniform()))
    assert describe(Random(1.0, shape=draws.student_t(5))) != describe(Random(1.0, shape=draws.student_t(6)))


def test_the_order_of_the_levels_is_part_of_a_design():
    one = pd.DataFrame({"x": pd.Categorical(["a", "b"], ["a", "b"])})
    other = pd.DataFrame({"x": pd.Categorical(["a", "b"], ["b", "a"])})
    assert describe(one) == describe(one.copy()) != describe(other)
    assert differences({"design": describe(one)}, {"design": describe(one)}) == []


SCRIPT = """
import signal, sys, time
import numpy as np
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell takes away from what runs in the background
sys.path[:0] = [{tests!r}, {folder_of_tests!r}]
from small_estimators import Mean, MeanSingly
from test_checkpoint import DESIGN, MODEL
from lmmsim.studies.study import study

class Slow(MeanSingly):
    def __call__(self, data):
        time.sleep(0.03)
        return super().__call__(data)

results = study(MODEL, DESIGN, {{"mean": Mean(), "slow": Slow()}}, 300, rng=1, n_jobs={n_jobs}, checkpoint={folder!r})
results.estimates.to_pickle({result!r})
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a word of POSIX")
@pytest.mark.parametrize(("n_jobs", "how"), [(1, "SIGKILL"), (2, "SIGKILL"), (2, "SIGINT")])
def test_an_interrupted_study_resumes_to_the_same_bytes(tmp_path, n_jobs, how):
    """kill -9 and Ctrl-C, each twice in one study."""
    results, folder = tmp_path / "results.pickle", tmp_path / "checkpoint"

    def start(folder, result):
        here, top = str(Path(__file__).parent), str(TOP / "tests")
        text = SCRIPT.format(tests=top, folder_of_tests=here, n_jobs=n_jobs, folder=str(folder), result=str(result))
        return subprocess.Popen([sys.executable, "-c", text])

    assert start(tmp_path / "uninterrupted", tmp_path / "whole.pickle").wait(timeout=300) == 0
    for pieces in (4, 10):  # killed twice, each time after some more pieces
        process = start(folder, results)
        while len(list(folder.glob("*.npz"))) < pieces:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(getattr(signal, how))
        assert process.wait(timeout=60) != 0
    saved = len(list(folder.glob("*.npz")))
    assert 10 <= saved < 20 and not results.exists()
    assert start(folder, results).wait(timeout=300) == 0
    assert results.read_bytes() == (tmp_path / "whole.pickle").read_bytes()
