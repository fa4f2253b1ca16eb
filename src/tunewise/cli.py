"""The command line: parses, calls, and turns errors into messages and exit codes.

Holds no logic. Heavy modules are imported inside the command functions, so that `--help` answers
at once: this is the documented place for late imports.
"""

import shlex
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from tunewise.cli_data import data_app
from tunewise.cli_eval import evaluate
from tunewise.cli_export import export
from tunewise.cli_models import models_app
from tunewise.cli_options import AsJson, Settings, Source, print_json, progress_bars, project_of
from tunewise.cli_serve import keys_app, serve
from tunewise.cli_ui import ui
from tunewise.cli_worker import worker
from tunewise.errors import UserError
from tunewise.interrupts import INTERRUPTED, TERMINATED, ends_in_time, leave

if TYPE_CHECKING:
    from tunewise.project.settings import Project

ERROR = 1

app = typer.Typer(
    name="tunewise",
    help="Measures, on your own examples, whether fine-tuning a language model is worth it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _Folders(TyperGroup):
    """`tunewise runs DIR` lists the runs of DIR."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click: a word that is no command, but a file or folder, is what to list."""
        folder = args and args[0] not in self.commands and Path(args[0]).exists()
        return super().parse_args(ctx, ["list", *args] if folder else args)


runs_app = typer.Typer(
    cls=_Folders, help="Finished and interrupted runs, and trainings.", no_args_is_help=True
)
app.add_typer(runs_app, name="runs")
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")
app.add_typer(data_app, name="data")

Documents = Annotated[Path | None, typer.Option(help="Folder of documents, for retrieval.")]
Instruction = Annotated[str | None, typer.Option(help="What you would tell the model.")]
Seed = Annotated[int | None, typer.Option(help="Salt of the split, and of training.")]
Out = Annotated[Path | None, typer.Option(help="The run folder; default: a new one in runs/.")]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with your files.")],
) -> None:
    """Looks at your files and writes a commented tunewise.toml beside them."""
    from tunewise.pipelines.init.show import render_started
    from tunewise.pipelines.init.start import start_project

    render_started(start_project(folder), folder)


@app.command()
def new(
    example: Annotated[
        str | None, typer.Argument(metavar="EXAMPLE", help="Its name; none: lists them.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A new folder; default: ./EXAMPLE.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lists the example projects, or copies one as a start."""
    from tunewise.project.examples import copy_example, examples

    if example is None:
        found = examples()
        if as_json:
            print_json([{**asdict(one), "folder": str(one.folder)} for one in found])
            return
        width = max(len(one.name) for one in found)
        for one in found:
            typer.echo(f"{one.name:{width}}  {one.rows:3} rows  {one.about}")
        typer.echo("\nA copy to start from: tunewise new EXAMPLE DIR")
        return
    copy = copy_example(example, folder or Path(example))
    if as_json:
        print_json({**asdict(copy), "folder": str(copy.folder)})
        return
    where = shlex.quote(str(copy.folder))
    typer.echo(f"{copy.folder}: {copy.about} {copy.rows} examples; README.md says how to go on.")
    typer.echo(f"Next:\n  tunewise check {where}\n  tunewise decide {where} --dry-run")


@app.command()
def check(
    source: Source,
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Writes a repaired copy and a log of each change into this new folder.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE",
            help="A row (rows.csv:12) or a rule (duplicate) that the copy leaves as it is.",
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Where the page is written; default: runs/check.html of the project."),
    ] = None,
    as_json: AsJson = False,
    settings: Settings = None,
) -> None:
    """Finds the faults in your examples, with file and line."""
    try:
        if keep and fix is None:
            raise UserError("--keep: says what a copy leaves as it is. Add --fix.", exit_code=2)
        project = project_of(source, settings)
        typer.echo(f"Checking {source} ...", err=True)
        from tunewise.pipelines.check import run_check  # a wrong path is told before

        checked = run_check(
            project, source=str(source), progress=progress_bars(), fix=fix, keep=keep or ()
        )
    except UserError as error:
        if not as_json:
            raise
        from tunewise.data.checks.read_all import UnreadableRowsError
        from tunewise.report.findings import faults_document

        findings = error.findings if isinstance(error, UnreadableRowsError) else ()
        print_json(faults_document(error, findings))
        raise typer.Exit(error.exit_code) from None
    from tunewise.report.check_page import write_check_page
    from tunewise.report.findings import findings_document, render_findings
    from tunewise.runs.folder import RUNS

    if as_json:
        print_json(findings_document(checked))
    else:
        render_findings(checked)
    if page is not None or not as_json:
        try:
            shown = write_check_page(checked, page or project.root / RUNS / "check.html")
            typer.echo(f"Page: {shown}", err=as_json)
        except UserError as error:
            if page is not None:
                raise
            typer.echo(f"No page: {error}", err=True)
    if checked.report.errors:
        raise typer.Exit(ERROR)


@app.command()
def decide(
    source: Source,
    documents: Documents = None,
    instruction: Instruction = None,
    contenders: Annotated[str | None, typer.Option(help="Names, separated by commas.")] = None,
    limit: Annotated[int | None, typer.Option(help="Examples used at most.")] = None,
    seed: Seed = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="First opinion; test is sealed.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Ask the whole general suite.")] = False,
    out: Out = None,
    as_json: AsJson = False,
    settings: Settings = None,
) -> None:
    """Runs the alternatives on your examples and says whether to fine-tune."""
    given = {
        "--documents": ("data.documents", documents),
        "--instruction": ("task.instruction", instruction),
        "--contenders": ("contenders.use", _names(contenders)),
        "--limit": ("contenders.limit", limit),
        "--seed": ("data.seed", seed),
        "--full": ("decision.general_suite", "whole" if full else None),
    }
    project = project_of(source, settings, given)
    if dry_run:
        _describe(project, quick=quick, as_json=as_json)
        return
    _decide(project, out=out, resume=resume, quick=quick, as_json=as_json)


