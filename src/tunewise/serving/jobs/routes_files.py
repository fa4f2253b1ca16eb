"""`/v1/files`: uploads, and what jobs leave behind."""

import errno
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
from tunewise.serving.jobs.uploads import Upload, read_upload

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def files_router(files: FileStore) -> APIRouter:
    """The routes of files.

    Args:
        files: where they are kept.
    """
    router = APIRouter(prefix="/v1/files", tags=["files"], dependencies=[needs("jobs")])

    @router.post("")
    async def create(request: Request) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Uploads a file: a form with `file` and `purpose`."""
        await run_in_threadpool(files.check_room)
        try:
            folder = files.incoming / new_id("upload-")
            upload = await read_upload(request, folder, max_bytes=files.max_bytes)
            stored = await run_in_threadpool(_stored, files, upload)
        except OSError as error:
            if error.errno not in _NO_SPACE:
                raise
            raise ApiError(
                507, "The disk of the server is full: the file was not kept.", code="disk_full"
            ) from error
        return file_body(stored)

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


def _stored(files: FileStore, upload: Upload) -> StoredFile:
    try:
        path, purpose = _checked(upload)
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


def _missing(file: str) -> ApiError:
    return ApiError(404, f"There is no file {file}.", param="file_id", code="file_not_found")
