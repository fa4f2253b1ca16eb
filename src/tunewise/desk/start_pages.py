"""Where a project begins: files that are dropped, or a folder that is named."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from starlette.responses import RedirectResponse

from tunewise.desk.pages import NotThereError, page
from tunewise.desk.places import PROJECT_FILE, Places, id_of
from tunewise.desk.uploads import MAX_BYTES, MAX_FILES, Dropped, new_project, project_name
from tunewise.errors import UserError
from tunewise.pipelines.init.start import start_project
from tunewise.project.examples import copy_example, examples
from tunewise.serving.http.sessions import PAGES, UPLOAD

_Text = Annotated[str, Form(max_length=500)]


class StartPages:
    """The page, and what it sends.

    Args:
        places: under which projects lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        start = f"{PAGES}/start"
        router.add_api_route(start, self.show, response_class=Response)
        router.add_api_route(UPLOAD, self.upload, methods=["POST"], response_class=Response)
        router.add_api_route(
            f"{start}/folder", self.name_folder, methods=["POST"], response_class=Response
        )
        router.add_api_route(
            f"{start}/example", self.copy, methods=["POST"], response_class=Response
        )

    def show(self, request: Request) -> Response:
        """Both ways to begin."""
        return page(
            request,
            "start.html",
            title="New project",
            here="start",
            folders=[str(folder) for folder in self._places.folders],
            upload=UPLOAD,
            max_bytes=MAX_BYTES,
            max_files=MAX_FILES,
        )

    def upload(
        self,
        files: Annotated[list[UploadFile], File()],
        name: _Text = "",
        place: Annotated[int, Form(ge=0)] = 0,
    ) -> Response:
        """Puts files into a new folder below a known one, and begins a project of them."""
        dropped = [
            Dropped(name=file.filename, content=file.file, size=file.size or 0)
            for file in files
            if file.filename
        ]
        if not dropped:
            raise UserError("No file was chosen.")
        if place >= len(self._places.folders):
            raise UserError("There is no such place any more. Load the page again.")
        parent = self._places.folders[place]
        return self._begun(new_project(parent, project_name(name, dropped), dropped))

    def name_folder(self, folder: _Text) -> Response:
        """Begins a project of a folder that lies below a known one."""
        found = self._inside(folder.strip())
        if not (found / PROJECT_FILE).is_file():
            start_project(found)
        return self._begun(found)

    def copy(self, example: _Text) -> Response:
        """Begins a project as a copy of an example, below the first known place."""
        known = {one.name for one in examples()}
        if example not in known:
            raise NotThereError("There is no such example.")
        return self._begun(copy_example(example, self._places.folders[0] / example).folder)

    def _inside(self, named: str) -> Path:
        """A folder by the name that a person typed.

        Raises:
            UserError: it lies elsewhere, or is no folder.
        """
        if not named or "\0" in named:
            raise UserError("Name a folder.")
        for place in self._places.folders:
            found = (place / named).resolve()
            if found.is_relative_to(place) and found.is_dir():
                return found
        known = ", ".join(str(place) for place in self._places.folders)
        raise UserError(
            f"{named}: is no folder below {known}. Copy your files there, or start the page with "
            "that folder, as in `tunewise ui FOLDER`."
        )

    def _begun(self, folder: Path) -> Response:
        self._places.found(fresh=True)
        return RedirectResponse(f"{PAGES}/projects/{id_of(folder)}/data", 303)
