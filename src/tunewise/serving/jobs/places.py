"""Where the files of jobs lie below one folder, which all machines see that share a data base."""

from dataclasses import dataclass
from pathlib import Path

VALIDATE, TRAIN = "validate", "train"
"""What a job's child may be there for."""
PROJECT = "project"
RUN = "run-"
TRAINING_FILE, VALIDATION_FILE = "training.jsonl", "validation.jsonl"
TRAINING = "training"
"""In a run: the folder of the training, or of the run of `decide`."""
OUTCOME, MESSAGES = "outcome.json", "messages.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The folders of a server's jobs.

    Args:
        home: below which everything lies.
    """

    home: Path

    @property
    def files(self) -> Path:
        """Of uploads and results."""
        return self.home / "files"

    @property
    def locks(self) -> Path:
        """Of devices."""
        return self.home / "locks"

    def job(self, job: str) -> Path:
        """All that belongs to one job. The id comes from `new_id` or the table."""
        return self.home / "work" / job

    def project(self, job: str) -> Path:
        """With its data and tunewise.toml."""
        return self.job(job) / PROJECT

    def log(self, job: str) -> Path:
        """What its processes wrote to stdout and stderr."""
        return self.job(job) / "log.txt"

    def check(self, job: str, token: int) -> Path:
        """Where the holder of a token checks the data."""
        return self.job(job) / f"check-{token}"

    def run(self, job: str, token: int) -> Path:
        """Where the holder of a token works.

        It takes over what the holder before it left, whose writes go nowhere from then on.
        """
        own = self.job(job) / f"{RUN}{token}"
        earlier = [one for one in self.runs(job) if _token(one) < token]
        if earlier and not own.exists():
            earlier[-1].rename(own)
        return own

    def runs(self, job: str) -> list[Path]:
        """Of all holders, the newest last."""
        found = [one for one in self.job(job).glob(f"{RUN}*") if _token(one) >= 0]
        return sorted(found, key=_token)


def _token(folder: Path) -> int:
    number = folder.name.removeprefix(RUN)
    return int(number) if number.isdigit() else -1
