"""Data that leave as a file mean the same when they come back."""

import io
import os
import stat

import numpy as np
import pandas as pd
import pytest

from lmmsim import LMM, Model, assign, course, crossed, drop_out, simulate
from lmmsim.course import files
from lmmsim.course.codebooks import codebook, restored
from lmmsim.course.tables import as_csv, check_travels, fixed, read_csv, read_table, write_table
from lmmsim.stories import portable


@pytest.fixture
def data(world):
    model, design = world
    return fixed(simulate(model, design, rng=7).data)


def test_every_scenario_comes_back_from_csv_as_it_went(world, data, tmp_path):
    model, _ = world
    write_table(data, tmp_path / "data.csv", codebook(data, model.formula))
    back = read_table(tmp_path / "data.csv")
    pd.testing.assert_frame_equal(back, data, check_dtype=True, check_exact=True)
    assert back.attrs["units"] == data.attrs["units"]
    analysis = LMM(model.formula, residual=None)
    pd.testing.assert_frame_equal(analysis(back).coef, analysis(data).coef, check_exact=True)


def test_every_scenario_means_the_same_to_a_reader_without_the_codebook(world, data, tmp_path):
    model, design = world
    plain = pd.read_csv(io.StringIO(as_csv(data)))  # as students read it
    formula = portable(model.formula, design)
    back, here = LMM(formula)(plain).coef, LMM(model.formula)(data).coef
    np.testing.assert_allclose(back.to_numpy(float), here.to_numpy(float), rtol=1e-6, atol=1e-9)


def test_without_codebook_and_reference_the_fertilizers_change_places():  # what the issue found: 60 of 60
    from lmmsim import scenarios

    model, design = scenarios.plant_growth()
    data = simulate(model, design, rng=1).data
    plain = LMM(model.formula)(pd.read_csv(io.StringIO(as_csv(data)))).coef
    assert "week:fertilizer[T.Control]" in plain.index


def test_every_scenario_survives_with_other_words(tmp_path):
    from lmmsim import scenarios

    model, design = scenarios.teaching_methods(
        names={"score": "pain (mm)", "usual": "Zen, quiet", "new": 'a "new" one'}
    )
    data = fixed(simulate(model, design, rng=2).data)
    write_table(data, tmp_path / "pain.csv", codebook(data, model.formula))
    pd.testing.assert_frame_equal(read_table(tmp_path / "pain.csv"), data)


def test_numbers_come_back_to_the_last_bit():
    x = np.random.default_rng(1).normal(size=2000) * 10.0 ** np.random.default_rng(2).integers(-8, 9, 2000)
    assert (read_csv(io.StringIO(as_csv(pd.DataFrame({"x": x}))))["x"] == x).all()


def test_columns_are_what_all_their_cells_are():
    text = "id,n,x,yes,word,none\n007,1,1e3,True,a,\n1,2,,False,NA,\n"
    table = read_csv(io.StringIO(text))
    assert [column.dtype.kind for _, column in table.items()][:4] == ["i", "i", "f", "b"]
    assert table["word"].isna().tolist() == [False, True] and table["none"].isna().all()
    assert read_csv(io.StringIO("a\n1_000\n")).loc[0, "a"] == "1_000"


def test_decimals_are_fixed_by_the_spread_of_a_column():
    table = fixed(pd.DataFrame({"height": [10.12345, 14.2, 17.00001, -1e-9], "n": [1, 2, 3, 4]}))
    assert as_csv(table).splitlines()[1:] == ["10.123,1", "14.2,2", "17.0,3", "0.0,4"]
    assert fixed(table, 1)["height"].tolist() == [10.1, 14.2, 17.0, 0.0]


def test_levels_that_look_like_something_else_come_back_with_the_codebook(tmp_path):
    levels = ["NA", "None", "12", "True", "007", " a"]
    data = pd.DataFrame({"arm": pd.Categorical(levels * 2, levels), "y": np.arange(12) / 8})
    write_table(data, tmp_path / "d.csv", codebook(data))
    pd.testing.assert_frame_equal(read_table(tmp_path / "d.csv"), data)
    with pytest.raises(ValueError, match="'arm' has the levels 'NA', 'None', '12', 'True', '007', which come back"):
        check_travels(data)


def test_patients_who_left_come_back_as_missing(tmp_path):
    from lmmsim import scenarios

    model, design = scenarios.blood_pressure(patients=20)
    all_of_them = simulate(model, design, rng=1).data
    data = fixed(drop_out(all_of_them, unit="patient", time="week", hazard=0.3, rng=2))
    write_table(data, tmp_path / "d.csv", codebook(data, model.formula))
    pd.testing.assert_frame_equal(read_table(tmp_path / "d.csv"), data)


def test_the_codebook_says_to_whom_a_column_belongs():
    from lmmsim import scenarios

    model, design = scenarios.classrooms(rng=1)
    book = codebook(simulate(model, design, rng=1).data, model.formula).set_index("column")
    assert book["level"].to_dict() == {
        "school": "school", "classroom": "classroom", "pupil": "pupil", "method": "classroom", "prior": "pupil",
        "score": "pupil",
    }  # fmt: skip
    assert book.loc["score", "meaning"] == "score, which was measured" and book.loc["score", "unit"] == "points"


