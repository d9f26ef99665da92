"""The command lmmsim: what it prints, what it writes, what it refuses, and with which exit code it ends."""

import io
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

import lmmsim
from lmmsim import LMM, exact_power, scenarios, simulate
from lmmsim.cli import main

GROWTH = "height ~ week * fertilizer + (week | plot)"


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("warnings.showwarning", __import__("warnings").showwarning)


def run(*arguments, code=0):
    assert main(list(arguments)) == code


def started(*arguments, **kwargs):
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    return subprocess.Popen([sys.executable, "-m", "lmmsim.cli", *arguments], env=environment, text=True, **kwargs)


def test_help_teaches_and_loads_nothing_heavy(capsys):
    run("--help")
    said = capsys.readouterr().out
    assert all(
        word in said
        for word in ("scenarios", "simulate", "fit", "power", "find-size", "study", "lmmsim fit plants.csv")
    )
    heavy = "print([m for m in ('numpy', 'pandas') if m in sys.modules])"
    code = f"import sys; from lmmsim.cli import main; main(['--help']); {heavy}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TOP, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_has_help_with_an_example(capsys):
    from lmmsim.cli import command

    for name in command.commands:
        run(name, "--help")
        assert f"lmmsim {name}" in capsys.readouterr().out


def test_the_version_is_that_of_the_package(capsys):
    run("--version")
    assert capsys.readouterr().out == f"lmmsim {lmmsim.__version__}\n"


def test_every_scenario_is_listed_told_and_written(capsys):
    run("scenarios")
    listed = capsys.readouterr().out
    for name in scenarios.ALL:
        word = name.replace(" ", "-")
        assert word in listed
        run("scenarios", word)
        assert "Numbers, to change with --set:" in capsys.readouterr().out
        run("scenarios", word, "--toml", "--rng", "1", "-o", f"{word}.toml")
        run("simulate", f"{word}.toml", "--rng", "3", "-o", "from-file.csv", "--force")
        assert len(pd.read_csv("from-file.csv")) > 20


def test_the_data_are_those_of_python(capsys):
    run("simulate", "plant-growth", "--set", "plots=6", "--set", "extra=1,2", "--rng", "5", "-o", "plants.csv")
    here = simulate(*scenarios.plant_growth(plots=6, extra=(1, 2)), rng=5).data
    pd.testing.assert_frame_equal(lmmsim.course.read_table("plants.csv"), here)
    assert pd.read_csv("plants.codebook.csv")["unit"].tolist()[-1] == "cm"
    run("simulate", "plant-growth", "--set", "plots=6", "--set", "extra=1,2", "--rng", "5")
    assert capsys.readouterr().out == Path("plants.csv").read_text()


def test_a_drawn_design_is_the_same_with_the_same_seed(capsys):
    for rng in ("1", "1", "2"):
        run("simulate", "classrooms", "--set", "schools=2", "--rng", rng)
    one, same, other = np.array_split(capsys.readouterr().out.split("school,")[1:], 3)
    assert one[0] == same[0] != other[0]


def test_the_truth_is_all_that_made_the_data():
    run("simulate", "subjects-and-items", "--set", "subjects=4", "--rng", "2", "-o", "d.csv", "--truth", "t.json")
    truth = json.loads(Path("t.json").read_text())
    here = simulate(*scenarios.subjects_items(subjects=4), rng=2)
    assert truth["beta"] == here.model.beta and truth["residual"] == 150.0
    assert truth["u"]["subject"]["subject1"]["frequency[T.rare]"] == here.u["subject", "subject1", "frequency[T.rare]"]
    assert "truth" not in Path("d.csv").read_text() + Path("d.codebook.csv").read_text()


def test_other_words_go_everywhere(capsys):
    words = ["--name", "school=clinic", "--name", "score=pain (mm)"]
    run("simulate", "teaching-methods", *words, "--rng", "1", "-o", "d.csv", "--picture", "d.svg")
    book = pd.read_csv("d.codebook.csv").set_index("column")
    assert book.loc["pain", "unit"] == "mm" and book.loc["method", "level"] == "clinic"
    assert Path("d.svg").read_text().startswith("<?xml")
    run("fit", "d.csv", "pain ~ method + (1 | clinic)")
    assert "method[T.new]" in capsys.readouterr().out