@app.command()
def train(
    source: Source,
    method: Annotated[
        str | None, typer.Option(help="sft, dpo, kto, cpt or distill; default: training.method.")
    ] = None,
    seed: Seed = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last training.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder; default: a new one in runs/.")
    ] = None,
    as_json: AsJson = False,
    settings: Settings = None,
) -> None:
    """Trains a model on your examples, pairs or documents, without deciding anything."""
    from rich.console import Console

    given = {"--method": ("training.method", method), "--seed": ("data.seed", seed)}
    project = project_of(source, settings, given)
    typer.echo(f"Reading {source} ...", err=True)
    from tunewise.data.prepare import prepare_for_training
    from tunewise.runs.asked import asked_rows

    prepared = prepare_for_training(project, asked=asked_rows(project))
    # Brings torch, for which nobody whose rows have a fault should wait.
    from tunewise.pipelines.train import run_train
    from tunewise.report.trained import render_trained
    from tunewise.runs.folder import TRAINED

    folder = run_train(project, progress=progress_bars(), prepared=prepared, out=out, resume=resume)
    if folder is None:
        return  # the first process under torchrun says it
    if as_json:
        typer.echo((folder / TRAINED).read_text("utf-8"), nl=False)
    else:
        render_trained(folder, Console())


app.command("eval")(evaluate)
app.command("serve")(serve)
app.command("ui")(ui)
app.command("worker")(worker)
app.command()(export)


@app.command()
def demo(
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the last run.")] = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Runs `decide` on the embedded example: the mail of an outdoor shop."""
    from tunewise.project.examples import demo_folder

    _decide(project_of(demo_folder(), None), out=out, resume=resume, as_json=as_json)


@app.command()
def schema() -> None:
    """Prints the JSON Schema of tunewise.toml, by which editors complete and check it."""
    from tunewise.project.schema import toml_schema

    print_json(toml_schema())


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    open_page: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    in_brief: Annotated[
        bool,
        typer.Option("--brief", help="A few plain sentences for the person who pays."),
    ] = False,
) -> None:
    """Shows the verdict of a run again, and writes its report.html anew."""
    import webbrowser

    from rich.console import Console

    from tunewise.report.html import write_html
    from tunewise.report.terminal import render_brief, render_verdict
    from tunewise.report.trained import render_trained
    from tunewise.runs.folder import TRAINED
    from tunewise.runs.read import read_run

    if (run / TRAINED).is_file():
        render_trained(run, Console())
        return
    found = read_run(run)
    page = write_html(found)
    if in_brief:
        render_brief(found, Console())
    else:
        render_verdict(found, Console())
        typer.echo(f"Report: {page}")
    if open_page:
        webbrowser.open(page.resolve().as_uri())


@app.command()
def rate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    judge: Annotated[
        bool, typer.Option("--judge", help="Have the model of [judge] compare all pairs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the order in which pairs are shown.")] = 0,
    as_json: AsJson = False,
    settings: Settings = None,
) -> None:
    """Shows answers of the two final contenders in pairs, blind, and asks you which is better."""
    from rich.console import Console

    if not judge:
        from tunewise.pipelines.rating import rate_run
        from tunewise.report.rating import TerminalScreen

        rate_run(run, TerminalScreen(Console()), seed=seed)
        return
    from tunewise.pipelines.judging import judge_run
    from tunewise.report.terminal import render_judged
    from tunewise.runs.judged import JUDGED
    from tunewise.runs.read import read_run

    judge_run(run, progress=progress_bars(), overrides=settings or [])
    if as_json:
        typer.echo((run / JUDGED).read_text("utf-8"), nl=False)
    else:
        render_judged(read_run(run), Console())


