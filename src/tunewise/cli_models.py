"""`tunewise models`: parses and calls, as `cli` does for the other commands."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tunewise.cli_options import AsJson, print_json, progress_bars

if TYPE_CHECKING:
    from tunewise.runs.registry import Registry

models_app = typer.Typer(
    help="Base models on this machine, and models with a name that were made of runs.",
    no_args_is_help=True,
)

Named = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="As in triage@3, triage@production or triage."),
]
AliasId = Annotated[str, typer.Argument(metavar="NAME@ALIAS", help="As in triage@production.")]


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """Lists the base models that are prepared on this machine, and all versions."""
    from tunewise.models.prepared import list_models

    bases, content = list_models(), _registry().content()
    if as_json:
        known = [{"name": one.name, "path": str(one.folder), "kind": "base"} for one in bases]
        versions: list[dict[str, object]] = []
        if content.versions:
            from tunewise.report.models import version_objects

            versions = version_objects(content)
        print_json([*known, *versions])
        return
    for base in bases:
        typer.echo(f"{base.name}  {base.megabytes:.0f} MB  {base.folder}")
    if not bases:
        typer.echo("No model is prepared yet: `tunewise models pull NAME` does it.")
    if content.versions:
        from tunewise.exporting.bundle import models_of
        from tunewise.report.models import version_lines

        for line in version_lines(content, models_of(content.versions)):
            typer.echo(line)


@models_app.command("add")
def models_add(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A finished run or training, or the folder of an exported prompt."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Of the model; default: the project's folder.")
    ] = None,
    contender: Annotated[
        str | None, typer.Option(help="Of the run; default: the recommended one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Makes what a run recommends the next version of a model, as a copy of its own."""
    from tunewise.pipelines.publish import publish

    version = publish(
        run, name=name, contender=contender, registry=_registry(), progress=progress_bars()
    )
    if as_json:
        print_json({"name": version.id, "path": str(version.folder)})
    else:
        typer.echo(f"{version.id}: {version.folder}")


@models_app.command("pull")
def models_pull(name: Annotated[str, typer.Argument(help="Catalog name, hub id or path.")]) -> None:
    """Fetches and prepares a base model now rather than at its first use."""
    from tunewise.models.catalog import open_model

    model = open_model(name, progress=progress_bars())
    typer.echo(f"{model.name}: {model.folder}")


@models_app.command("show")
def models_show(
    name: Annotated[
        str, typer.Argument(help="A version or alias; or a catalog name, hub id or path.")
    ],
) -> None:
    """Shows what is known of a model, preparing it if it is a base and need be."""
    registry = _registry()
    if registry.holds(name):
        from tunewise.exporting.bundle import read_bundle
        from tunewise.report.models import model_lines

        version, content = registry.resolve(name), registry.content()
        bundle = read_bundle(version.folder)
        bundle.check()
        history = registry.history(version.name)
        typer.echo("\n".join(model_lines(version, bundle.model, content, history)))
        return
    from tunewise.models.catalog import open_model

    model = open_model(name, progress=progress_bars())
    typer.echo(f"{model.name}\n  family   {model.family}\n  context  {model.context_tokens} tokens")
    typer.echo(f"  folder   {model.folder}\n  gguf     {model.gguf or model.no_gguf}")


@models_app.command("rm")
def models_rm(
    name: Annotated[str, typer.Argument(help="A name that `models list` shows.")],
) -> None:
    """Deletes a prepared base model, a version that no alias points to, or an alias."""
    registry = _registry()
    if registry.holds(name):
        typer.echo(registry.remove_named(name))
        return
    from tunewise.models.prepared import remove_model

    remove_model(name)
    typer.echo(f"Deleted {name}.")


@models_app.command("alias")
def models_alias(
    alias: AliasId,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="As in triage@3, or 3 alone.")],
) -> None:
    """Points an alias to a version. Servers load it, and follow without a restart."""
    typer.echo(_registry().point(alias, version).sentence)


@models_app.command("rollback")
def models_rollback(alias: AliasId) -> None:
    """Points an alias to the version that it pointed to before."""
    typer.echo(_registry().roll_back(alias).sentence)


@models_app.command("diff")
def models_diff(a: Named, b: Named, as_json: AsJson = False) -> None:
    """Shows in what two models differ."""
    from tunewise.exporting.bundle import read_bundle
    from tunewise.report.models import diff_lines, diff_models

    registry = _registry()
    one, other = registry.resolve(a), registry.resolve(b)
    diff = diff_models(
        one.id, read_bundle(one.folder).model, other.id, read_bundle(other.folder).model
    )
    if as_json:
        print_json(asdict(diff))
    else:
        typer.echo("\n".join(diff_lines(diff)))


def _registry() -> "Registry":
    from tunewise.runs.registry import Registry

    return Registry(note=lambda said: typer.echo(said, err=True))
