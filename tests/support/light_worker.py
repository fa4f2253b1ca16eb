"""A real worker whose children train nothing: `light_worker.py HOME URL DEVICE`."""

import signal
import sys
from pathlib import Path

import light_child
from tunewise.runs.registry import Registry
from tunewise.serving.jobs import worker as workers
from tunewise.serving.jobs.publish import RegistryPublisher
from tunewise.serving.jobs.service import open_jobs
from tunewise.serving.jobs.worker import Worker

LEASE_SECONDS = 1.0


def main() -> None:
    home, url, device = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    workers.POLL_SECONDS = 0.02
    jobs = open_jobs(home=home, database=url)
    worker = Worker(
        database=jobs.database,
        places=jobs.places,
        files=jobs.files,
        publisher=RegistryPublisher(Registry(home)),
        device=device,
        lease_seconds=LEASE_SECONDS,
        command=(sys.executable, light_child.__file__),
    )
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    worker.run()


if __name__ == "__main__":
    main()
