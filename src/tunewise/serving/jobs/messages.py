"""What a job's child says while it works: notes of its progress, as lines of a file."""

from pathlib import Path

from tunewise.progress import Silent
from tunewise.serving.jobs.places import MESSAGES
from tunewise.storage import append_lines, shortened


class Messages(Silent):
    """A progress that keeps its notes, paths in them written from the job's folders.

    Args:
        run: folder that the file lies in.
        project: of the job.
    """

    def __init__(self, run: Path, project: Path) -> None:
        self._file, self._folders = run / MESSAGES, (run.absolute(), project.absolute())

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        append_lines(self._file, [{"message": shortened(text, *self._folders)}])