def test_a_fit_from_a_pipe_is_the_fit_of_python(monkeypatch, capsys):
    data = simulate(*scenarios.plant_growth(), rng=1).data
    monkeypatch.setattr("sys.stdin", io.StringIO(data.to_csv(index=False)))
    run("fit", "-", "height ~ week + (week | plot)", "--form", "csv")
    there = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="term")
    here = LMM("height ~ week + (week | plot)")(data).coef
    np.testing.assert_allclose(there.to_numpy(), here.to_numpy(float), rtol=1e-6)


def test_a_fit_answers_questions(capsys):
    run("simulate", "plant-growth", "--rng", "1", "-o", "d.csv")
    fit = LMM(GROWTH)(lmmsim.course.read_table("d.csv"))
    run(
        "fit",
        "d.csv",
        GROWTH,
        "--means",
        "fertilizer",
        "--pairs",
        "--by",
        "week",
        "--form",
        "json",
        "--picture",
        "m.png",
    )
    rows = json.loads(capsys.readouterr().out)
    assert {"contrast", "week", "estimate", "se"} <= set(rows[0])
    run("fit", "d.csv", GROWTH, "--contrast", "fertilizer=B:1,A:-1; week=4", "--form", "json")
    [row] = json.loads(capsys.readouterr().out)
    here = fit.contrast({"fertilizer": {"B": 1, "A": -1}, "week": 4})
    assert row["estimate"] == pytest.approx(here["estimate"].iloc[0], rel=1e-12)
    run("fit", "d.csv", "height ~ week", "--picture", "ols.pdf")
    assert "Least squares" in capsys.readouterr().out.replace("least", "Least")
    assert Path("m.png").read_bytes()[:4] == b"\x89PNG" and Path("ols.pdf").read_bytes()[:4] == b"%PDF"


def test_power_and_sizes_are_those_of_python(capsys):
    run("power", "teaching-methods", "--form", "csv")
    table = pd.read_csv(io.StringIO(capsys.readouterr().out), index_col="term")
    np.testing.assert_allclose(table["power"], exact_power(*scenarios.teaching_methods())["power"], rtol=1e-9)
    run("find-size", "teaching-methods", "--vary", "schools", "--from", "4", "--to", "200", "--step", "2")
    said = capsys.readouterr().out
    run("scenarios", "teaching-methods", "--toml", "-o", "m.toml")
    run("find-size", "m.toml", "--vary", "school", "--from", "4", "--to", "200", "--step", "2")
    assert capsys.readouterr().out.split("is the smallest")[1] == said.split("is the smallest")[1]


