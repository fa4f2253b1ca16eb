"""Gives a run's winner, or what was trained, a name and a version.

The same run's contender is published once: whoever asks again gets the version that it became.
"""

import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tunewise import __version__
from tunewise.errors import UserError
from tunewise.exporting.bundle import (
    Bundle,
    copy_bundle,
    read_bundle,
    seal_bundle,
    write_files,
)
from tunewise.exporting.model_card import model_card
from tunewise.models.sources import licence_of
from tunewise.models.stored import adapter_hash
from tunewise.pipelines.bundling import bundle_of_run
from tunewise.pipelines.run_rows import measured_contender
from tunewise.progress import Progress
from tunewise.runs.folder import QUICK, RUNS, TRAINED, list_runs, run_token
from tunewise.runs.made_from import base_of
from tunewise.runs.model_file import MODEL_FILE, BaseUsed, ModelFile, Origin, Said
from tunewise.runs.model_names import safe_model_name
from tunewise.runs.read import read_verdict
from tunewise.runs.registry import Registry, Version
from tunewise.runs.registry_file import Lineage
from tunewise.runs.trained import read_training
from tunewise.storage import file_sha256


def publish(
    source: Path,
    *,
    name: str | None = None,
    contender: str | None = None,
    known_as: str = "",
    registry: Registry,
    progress: Progress,
) -> Version:
    """Makes the next version of a model from a run of `decide` or `train`, or from the folder of a
    model, such as an exported prompt.

    Args:
        source: the folder.
        name: of the model; None: that of the project's folder, or of a model's own, made safe.
        contender: of the run; None: the one that is recommended.
        known_as: another name that means the version for good; empty: none.
        registry: where it goes.
        progress: told what a person should know.

    Raises:
        UserError: no finished run, no such contender, or it cannot be made to ask as it did.
    """
    if (source / TRAINED).is_file():
        if contender is not None:
            raise UserError(f"{source}: is a training, which has no contenders. Leave that out.")
        return _publish_training(source, name, known_as, registry)
    if (source / MODEL_FILE).is_file():
        if contender is not None:
            raise UserError(f"{source}: is one model, which has no contenders. Leave that out.")
        return _publish_folder(source, name, known_as, registry)
    verdict = read_verdict(source)
    found = measured_contender(source, verdict, contender)
    token = run_token(source)
    chosen = name or _name_of(source)
    known = registry.made_of(chosen, token, found.name)
    if known is not None:
        return known

    def fill(folder: Path) -> Bundle:
        return bundle_of_run(source, folder, contender=found.name, progress=progress)

    return _published(chosen, fill, registry, known_as)


def publish_newest(
    project: Path, *, name: str | None = None, registry: Registry, progress: Progress
) -> Version:
    """Publishes what the newest finished run of a project recommends.

    Args:
        project: its folder, or its tunewise.toml.
        name: of the model; None: that of the folder, made safe.
        registry: where it goes.
        progress: told what a person should know.

    Raises:
        UserError: there is no such run, or `publish` refuses.
    """
    finished = [
        run
        for run in list_runs(project)
        if run.command == "decide" and run.state == "finished" and run.path.parent.name != QUICK
    ]
    if not finished:
        raise UserError(
            f"{project}: has no finished run under {RUNS}/. Run `tunewise decide {project}` first."
        )
    return publish(finished[0].path, name=name, registry=registry, progress=progress)


def publish_adapter(
    adapter: Path,
    *,
    name: str,
    base: BaseUsed,
    origin: Origin,
    contender: str = "fine_tune",
    verdict: Said | None = None,
    known_as: str = "",
    registry: Registry,
) -> Version:
    """Publishes what was trained elsewhere than in a run of `decide`: asked with the input alone.

    Args:
        adapter: in PEFT format, or a whole model.
        name: of the model.
        base: that it was trained from.
        origin: where it comes from; its token tells one training from another.
        contender: tells apart what one training left, such as its checkpoints.
        verdict: what is known of its worth.
        known_as: another name that means the version for good; empty: none.
        registry: where it goes.

    Raises:
        UserError: the registry cannot be written.
    """
    known = registry.made_of(name, origin.token, contender)
    if known is not None:
        return known
    model = ModelFile(
        contender=contender, kind="fine_tune", base=base, origin=origin, verdict=verdict
    )

    def fill(folder: Path) -> Bundle:
        write_files(folder, adapter=adapter)
        return seal_bundle(folder, model)

    return _published(name, fill, registry, known_as)


def _publish_training(folder: Path, name: str | None, known_as: str, registry: Registry) -> Version:
    training = read_training(folder)
    project = folder.resolve().parent.parent.name
    origin = Origin(
        project=project,
        run=folder.resolve().name,
        token=file_sha256(folder / TRAINED)[:16],
        tunewise=__version__,
    )
    base = BaseUsed(name=training.base, sha256=base_of(folder), licence=licence_of(training.base))
    return publish_adapter(
        folder / training.model,
        name=name or safe_model_name(project),
        base=base,
        origin=origin,
        known_as=known_as,
        registry=registry,
    )


def _publish_folder(source: Path, name: str | None, known_as: str, registry: Registry) -> Version:
    bundle, chosen = read_bundle(source), name or safe_model_name(source.resolve().name)
    bundle.check()
    sha256 = file_sha256(source / MODEL_FILE)
    same = (one for one in registry.content().versions if one.lineage.model == sha256)
    known = next((one for one in same if one.name == chosen), None)
    if known is not None:
        return known
    return _published(
        chosen, lambda folder: copy_bundle(bundle, folder), registry, known_as, token=sha256[:16]
    )


def _published(
    name: str,
    fill: Callable[[Path], Bundle],
    registry: Registry,
    known_as: str,
    *,
    token: str | None = None,
) -> Version:
    """Makes a version of what fills a folder.

    Args:
        token: tells its source from others; None: that of the run that it comes from.
    """
    with registry.staging() as folder:
        try:
            bundle = fill(folder)
        except OSError as error:
            raise UserError(
                f"{folder}: the model cannot be written: {error.strerror or error}. Free some disk "
                "space, or point TUNEWISE_HOME to a folder that you may write to."
            ) from error
        model = bundle.model
        lineage = Lineage(
            project=model.origin.project,
            data=model.origin.data,
            run=model.origin.run,
            token=token or model.origin.token,
            contender=model.contender,
            adapter=adapter_hash(bundle.adapter) if bundle.adapter else None,
            model=file_sha256(folder / MODEL_FILE),
            known_as=known_as,
        )
        return registry.add(
            name, folder, lineage=lineage, card=lambda title: model_card(model, title)
        )


def _name_of(run: Path) -> str:
    """Of the project's folder, which may be gone: its rows are not needed for that."""
    root: object = None
    with suppress(OSError, ValueError):
        root = tomllib.loads((run / "project.toml").read_text("utf-8")).get("root")
    folder = Path(root) if isinstance(root, str) else run.resolve().parent.parent
    return safe_model_name(folder.name)