@app.command()
def prices(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    price_list: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="A list of prices (TOML).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Shows what requests took in a run, and what they would cost at a list of prices."""
    from tunewise.report.price_table import priced
    from tunewise.report.terminal import render_prices

    table = priced(run, price_list)
    if as_json:
        print_json(asdict(table))
    else:
        render_prices(table)


@runs_app.command("list")
def runs_list(
    project: Annotated[Path, typer.Argument(help="A project folder.")] = Path(),
    as_json: AsJson = False,
) -> None:
    """Lists the runs and trainings of a project, the newest first; `runs DIR` does the same."""
    from tunewise.runs.folder import list_runs

    runs = list_runs(project)
    if as_json:
        print_json([{**asdict(run), "path": str(run.path)} for run in runs])
        return
    for run in runs:
        said = run.outcome or {"finished": "trained"}.get(run.state, run.state)
        since = f" since {run.since}" if run.state == "running" and run.since else ""
        finding = f"  {run.finding}" if run.finding else ""
        typer.echo(f"{run.id}  {said}{since}{finding}")
    if not runs:
        typer.echo(f"No runs under {project / 'runs'}.")


@runs_app.command("show")
def runs_show(run: Annotated[Path, typer.Argument(metavar="RUN")]) -> None:
    """Shows the verdict of a run."""
    report(run, open_page=False)


@runs_app.command("rm")
def runs_rm(run: Annotated[Path, typer.Argument(metavar="RUN")]) -> None:
    """Deletes a run folder. How often its test rows were used stays written down."""
    from tunewise.runs.folder import remove_run

    remove_run(run)
    typer.echo(f"Deleted {run}.")


def main() -> None:
    """The entry point: every error of a user's becomes a message and an exit code."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        with ends_in_time():
            app()
    except UserError as error:
        from tunewise.storage import shortened

        typer.echo(f"error: {shortened(str(error), Path.cwd())}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as ended:
        if ended.code in (INTERRUPTED, TERMINATED):
            leave(ended.code)
        raise


def _stop(signum: int, frame: FrameType | None) -> None:
    """Unwinds, so that a training writes down the steps it has done."""
    said = "Interrupted." if signum == signal.SIGINT else "Terminated."
    advice = ""
    if sys.argv[1:2] in (["decide"], ["demo"], ["train"]):
        advice = " The same command with --resume goes on from the last step kept."
    elif sys.argv[1:2] == ["rate"]:
        advice = " Nothing is lost: the same command goes on."
    with suppress(OSError):  # the terminal may be gone
        typer.echo(f"\n{said}{advice}", err=True)
    sys.exit(INTERRUPTED if signum == signal.SIGINT else TERMINATED)


def _names(texts: str | None) -> list[str] | None:
    return None if texts is None else [name.strip() for name in texts.split(",") if name.strip()]


def _decide(
    project: "Project", *, out: Path | None, resume: bool, as_json: bool, quick: bool = False
) -> None:
    from rich.console import Console

    typer.echo(f"Reading the examples of {project.root.name} ...", err=True)
    from tunewise.pipelines.reading import read_for_decide

    read = read_for_decide(project, out=out, resume=resume)
    # Brings torch, for which nobody whose rows have a fault should wait.
    from tunewise.pipelines.decide import run_decide
    from tunewise.report.terminal import render_verdict
    from tunewise.runs.read import read_run

    reproduce = shlex.join(["tunewise", *(arg for arg in sys.argv[1:] if arg != "--resume")])
    path = run_decide(
        project,
        progress=progress_bars(),
        read=read,
        quick=quick,
        out=out,
        resume=resume,
        reproduce=reproduce,
    )
    if as_json:
        typer.echo((path / "verdict.json").read_text("utf-8"), nl=False)
    else:
        render_verdict(read_run(path), Console())


def _describe(project: "Project", *, quick: bool, as_json: bool) -> None:
    from tunewise.pipelines.dry_run import dry_run

    found = dry_run(project, quick=quick)
    if as_json:
        print_json(found.as_dict())
        return
    typer.echo("\n".join(found.lines()))
    typer.echo("Nothing was run, and test stays sealed. Leave out --dry-run to run it.")