def test_a_study_compares_analyses(capsys):
    run("study", "teaching-methods", "--set", "effect=0", "--replicates", "40", "--rng", "1", "--form", "csv",
        "--ols", "score ~ method", "--robust", "school", "score ~ method", "--group-means", "school", "score ~ method",
        "--lmm", "score ~ method + (1 | school)", "--picture", "s.svg")  # fmt: skip
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(table["analysis"].unique()) == ["LMM", "OLS", "OLS, robust by school", "means of school"]
    assert (table["n"] == 40).all() and os.path.exists("s.svg")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["simulate", "plant-grow"], 1, "'plant-grow' is no scenario and no .toml file; the scenarios are plant-"),
        (["simulate", "plant-growth", "--set", "plot=3"], 1, "'plot': no number of 'plant growth'; its numbers are"),
        (["simulate", "plant-growth", "--set", "plots"], 1, "'plots' sets nothing; write NAME=VALUE"),
        (["simulate", "none.toml"], 1, "there is no file none.toml"),
        (["simulate", "plant-growth", "-o", "a.txt"], 1, "a.txt ends in neither .csv nor .parquet"),
        (["simulate", "plant-growth", "-o", "no/where.csv"], 1, "there is no folder no for where.csv"),
        (["simulate", "plant-growth", "--picture", "a.gif"], 1, "a.gif ends in none of .svg, .png, .pdf"),
        (["fit", "none.csv", "y ~ x"], 1, "there is no file none.csv"),
        (["power", "plant-growth", "--contrast", "A-B"], 1, "'A-B' is no contrast"),
        (["simulate"], 2, "Missing argument 'WORLD'"),
        (["simulat"], 2, "No such command 'simulat'"),
        (["study", "plant-growth", "--replicates", "many"], 2, "is not a valid integer"),
        (["simulate", "plant-growth", "--rng", "-1"], 2, "-1 is not in the range x>=0"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_line_with_an_exit_code(arguments, code, said, capsys):
    run(*arguments, code=code)
    out, error = capsys.readouterr()
    assert out == "" and said in error and "Traceback" not in error


def test_nothing_is_overwritten_without_force(capsys):
    for name in ("d.csv", "t.json"):
        Path(name).write_text("mine")
    run("simulate", "plant-growth", "--rng", "1", "-o", "new.csv", "--truth", "t.json", code=1)
    run("simulate", "plant-growth", "--rng", "1", "-o", "d.csv", code=1)
    assert Path("d.csv").read_text() == Path("t.json").read_text() == "mine" and sorted(os.listdir()) == [
        "d.csv",
        "t.json",
    ]
    assert "there already and was left as it is" in capsys.readouterr().err
    run("simulate", "plant-growth", "--rng", "1", "-o", "d.csv", "--force")
    assert Path("d.csv").read_text().startswith("plot,")


def test_a_bad_model_file_is_named_with_its_line(capsys):
    run("scenarios", "plant-growth", "--toml", "-o", "m.toml")
    Path("m.toml").write_text(Path("m.toml").read_text() + "\n[beta2]\n")
    run("simulate", "m.toml", code=1)
    assert "m.toml, line 26, beta2: 'beta2' is not known here" in capsys.readouterr().err


def test_numbers_of_a_model_file_can_be_set(capsys):
    run("scenarios", "plant-growth", "--toml", "-o", "m.toml")
    changed = ["beta.week:fertilizer[T.A]=9", "random.plot.sd.week=0", "plot=3", "residual=0"]
    sets = [word for one in changed for word in ("--set", one)]
    run("simulate", "m.toml", *sets, "--rng", "1", "--truth", "t.json", "-o", "d.csv")
    truth = json.loads(Path("t.json").read_text())
    assert truth["beta"]["week:fertilizer[T.A]"] == 9 and truth["residual"] == 0 and len(pd.read_csv("d.csv")) == 15
    run("simulate", "m.toml", "--set", "beta.wek=1", code=1)
    assert "'beta.wek' is no number of m.toml" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has other pipes")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_broken_pipe_is_quiet(unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    process = started("simulate", "teaching-methods", "--set", "pupils=2000", "--rng", "1", stdout=-1, stderr=-1)
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 141


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_ctrl_c_is_quiet():
    arguments = ["subjects-and-items", "--replicates", "1000000", "--rng", "1", "--checkpoint", "kept"]
    process = started("study", *arguments, stdout=-1, stderr=-1)
    until = time.monotonic() + 60
    while not os.path.exists("kept") and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "") and "Traceback" not in error, error


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_words(shell, capsys):
    run("completion", shell)
    assert "_LMMSIM_COMPLETE" in capsys.readouterr().out


def test_completion_knows_the_commands():
    environment = {**os.environ, "PYTHONPATH": str(TOP), "_LMMSIM_COMPLETE": "bash_complete"}
    environment |= {"COMP_WORDS": "lmmsim si", "COMP_CWORD": "1"}
    done = subprocess.run([sys.executable, "-m", "lmmsim.cli"], env=environment, capture_output=True, text=True)
    assert done.stdout == "plain,simulate\n"
