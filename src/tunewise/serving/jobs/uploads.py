"""Reads a form with one file as it arrives: the file goes to the disk, never into memory."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, create_form_parser

from tunewise.serving.http.errors import ApiError

MAX_REST = 1 << 30
"""Bytes read on and thrown away of an upload that is refused, so that its client hears why."""
_MAX_FIELDS, _MAX_FIELD_BYTES = 16, 4096
_OVERHEAD = 65_536
"""Bytes of a form beside its file."""
_NAME_LENGTH = 255


@dataclass(kw_only=True)
class Upload:
    """A form that has arrived."""

    folder: Path
    """Its own, until it is discarded."""
    fields: dict[str, str] = field(default_factory=dict[str, str])
    file: Path | None = None
    """Where its file lies now; None: it has none."""
    filename: str = ""

    def discard(self) -> None:
        """Removes what is left of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


async def read_upload(request: Request, folder: Path, *, max_bytes: int) -> Upload:
    """Reads the whole form.

    Args:
        request: its body was not read.
        folder: a new one, in which the file goes; gone again if this raises.
        max_bytes: of the file.

    Raises:
        ApiError: it is no form, or too large (413).
        OSError: the disk is full. Nothing of it is left there.
    """
    upload, files = Upload(folder=folder), list[File]()

    def on_field(found: Field) -> None:
        name, value = found.field_name or b"", found.value or b""
        upload.fields[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")

    stream, size = request.stream(), 0
    try:
        folder.mkdir()
        parser = _parser(request, folder, on_field=on_field, on_file=files.append)
        async for chunk in stream:
            size += len(chunk)
            if size > max_bytes + _OVERHEAD:
                await _read_away(stream)
                raise _too_large(max_bytes)
            await run_in_threadpool(parser.write, chunk)
        await run_in_threadpool(parser.finalize)
        return _whole(upload, files, max_bytes)
    except FormParserError as error:
        upload.discard()
        raise ApiError(400, f"The body is no multipart form: {error}.") from error
    except BaseException:
        upload.discard()
        raise
    finally:
        for one in files:
            one.close()


def _parser(request: Request, folder: Path, *, on_field: object, on_file: object) -> FormParser:
    content_type = request.headers.get("content-type", "")
    try:
        if not content_type.startswith("multipart/form-data"):
            raise ValueError("its type is not multipart/form-data")
        return create_form_parser(
            {"Content-Type": content_type.encode("latin-1")},
            on_field,  # pyright: ignore[reportArgumentType] - closures above
            on_file,  # pyright: ignore[reportArgumentType]
            config={
                "UPLOAD_DIR": str(folder),
                "UPLOAD_DELETE_TMP": False,
                "MAX_MEMORY_FILE_SIZE": 0,
                "MAX_FIELDS": _MAX_FIELDS,
                "MAX_FIELD_SIZE": _MAX_FIELD_BYTES,
            },
        )
    except (ValueError, FormParserError) as error:
        raise ApiError(
            400, f"The body is no form: {error}. Send multipart/form-data with file and purpose."
        ) from error


def _whole(upload: Upload, files: list[File], max_bytes: int) -> Upload:
    """The upload with its file, of which there has to be one at most."""
    if len(files) > 1 or any(one.field_name != b"file" for one in files):
        raise ApiError(400, "file: send one file, in the field `file`.", param="file")
    for one in files:
        if one.size > max_bytes:
            raise _too_large(max_bytes)
        if one.in_memory:  # an empty one
            raise ApiError(400, "file: is empty.", param="file", code="empty_file")
        upload.file = _path(one)
        upload.filename = _plain_name((one.file_name or b"").decode("utf-8", "replace"))
    return upload


def _path(file: File) -> Path:
    return Path((file.actual_file_name or b"").decode())


def _plain_name(name: str) -> str:
    """A file's name without folders and what cannot be printed."""
    last = PureWindowsPath(name).name  # knows both slashes
    return "".join(c for c in last if c.isprintable())[:_NAME_LENGTH] or "upload"


def _too_large(max_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"file: is larger than {max_bytes / 1e6:,.0f} MB, which is the most that this server "
        "takes. Upload less, or start it with a higher limit.",
        param="file",
        code="file_too_large",
    )


async def _read_away(stream: AsyncIterator[bytes]) -> None:
    rest = 0
    async for chunk in stream:
        rest += len(chunk)
        if rest > MAX_REST:
            return
