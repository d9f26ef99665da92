"""The command `lmmsim`: the steps of a simulation, and of a course, from a terminal.

What a command does is done by the rooms; here stand its words. Everything is imported when a command runs, so that
help and completion answer at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import click

from lmmsim import __version__

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
FORMS = click.Choice(["text", "csv", "json"])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def options(*some: Decorator) -> Decorator:
    """Several options as one decorator."""
    return lambda function: reduce(lambda decorated, one: one(decorated), reversed(some), function)


rng_option = click.option("--rng", type=click.IntRange(0), help="Seed: the same number gives the same result.")
force_option = click.option("--force", is_flag=True, help="Replace files that are there.")
out_option = click.option("-o", "--output", default="-", metavar="FILE", help="Where to; '-' is standard output.")
form_option = click.option("--form", type=FORMS, default="text", help="How tables are written.")
picture_option = click.option("--picture", metavar="FILE", help="Draw a picture too: .svg, .png or .pdf.")
contrast_option = click.option("--contrast", multiple=True, metavar="C", help="As 'fertilizer=A:1,Control:-1; week=4'.")
jobs_option = click.option("--jobs", type=int, default=1, show_default=True, help="Processes; -1 is one per core.")
world_options = options(
    click.argument("world"),
    click.option("--set", "numbers", multiple=True, metavar="NAME=VALUE", help="Change a number of the world."),
    click.option("--name", "names", multiple=True, metavar="OLD=NEW", help="Another word, as 'score=pain (mm)'."),
)


@click.group(context_settings=HELP)
@click.version_option(__version__, message="lmmsim %(version)s")
def command() -> None:
    """Simulate, fit and plan with linear mixed models: y = X beta + Z u + eps.

    A WORLD is a scenario's name (lmmsim scenarios) or a model file in TOML.

    \b
    lmmsim scenarios plant-growth --toml > growth.toml     a model file to change
    lmmsim simulate growth.toml --rng 1 -o plants.csv      data, with a codebook
    lmmsim fit plants.csv "height ~ week * fertilizer + (week | plot)"
    lmmsim power growth.toml                               exact power of every test
    lmmsim assign exam.toml roster.csv -o class            data of their own for everybody
    lmmsim mark class answers/                             marks and feedback
    """


@command.command()
@click.argument("name", required=False)
@click.option("--toml", is_flag=True, help="Write it as a model file.")
@options(rng_option, out_option, force_option)
def scenarios(name: str | None, toml: bool, rng: int | None, output: str, force: bool) -> None:
    """List the ready-made worlds, or show one.

    \b
    lmmsim scenarios
    lmmsim scenarios teaching-methods
    lmmsim scenarios teaching-methods --toml -o methods.toml
    """
    from lmmsim.course import printed, worlds
    from lmmsim.course.sources import Source

    if name is None:
        return put(printed.listing() + "\n", output, force)
    source = Source.of(name)
    put(worlds.as_toml(*source.world(rng=rng)) if toml else printed.about(source.name) + "\n", output, force)


@command.command()
@options(world_options, rng_option, out_option, force_option, picture_option)
@click.option("--decimals", type=click.IntRange(0, 15), help="Round all numbers to so many decimals.")
@click.option("--codebook/--no-codebook", default=True, help="Write FILE.codebook.csv beside a file.  [default: yes]")
@click.option("--truth", metavar="FILE", help="Write the true numbers, random effects included, as JSON.")
def simulate(
    world: str, numbers: Sequence[str], names: Sequence[str], rng: int | None, output: str, force: bool,
    picture: str | None, decimals: int | None, codebook: bool, truth: str | None,
) -> None:  # fmt: skip
    """Draw one data set from a WORLD.

    It is written as CSV, or as Parquet if FILE ends in .parquet. The data are those of simulate(..., rng=N) in Python.

    \b
    lmmsim simulate plant-growth --set plots=24 --rng 1 -o plants.csv --truth plants.json
    lmmsim simulate teaching-methods --name school=clinic --name "score=pain (mm)" --rng 1
    lmmsim simulate growth.toml --set beta.week=3 --rng 2 | head
    """
    from lmmsim.course import printed, tables
    from lmmsim.course.codebooks import codebook as describe

    check_free(force, output, truth, picture)
    simulation = printed.drawn(source_of(world, numbers, names), rng)
    formula = simulation.model.formula
    data = simulation.data if decimals is None else tables.fixed(simulation.data, decimals)
    if picture:
        printed.picture(picture, printed.picture_of_data(data, formula), force)
    if truth:
        put(printed.as_json(printed.truth_of(simulation)), truth, force)
    if output == "-":
        return put(tables.as_csv(data))
    tables.write_table(data, output, describe(data, formula) if codebook else None, force=force)


@command.command()
@click.argument("data")
@click.argument("formula")
@options(form_option, out_option, force_option, picture_option, contrast_option)
@click.option("--df", type=click.Choice(["satterthwaite", "kenward-roger", "z"]), default="satterthwaite")
@click.option("--ml", is_flag=True, help="Full maximum likelihood in place of REML.")
@click.option("--codebook", metavar="FILE", help="Types and levels; by default DATA.codebook.csv, if it is there.")
@click.option("--means", metavar="COLUMN", help="Marginal means of a factor in place of coefficients.")
@click.option("--pairs", is_flag=True, help="Differences between these means.")
@click.option("--by", metavar="COLUMN", help="Means for each value of another column.")
def fit(
    data: str, formula: str, form: str, output: str, force: bool, picture: str | None, contrast: Sequence[str], df: Any,
    ml: bool, codebook: str | None, means: str | None, pairs: bool, by: str | None,
) -> None:  # fmt: skip
    """Fit FORMULA to DATA.

    DATA is a CSV or Parquet file, or '-' for CSV from standard input. Without random terms it is least squares.

    \b
    lmmsim fit plants.csv "height ~ week * fertilizer + (week | plot)"
    lmmsim fit plants.csv "height ~ week * fertilizer + (week | plot)" --means fertilizer --by week
    lmmsim simulate plant-growth --rng 1 | lmmsim fit - "height ~ week + (week | plot)" --form csv
    """
    from lmmsim.course import printed, tables

    check_free(force, output, picture)
    frame = tables.read_stream(sys.stdin, codebook) if data == "-" else tables.read_table(data, codebook)
    result = printed.fitted(frame, formula, df, not ml)
    asked = printed.asked(result, contrast, means, by, pairs)
    if picture:
        printed.picture(picture, printed.picture_of_fit(result, asked), force)
    table = result.coef if asked is None else asked
    put(printed.in_form(table, form, repr(result if asked is None else asked)), output, force)


@command.command()
@options(world_options, rng_option, form_option, out_option, force_option, contrast_option)
@click.option("--alpha", type=float, default=0.05, show_default=True)
def power(
    world: str, numbers: Sequence[str], names: Sequence[str], rng: int | None, form: str, output: str, force: bool,
    contrast: Sequence[str], alpha: float,
) -> None:  # fmt: skip
    """Compute the exact power in a WORLD.

    It is that of the t test of every coefficient, or contrast, without simulation.

    \b
    lmmsim power plant-growth --set plots=18
    lmmsim power plant-growth --contrast "fertilizer=B:1,A:-1; week=4"
    """
    from lmmsim.course import printed
    from lmmsim.theory.power import exact_power

    model, design = source_of(world, numbers, names).world(rng=rng)
    put(printed.in_form(exact_power(model, design, alpha, printed.contrasts_of(contrast) or None), form), output, force)


@command.command("find-size")
@options(world_options, rng_option, jobs_option)
@click.option("--vary", required=True, metavar="NAME", help="The number that grows, as plots.")
@click.option("--from", "least", type=int, required=True)
@click.option("--to", "most", type=int, required=True)
@click.option("--step", type=click.IntRange(1), default=1, show_default=True)
@click.option("--term", help="The coefficient that is tested; by default the last one.")
@click.option("--power", "wanted", type=float, default=0.8, show_default=True)
def find_size(
    world: str, numbers: Sequence[str], names: Sequence[str], rng: int | None, jobs: int, vary: str, least: int,
    most: int, step: int, term: str | None, wanted: float,
) -> None:  # fmt: skip
    """Find the smallest WORLD with enough power.

    What grows is one of its numbers; the power is exact where it can be, else by simulation.

    \b
    lmmsim find-size plant-growth --vary plots --from 6 --to 120 --step 3 --term "week:fertilizer[T.A]"
    lmmsim find-size growth.toml --vary plot --from 6 --to 120 --step 3
    """
    from lmmsim.course import printed

    put(printed.size(source_of(world, numbers, names), vary, range(least, most + 1, step), term, wanted, rng, jobs))


@command.command()
@options(world_options, rng_option, jobs_option, form_option, out_option, force_option, picture_option)
@click.option("--replicates", type=click.IntRange(2), default=1000, show_default=True)
@click.option("--lmm", multiple=True, metavar="FORMULA", help="A mixed model.")
@click.option("--ols", multiple=True, metavar="FORMULA", help="Least squares.")
@click.option("--robust", multiple=True, nargs=2, metavar="UNIT FORMULA", help="Least squares, errors robust by unit.")
@click.option("--group-means", multiple=True, nargs=2, metavar="UNIT FORMULA", help="Least squares of unit means.")
@click.option("--term", help="The coefficient of the picture; by default the last one.")
@click.option("--checkpoint", metavar="FOLDER", help="Keep what is done, and go on from there.")
def study(
    world: str, numbers: Sequence[str], names: Sequence[str], rng: int | None, jobs: int, form: str, output: str,
    force: bool, picture: str | None, replicates: int, lmm: Any, ols: Any, robust: Any, group_means: Any,
    term: str | None, checkpoint: str | None,
) -> None:  # fmt: skip
    """Ask how good analyses of a WORLD are.

    Many data sets are simulated, and each is analysed. Without an analysis: the mixed model of the world beside the
    regression that forgets its groups.

    \b
    lmmsim study teaching-methods --set effect=0 --replicates 2000 --rng 1
    lmmsim study plant-growth --lmm "height ~ week * fertilizer + (1 | plot)" --rng 1 --form csv -o slopes.csv
    """
    from lmmsim.course import printed
    from lmmsim.studies.performance import performance
    from lmmsim.studies.study import study as conduct

    check_free(force, output, picture)
    model, design = source_of(world, numbers, names).world(rng=rng)
    analyses = printed.analyses_of(model.formula, lmm, ols, robust, group_means)
    done = conduct(model, design, analyses, replicates, rng=rng, n_jobs=jobs, checkpoint=checkpoint)
    if picture:
        printed.picture(picture, printed.picture_of_study(done, term), force)
    put(printed.in_form(performance(done, full=form != "text"), form, repr(done)), output, force)


@command.command()
@click.argument("name", required=False)
@options(out_option, force_option)
def assignments(name: str | None, output: str, force: bool) -> None:
    """List the ready assignments, or write one.

    \b
    lmmsim assignments
    lmmsim assignments fertilizers -o exam.toml     to change it
    """
    from lmmsim.course import ready

    put(ready.ready_text(name) if name else ready.listing() + "\n", output, force)


@command.command()
@click.argument("assignment")
@click.argument("roster")
@click.option("-o", "--output", "folder", required=True, metavar="FOLDER", help="The class: a new folder.")
@click.option("--secret", metavar="FILE", help="The secret of an earlier class, to make the same data again.")
@options(force_option, click.option("--jobs", default=-1, show_default=True, help="Processes; -1 is one per core."))
def assign(assignment: str, roster: str, folder: str, secret: str | None, jobs: int, force: bool) -> None:
    """Make data of their own for everybody.

    ASSIGNMENT is a TOML file, or the name of a ready one: lmmsim assignments. ROSTER is a CSV file with a column
    'student'. FOLDER/students is to be handed out, FOLDER/teacher never: it has the key and the secret.

    \b
    lmmsim assign exam.toml roster.csv -o class
    lmmsim assign exam.toml roster.csv -o class --force       somebody joined; all others keep their data
    lmmsim assign exam.toml roster.csv -o again --secret class/teacher/secret
    """
    from lmmsim.course.handing_out import assign as hand_out
    from lmmsim.course.secret import read_secret

    known = None if secret is None else read_secret(secret)
    hand_out(assignment, roster, folder, course_secret=known, n_jobs=jobs, progress=True, force=force)
    put(f"{folder}/students is for the students; keep {folder}/teacher to yourself\n")


@command.command()
@click.argument("folder")
@click.argument("submissions")
@click.option("-o", "--output", metavar="FOLDER", help="Where marks.csv and the feedback go: a new folder.")
@force_option
def mark(folder: str, submissions: str, output: str | None, force: bool) -> None:
    """Mark what the students of FOLDER hand in.

    SUBMISSIONS is a folder with <id>.json, <id>.ipynb or <id>/answers.json of each student, or a CSV file with a column
    'student' and one for each question. Nothing in it is run.

    \b
    lmmsim mark class handed-in -o marks
    """
    from lmmsim.course.classes import mark as mark_class

    check_free(force, output)
    marks = mark_class(folder, submissions)
    put(repr(marks) + "\n")
    if output:
        marks.write(output, force=force)
        put(f"{output}/marks.csv has the points, {output}/feedback a page for every student\n")


@command.command()
@click.argument("folder")
@click.option("--moodle", metavar="FILE", help="Questions in Moodle's XML, with everybody's own numbers.")
@click.option("--nbgrader", metavar="COURSE", help="The folder of a course of nbgrader.")
@force_option
def export(folder: str, moodle: str | None, nbgrader: str | None, force: bool) -> None:
    """Write the class in FOLDER for Moodle or nbgrader.

    \b
    lmmsim export class --moodle quiz.xml
    lmmsim export class --nbgrader course101
    """
    from lmmsim.course import write_moodle, write_nbgrader

    if not moodle and not nbgrader:
        raise click.UsageError("say where to: --moodle FILE or --nbgrader COURSE")
    if moodle:
        write_moodle(folder, moodle, force=force)
    if nbgrader:
        write_nbgrader(folder, nbgrader, force=force)


@command.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets a SHELL complete words.

    \b
    lmmsim completion bash >> ~/.bashrc
    lmmsim completion zsh >> ~/.zshrc
    lmmsim completion fish > ~/.config/fish/completions/lmmsim.fish
    """
    from click.shell_completion import get_completion_class

    kind: Any = get_completion_class(shell)
    put(kind(command, {}, "lmmsim", "_LMMSIM_COMPLETE").source() + "\n")


def source_of(world: str, numbers: Sequence[str], names: Sequence[str]) -> Any:
    """The world that the arguments of a command name."""
    from lmmsim.course.sources import Source, settings

    return Source.of(world, settings(numbers), {old: str(new) for old, new in settings(names).items()})


def check_free(force: bool, *paths: str | None) -> None:
    """Refuse files that are there, unless they may be replaced."""
    from lmmsim.course import files

    files.check_free(*(() if force else paths))


def put(text: str, output: str = "-", force: bool = False) -> None:
    """Write a text to a file, whole, or to standard output."""
    from lmmsim.course import files

    if output != "-":
        files.write(Path(output), text, force=force)
        return
    sys.stdout.flush()
    rest = memoryview(text.encode("utf-8"))
    try:
        while rest:  # an unbuffered stream may take a part only
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to flush at the end
        raise click.exceptions.Exit(141) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 0, 1 (refused), 2 (wrong usage), 130 (Ctrl-C) or 141 (nobody reads on)."""
    warnings.showwarning = lambda message, *_: click.echo(f"lmmsim: warning: {message}", err=True)
    try:
        code = command.main(arguments, prog_name="lmmsim", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except (ValueError, TypeError, OSError) as error:
        click.echo(f"lmmsim: {error}", err=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
