"""`tunewise export` on one page: a source, an artefact beside its place, a comparison, the place.

What does not answer as its source does never stands at its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from safetensors import SafetensorError

from tunewise.errors import UserError, first_line
from tunewise.exporting.adapter import trained_of, write_adapter
from tunewise.exporting.gguf import precision_named, write_gguf_folder
from tunewise.exporting.llamacpp import MISSING, LlamaCppReader, has_llamacpp
from tunewise.exporting.merged import write_merged
from tunewise.exporting.ollama import system_of, write_modelfile
from tunewise.exporting.parity import Comparison
from tunewise.exporting.prompt import compare_prompts, strategy_of, write_prompt
from tunewise.exporting.readers import OpenVinoReader, Reader, TransformersReader
from tunewise.exporting.source import COMPARED, Source
from tunewise.models.gguf import GgufPrecision, unread_by_openvino
from tunewise.models.prepared import safe_name
from tunewise.pipelines.export_source import SourceOpener
from tunewise.progress import Progress
from tunewise.runs.exported import EXPORTS, PARITY, EngineParity, Form, Parity, write_parity
from tunewise.runs.registry import Registry
from tunewise.storage import file_sha256, replaced_folder

_WEIGHTS_ALONE = "opens GGUF files, not this folder; --to gguf compares it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """An export at its place."""

    folder: Path
    parity: Parity


class DiffersError(UserError):
    """What was written does not answer as its source does, and is gone again.

    Args:
        parity: what was found.
    """

    def __init__(self, parity: Parity) -> None:
        faults = "\n".join(f"  {fault}" for fault in parity.faults)
        super().__init__(
            f"{parity.model}: as {parity.to} it is not what it was, and was not kept:\n{faults}\n"
            "Choose another form, or allow more with --margin where only quality is lost."
        )
        self.parity = parity


def run_export(
    named: str,
    to: str,
    *,
    progress: Progress,
    out: Path | None = None,
    precision: str = "q8_0",
    base: str | None = None,
    margin: float | None = None,
    registry: Registry | None = None,
) -> Exported:
    """Writes a model in another form, compared with what it was.

    Args:
        named: a run, `RUN:CONTENDER`, a training, the folder of an adapter or of a model, or a
            model with a name: `triage@3`, `triage@production`.
        to: one of `Form`.
        progress: informed of what is being done.
        out: the folder; None: `exports/NAME-FORM` in the current folder.
        precision: of GGUF files: q8_0 or f16.
        base: see `SourceOpener`.
        margin: see `SourceOpener`.
        registry: of the models with a name, which notes what was made of one; None: the person's.

    Raises:
        DiffersError: it does not answer as its source does.
        UserError: there is no such model, it has no such form, or the folder cannot be written.
    """
    form = _form(to)
    kept_as = precision_named(precision)
    if margin is not None and not 0 <= margin <= 1:
        raise UserError("--margin: is a share between 0 and 1, as in 0.03.", exit_code=2)
    if out is not None:
        _refuse_taken(out)
    known = registry or Registry(note=progress.note)
    with TemporaryDirectory(prefix="tunewise-") as work:
        source = SourceOpener(
            base=base,
            margin=margin,
            weights=form != "prompt",
            registry=known,
            work=Path(work),
            progress=progress,
        ).open(named)
        place = out or Path(EXPORTS) / f"{safe_name(source.contender)}-{form}"
        _refuse_taken(place)
        _refuse_formless(source, form)
        try:
            with replaced_folder(place, name="export") as folder:
                parity = _filled(source, form, folder, kept_as, progress)
                if parity.faults:
                    raise DiffersError(parity)
                write_parity(folder, parity)
        except (OSError, SafetensorError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else None
            raise UserError(
                f"{place}: the export cannot be written: {why or first_line(error)}. Free some "
                "space, or name a folder you may write to with --out."
            ) from error
    if source.version is not None:
        files = sorted(place.glob("*.gguf"))
        known.note_export(
            source.version,
            to=parity.to,
            place=place.resolve(),
            sha256=file_sha256(files[0]) if files else None,
        )
    return Exported(folder=place, parity=parity)


def _form(to: str) -> Form:
    for form in get_args(Form):
        if to == form:
            return form
    raise UserError(f"--to: {to} is none of {', '.join(get_args(Form))}.", exit_code=2)


def _refuse_taken(place: Path) -> None:
    """Refuses a place where something else lies than an earlier export."""
    if place.exists() and not place.is_dir():
        raise UserError(f"{place}: is a file. Name a folder with --out.")
    if place.is_dir() and any(place.iterdir()) and not (place / PARITY).is_file():
        raise UserError(f"{place}: other files lie here. Name a new folder with --out.")


def _refuse_formless(source: Source, form: Form) -> None:
    """Refuses what this source cannot be written as, before anything is computed."""
    strategy_of(source)
    if form == "prompt":
        return
    if form == "ollama":
        system_of(source)
    else:
        trained_of(source)
    assert source.local  # noqa: S101 - raises for a base behind an endpoint


def _filled(
    source: Source, form: Form, folder: Path, precision: GgufPrecision, progress: Progress
) -> Parity:
    """Fills the folder and compares it."""
    if form == "prompt":
        write_prompt(source, folder)
        return _parity(source, form, (compare_prompts(source, folder),))
    if source.adapter is not None and source.looks_up:
        progress.note(
            f"{source.contender} is asked with passages that are found for each input: whoever "
            "asks the export has to put them before the question. `tunewise serve` does it."
        )
    readers: dict[str, Callable[[], Reader] | str]
    local, thinking = source.local, source.thinking_tokens
    with progress.task(f"writing {form}", total=1) as advance:
        if form == "adapter":
            write_adapter(source, folder)
            readers = {
                "transformers": lambda: TransformersReader(local, folder, thinking_tokens=thinking),
                "openvino": local.no_gguf
                or (lambda: OpenVinoReader(local, folder, thinking_tokens=thinking)),
                "xllamacpp": _WEIGHTS_ALONE,
            }
        elif form == "merged":
            work = folder.parent / "merged"
            write_merged(source, work)
            for file in work.iterdir():
                file.rename(folder / file.name)
            model = replace(local, folder=folder, gguf=None, no_gguf="a folder of safetensors")
            readers = {
                "transformers": lambda: TransformersReader(model, thinking_tokens=thinking),
                "openvino": _WEIGHTS_ALONE,
                "xllamacpp": _WEIGHTS_ALONE,
            }
        else:
            work = folder.parent / safe_name(source.contender)
            file = write_gguf_folder(
                source, folder, work, precision=precision, base_too=form == "ollama"
            )
            if form == "ollama":
                write_modelfile(source, folder, file)
            readers = _of_gguf(source, file, work)
        advance(1)
    comparison = Comparison(source, progress)
    found = [_through(comparison, engine, reader) for engine, reader in readers.items()]
    if all(one.left_out for one in found):
        reasons = "; ".join(f"{one.engine}: {one.left_out}" for one in found)
        raise UserError(f"{source.named}: nothing here opens the export to compare it: {reasons}")
    what = f"{form} {precision}" if form in ("gguf", "ollama") else form
    return _parity(source, what, tuple(found), comparison)


def _of_gguf(source: Source, file: Path, work: Path) -> dict[str, Callable[[], Reader] | str]:
    """Who opens a GGUF file, or why not."""
    model = replace(source.local, folder=work, gguf=file, no_gguf=None)
    thinking = source.thinking_tokens
    unread = unread_by_openvino(work, file)
    return {
        "openvino": unread or (lambda: OpenVinoReader(model, thinking_tokens=thinking)),
        "xllamacpp": (
            lambda: LlamaCppReader(
                file, work, context_tokens=model.context_tokens, thinking_tokens=thinking
            )
        )
        if has_llamacpp()
        else MISSING,
    }


def _through(
    comparison: Comparison, engine: str, reader: Callable[[], Reader] | str
) -> EngineParity:
    """The artefact through one engine, or why not."""
    if isinstance(reader, str):
        return EngineParity(engine=engine, left_out=reader)
    return comparison.through(reader())


def _parity(
    source: Source,
    to: str,
    engines: tuple[EngineParity, ...],
    comparison: Comparison | None = None,
) -> Parity:
    return Parity(
        model=source.named,
        to=to,
        base=source.base_name,
        base_sha256=source.base_sha256,
        prompts=comparison.prompts if comparison else len(source.held_out.rows[:COMPARED]),
        of=source.held_out.of,
        too_long=comparison.too_long if comparison else 0,
        metric=comparison.metric if comparison else "the messages sent",
        margin=source.margin,
        engines=engines,
    )
