"""The process of one job: `python -m tunewise.serving.jobs.child WHAT PROJECT RUN PARENT`.

It ends with its worker, however that ends. A signal has it save its steps and end; what it came to
lies in the run folder's outcome.json, without which it did not come to an end.
"""

import json
import signal
import sys
from pathlib import Path
from types import FrameType

from tunewise.errors import UserError
from tunewise.interrupts import INTERRUPTED, TERMINATED, end_with_parent, ends_in_time, leave
from tunewise.serving.jobs.messages import Messages
from tunewise.serving.jobs.outcome import Outcome, read_outcome, write_outcome
from tunewise.serving.jobs.places import VALIDATE
from tunewise.serving.jobs.project_files import ASKED
from tunewise.serving.jobs.records import JobFault
from tunewise.serving.jobs.validation import fault_of, validate
from tunewise.storage import NO_SPACE

TRAINING_FAILED = "training_failed"
DISK_FULL = "The disk of the machine that trains is full. Free some space, and make the job again."


def main() -> None:
    """Does the job that the command line names."""
    what, project, run, parent = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    end_with_parent(int(parent))
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the worker, which says what to do
    try:
        with ends_in_time():
            if read_outcome(run) is None:  # else a worker was lost when all was done
                write_outcome(run, _done(what, project, run))
    except SystemExit as ended:
        if ended.code in (INTERRUPTED, TERMINATED):
            leave(ended.code)
        raise


def _done(what: str, project: Path, run: Path) -> Outcome:
    asked = json.loads((project.parent / ASKED).read_text("utf-8"))
    run.mkdir(parents=True, exist_ok=True)
    progress = Messages(run, project)
    if what == VALIDATE:
        return validate(project, asked["kind"], progress)
    from tunewise.serving.jobs.training import work  # noqa: PLC0415 - brings torch

    try:
        return work(project, run, asked, progress)
    except UserError as error:
        return Outcome(fault=fault_of(error, project, code=TRAINING_FAILED))
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        return Outcome(fault=JobFault(code="disk_full", message=DISK_FULL))


def _stop(signum: int, frame: FrameType | None) -> None:
    """Unwinds, so that a training writes down the steps it has done."""
    sys.exit(TERMINATED)


if __name__ == "__main__":
    main()