def test_a_codebook_takes_better_sentences_and_refuses_strange_columns():
    data = pd.DataFrame({"x": [1, 2], "word": ["b", "a"]})
    assert codebook(data, meanings={"x": "dose"})["meaning"].tolist() == [
        "dose",
        "word of the measurement; the reference is a",
    ]
    with pytest.raises(ValueError, match="meanings has 'z', which is not in the data"):
        codebook(data, meanings={"z": "?"})
    with pytest.raises(ValueError, match="'t' holds datetime64"):
        codebook(pd.DataFrame({"t": pd.to_datetime(["2020-01-01"])}))


def test_data_and_codebook_must_fit_together():
    data = pd.DataFrame({"arm": pd.Categorical(["b", "a"], ["b", "a"]), "y": [1.0, 2.0]})
    book = codebook(data)
    with pytest.raises(ValueError, match="'arm' has 'c', which its codebook does not know: 'b', 'a'"):
        restored(data.assign(arm=["b", "c"]), book)
    with pytest.raises(ValueError, match="the codebook has 'arm', which the data have not; they have 'y'"):
        restored(data[["y"]], book)
    with pytest.raises(ValueError, match="'y' is a number in its codebook, but not all"):
        restored(data.assign(y=["1", "many"]), book)
    with pytest.raises(ValueError, match="gives 'arm' the type 'code'"):
        restored(data, book.assign(type="code"))
    with pytest.raises(ValueError, match="levels of 'arm' are 'x'; write them as"):
        restored(data, book.assign(levels="x"))
    with pytest.raises(ValueError, match="this is no codebook: 'levels' missing"):
        restored(data, book.drop(columns="levels"))


def test_nothing_is_overwritten_and_nothing_is_half_written(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("mine")
    data = pd.DataFrame({"y": [1.0]})
    with pytest.raises(FileExistsError, match="is there already and was left as it is"):
        write_table(data, path)
    assert path.read_text() == "mine"
    other = tmp_path / "other.csv"
    (tmp_path / "other.codebook.csv").write_text("mine")
    with pytest.raises(FileExistsError, match=r"other\.codebook\.csv is there already"):
        write_table(data, other, codebook(data))
    assert not other.exists()
    write_table(data, path, force=True)
    assert path.read_text() == "y\n1.0\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.csv", "other.codebook.csv"]


def test_a_disk_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.write(tmp_path / "a.csv", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_hard_links_as_in_a_browser_writes_files_and_replaces_none(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "link")
    files.write(tmp_path / "a.csv", "text")
    monkeypatch.setattr(files, "check_free", lambda *paths: None)  # somebody is quicker than we are
    with pytest.raises(FileExistsError, match=r"a\.csv is there already and was left as it is"):
        files.write(tmp_path / "a.csv", "other")
    assert (tmp_path / "a.csv").read_text() == "text" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_appears_when_it_is_full(tmp_path):
    with pytest.raises(RuntimeError), files.whole_folder(tmp_path / "class") as folder:
        (folder / "a").write_text("1")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with files.whole_folder(tmp_path / "class") as folder:
        (folder / "a").write_text("1")
    with pytest.raises(FileExistsError), files.whole_folder(tmp_path / "class"):
        pass
    with files.whole_folder(tmp_path / "class", force=True, own=["a"]) as folder:
        (folder / "b").write_text("2")
    assert [p.name for p in (tmp_path / "class").iterdir()] == ["b"] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_other_files_are_for_whom_the_files_of_their_maker_are(tmp_path):
    before = os.umask(0o027)
    try:
        path = files.write(tmp_path / "a.csv", "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_private_files_are_for_their_owner():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = files.write(f"{folder}/key", "x", private=True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "name", ["..", ".", "", "a/b", "a\\b", "../x", "/etc", "a\0b", "con", "NUL.txt", "x" * 65, "a.", "~", "a b"]
)
def test_names_that_lead_elsewhere_are_refused(name):
    with pytest.raises(ValueError, match="can't name a folder"):
        files.safe_name(name)


@pytest.mark.parametrize("name", ["s1", "ann.lee@uni.de", "müller", "12-34_5"])
def test_usual_names_are_taken(name):
    assert files.safe_name(name) == name


def test_texts_that_are_too_large_or_none_are_refused(tmp_path):
    (tmp_path / "big").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="big has more than the 10 bytes that are read"):
        files.read_text(tmp_path / "big", most=10)
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match="latin is not a text in UTF-8: byte 3"):
        files.read_text(tmp_path / "latin")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        files.read_text(tmp_path / "none")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match="this is no table in CSV"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="ends in neither"):
        write_table(pd.DataFrame(), tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        course.read_table(tmp_path / "none.csv")


def test_parquet_comes_back_too_and_carries_nothing_beside(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes Parquet and is not installed")
    model = Model("y ~ arm + (1 | plot)", {"Intercept": 1, "arm[T.A]": 1}, {"plot": 1.0}, 1.0)
    data = simulate(model, assign(crossed(plot=4, week=[0, 1]), to="plot", arm=["B", "A"]), rng=1).data
    write_table(data, tmp_path / "d.parquet")
    pd.testing.assert_frame_equal(read_table(tmp_path / "d.parquet"), data)
    assert b"response" not in (pq.read_schema(tmp_path / "d.parquet").metadata or {}).get(b"pandas", b"")
