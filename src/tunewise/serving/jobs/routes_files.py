"""`/v1/files`: uploads, and what jobs leave behind."""

from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from tunewise.serving.http.access import needs
from tunewise.serving.http.errors import ApiError
from tunewise.serving.jobs.files import FileStore
from tunewise.serving.jobs.paging import Cursor
from tunewise.serving.jobs.records import TRAINING, StoredFile, new_id
from tunewise.serving.jobs.responses import Json, file_body, list_body
from tunewise.serving.jobs.storing import StoringRoute
from tunewise.serving.jobs.uploads import Upload, read_upload

MAX_FILES = 10_000
"""Files kept at once."""
MAX_ROWS = 1_000_000
"""Lines of an upload: what `tunewise check` is known to get through."""
_CHUNK = 2**20
_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": "JSON lines."},
                    "purpose": {"type": "string", "enum": [TRAINING]},
                },
                "required": ["file", "purpose"],
                "additionalProperties": False,
            }
        }
    },
}
"""What `read_upload` takes, as OpenAPI writes it: FastAPI does not see it."""


def files_router(files: FileStore) -> APIRouter:
    """The routes of files.

    Args:
        files: where they are kept.
    """
    router = APIRouter(
        prefix="/v1/files",
        tags=["files"],
        dependencies=[needs("jobs")],
        route_class=StoringRoute,
    )

    @router.post("", openapi_extra={"requestBody": _FORM})
    async def create(request: Request) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Uploads a file: a form with `file` and `purpose`."""
        await run_in_threadpool(_check_room, files)
        folder = files.incoming / new_id("upload-")
        upload = await read_upload(request, folder, max_bytes=files.max_bytes)
        return file_body(await run_in_threadpool(_stored, files, upload))

    @router.get("")
    def listed(  # pyright: ignore[reportUnusedFunction]
        purpose: str | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
        order: Literal["asc", "desc"] = "desc",
    ) -> Json:
        """All files, the newest first."""
        cursor = Cursor(after=after, limit=limit, ascending=order == "asc")
        return list_body(files.page(cursor, purpose=purpose), file_body)

    @router.get("/{file_id}")
    def one(file_id: str) -> Json:  # pyright: ignore[reportUnusedFunction]
        """What is known of a file."""
        return file_body(found_file(files, file_id))

    @router.delete("/{file_id}")
    def delete(file_id: str) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Deletes a file. Jobs that use it have a copy of their own."""
        if not files.delete(file_id):
            raise _missing(file_id)
        return {"id": file_id, "object": "file", "deleted": True}

    @router.get("/{file_id}/content")
    def content(file_id: str) -> FileResponse:  # pyright: ignore[reportUnusedFunction]
        """Its bytes."""
        stored = found_file(files, file_id)
        return FileResponse(
            files.path(stored.id),
            media_type="application/octet-stream",
            filename=stored.filename,
        )

    return router


def found_file(files: FileStore, file: str) -> StoredFile:
    """The file of an id. Raises ApiError: 404."""
    stored = files.find(file)
    if stored is None:
        raise _missing(file)
    return stored


def _check_room(files: FileStore) -> None:
    kept = files.count()
    if kept >= MAX_FILES:
        raise ApiError(
            413,
            f"{kept:,} files are kept here, and more are not taken. Delete some first.",
            param="file",
            code="too_many_files",
        )


def _stored(files: FileStore, upload: Upload) -> StoredFile:
    try:
        path, purpose = _checked(upload)
        rows = _lines_of(path)
        if rows > MAX_ROWS:
            raise ApiError(
                413,
                f"file: has {rows:,} lines, more than the {MAX_ROWS:,} that a job learns from. "
                "Upload some of them.",
                param="file",
                code="too_many_rows",
            )
        return files.add(path, filename=upload.filename, purpose=purpose)
    finally:
        upload.discard()


def _checked(upload: Upload) -> tuple[Path, str]:
    unknown = [name for name in upload.fields if name != "purpose"]
    if unknown:
        raise ApiError(
            400,
            f"{unknown[0]}: this server does not know it. Leave it out.",
            param=unknown[0],
            code="unsupported_parameter",
        )
    purpose = upload.fields.get("purpose")
    if purpose is None or upload.file is None:
        name = "file" if upload.file is None else "purpose"
        raise ApiError(400, f"{name}: is missing.", param=name, code="missing_required_parameter")
    if purpose != TRAINING:
        raise ApiError(
            400,
            f'purpose: "{purpose}" is none that this server has a use for. Send "{TRAINING}".',
            param="purpose",
            code="invalid_purpose",
        )
    return upload.file, purpose


def _lines_of(path: Path) -> int:
    with path.open("rb") as handle:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: handle.read(_CHUNK), b""))


def _missing(file: str) -> ApiError:
    return ApiError(404, f"There is no file {file}.", param="file_id", code="file_not_found")
