"""The command `studies`. Exit codes: 0 done, 1 a study failed, 2 bad input."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lib.studies import SIZES, ParamError, StudyParams, find, resolve, slugs
from lib.studies.params import allowed, read_yaml

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Research papers as studies: list, run, look, change.")

Name = Annotated[str, typer.Argument(metavar="STUDY", help="a name from `studies list`")]
Size = Annotated[str, typer.Option("--size", help=" | ".join(SIZES))]
Pairs = Annotated[list[str] | None, typer.Option("-p", "--param", metavar="NAME=VALUE", help="change one parameter")]
ParamFile = Annotated[Path | None, typer.Option("-f", "--file", help="a flat YAML file of parameters")]


class Engine(StrEnum):
    """What moves the runs of a sweep."""

    dask = "dask"
    local = "local"


@contextmanager
def bad_input() -> Iterator[None]:
    """Turn refused input into one clear line and exit code 2."""
    try:
        yield
    except ParamError as error:
        typer.echo(f"studies: {error}", err=True)
        raise typer.Exit(2) from None


def _pairs(texts: list[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ParamError(f"-p: got {text!r}, allowed: name=value")
        if name in pairs:
            raise ParamError(f"{name}: given twice with -p, allowed: once")
        pairs[name] = value
    return pairs


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="one JSON list")] = False) -> None:
    """The studies: name, title, question, minutes."""
    studies = [find(slug).study for slug in slugs()]
    if as_json:
        rows = [
            {
                "slug": s.slug, "title": s.title, "question": s.question, "paper": s.paper,
                "minutes": dict(s.minutes), "claims": len(s.claims),
            }
            for s in studies
        ]  # fmt: skip
        typer.echo(json.dumps(rows, indent=1))
        return
    for s in studies:
        typer.secho(s.slug, bold=True, nl=False)
        typer.echo(f"  {s.title}  (quick about {s.minutes['quick']:g} min)\n    {s.question}")


@app.command()
def show(study: Name) -> None:
    """The fields of a study with their bounds and sizes, and its claims."""
    with bad_input():
        entry = find(study)
        sizes = {size: entry.size_params(size).model_dump() for size in SIZES}
    s = entry.study
    typer.secho(s.title, bold=True)
    typer.echo(f"{s.question}\nPaper: {s.paper}")
    typer.echo("Minutes: " + ", ".join(f"{size} {s.minutes[size]:g}" for size in SIZES))
    typer.secho("\nParameters", bold=True)
    for name, field in s.params.model_fields.items():
        unit = (field.json_schema_extra or {}).get("unit")  # type: ignore[union-attr]
        typer.secho(f"  {name}", bold=True, nl=False)
        typer.echo(f"  {_by_size({size: sizes[size][name] for size in SIZES})}")
        typer.echo(f"    {field.description}{f' [{unit}]' if unit else ''}; {allowed(field)}")
    typer.secho("\nClaims", bold=True)
    for claim in s.claims:
        typer.echo(f"  {claim.statement}\n    from: {claim.source}; held if {claim.criterion}; needs n >= {claim.min_n}")


def _by_size(values: dict[str, object]) -> str:
    """The values of a parameter at every size, or the one value they share."""
    texts = {size: ", ".join(map(str, v)) if isinstance(v, list) else str(v) for size, v in values.items()}
    same = len(set(texts.values())) == 1
    return texts["quick"] if same else " | ".join(f"{size}: {text}" for size, text in texts.items())


@app.command()
def run(
    studies: Annotated[list[str] | None, typer.Argument(metavar="STUDY...")] = None,
    every: Annotated[bool, typer.Option("--all", help="every study")] = False,
    size: Size = "quick",
    param: Pairs = None,
    file: ParamFile = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="runs at a time; the cores are shared out")] = 1,
    force: Annotated[bool, typer.Option("--force", help="run again even where the same work is finished")] = False,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="a Dask scheduler for the studies' own parts")] = None,
) -> None:
    """Run studies headless, record them, and redraw the gallery."""
    from lib.runs.job import Job

    if scheduler:
        os.environ["STUDIES_SCHEDULER"] = scheduler  # run.map in the notebook looks there

    with bad_input():
        names = list(slugs()) if every else list(studies or [])
        if not names:
            raise ParamError(f"STUDY: got none, allowed: --all, or some of {', '.join(slugs())}")
        plan = [Job.of(name, _resolved(name, size, param, file), force) for name in dict.fromkeys(names)]
    from lib.runs.launch import FAILED
    from lib.runs.live import run_with_display

    try:
        progress = run_with_display(plan, jobs, threads=1 if scheduler else None)  # as the workers compute: the same bits
    except KeyboardInterrupt:
        typer.echo("studies: stopped; finished runs are kept, the same command goes on with the rest", err=True)
        raise typer.Exit(130) from None
    _draw_gallery("Gallery: ")
    raise typer.Exit(1 if any(p.state == FAILED for p in progress) else 0)


def _draw_gallery(before: str = "") -> bool:
    """Redraw the gallery and say where it lies, or why it could not be drawn: runs are none the worse for it."""
    from lib.runs.gallery import build

    try:
        typer.echo(f"{before}{build()}")
    except OSError as error:
        typer.echo(f"studies: the gallery could not be drawn: {error.strerror or error}", err=True)
        return False
    return True


def _resolved(name: str, size: str, param: list[str] | None, file: Path | None) -> StudyParams:
    return resolve(find(name), size, _pairs(param), read_yaml(file) if file else None)


@app.command()
def sweep(
    study: Name,
    grid: Annotated[list[str] | None, typer.Option("-g", "--grid", metavar="NAME=VALUES", help="seed=0:64, width=16,32")] = None,
    size: Size = "quick",
    param: Pairs = None,
    file: ParamFile = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="runs at a time on this machine; default: its cores")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="threads of each run; default: 1")] = None,
    engine: Annotated[Engine, typer.Option("--engine", help="dask, or threads of this process")] = Engine.dask,
    scheduler: Annotated[str | None, typer.Option(metavar="ADDRESS", help="a Dask scheduler to use")] = None,
    slurm: Annotated[Path | None, typer.Option(metavar="FILE", help="ask Slurm for workers; see params/slurm.yaml")] = None,
    max_minutes: Annotated[float | None, typer.Option("--max-minutes", min=0.01, help="wall time that a run may take")] = None,
    max_memory: Annotated[float | None, typer.Option("--max-memory", min=1, help="MiB that a run's kernel may use")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="show the plan and stop")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="also start a very large grid")] = False,
) -> None:
    """Run a study over a grid of parameters and seeds. The same command resumes where an earlier one stopped."""
    with bad_input():
        if scheduler and slurm:
            raise ParamError("--slurm: got it together with --scheduler, allowed: one of them")
        if (scheduler or slurm) and engine == Engine.local:
            raise ParamError("--engine: got local, allowed: dask, as --scheduler and --slurm need it")
        if slurm and threads:
            raise ParamError(f"--threads: got {threads} together with --slurm, allowed: cores and runs_per_job in {slurm}")
        from lib.runs.sweeps import command, planning

        limits = {"max_seconds": max_minutes and 60 * max_minutes, "max_memory_mb": max_memory}
        base = read_yaml(file) if file else None
        planned = planning.plan(study, size, grid or [], _pairs(param), base, limits, yes)
        where = command.Where(engine.value, jobs, threads or 1, scheduler, slurm)
        try:
            code = command.run(planned, where, dry)
        except KeyboardInterrupt:
            typer.echo("studies: stopped; finished runs are kept, the same command goes on with the rest", err=True)
            raise typer.Exit(130) from None
    if not dry:
        _draw_gallery("Gallery: ")
    raise typer.Exit(code)


@app.command()
def replay(
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run id, its first characters, or the path of a run folder")],
) -> None:
    """Run a stored run again with today's code and say, metric by metric, whether the numbers are the same."""
    from lib.runs.replay import replay as replayed

    try:
        with bad_input():
            same = replayed(run)
    except KeyboardInterrupt:
        typer.echo("studies: stopped; the stored run is as it was", err=True)
        raise typer.Exit(130) from None
    raise typer.Exit(0 if same else 1)


@app.command()
def gallery() -> None:
    """Redraw outputs/index.html from the stored results."""
    raise typer.Exit(0 if _draw_gallery() else 1)


@app.command()
def lab(study: Annotated[str | None, typer.Argument(metavar="STUDY")] = None) -> None:
    """Open JupyterLab, at a study's notebook where one is named."""
    with bad_input():
        target = find(study).notebook if study else find(slugs()[0]).home / "notebooks"
    os.chdir(target.parent if study else target)
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    quiet = "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *quiet, *root, *([target.name] if study else [])])


@app.command()
def demo(study: Name, port: Annotated[int, typer.Option(min=1, max=65535)] = 8866) -> None:
    """Serve a study as a page with live explorers and without code (Voila)."""
    with bad_input():
        notebook = find(study).notebook
    words = "-m", "voila", str(notebook), f"--port={port}", "--strip_sources=True", "--show_tracebacks=True"
    os.execv(sys.executable, [sys.executable, *words])


@app.command()
def doctor() -> None:
    """What is here: environment, devices, data, disk."""
    from lib.runs.doctor import report

    healthy = report()
    raise typer.Exit(0 if healthy else 1)


def main() -> None:
    """Entry point of the command `studies`."""
    app()


if __name__ == "__main__":
    main()
