"""A run whose few_shot was shown a passage of a document."""

import json
from pathlib import Path

from example_run import write_run
from tunewise.data.documents.document import whole_text
from tunewise.data.documents.read import read_documents
from tunewise.runs.made_from import text_hash

ANSWERS = {"fine_tune": "Two years.", "few_shot": "Dear customer, two years."}


def write_run_with_passages(project: Path) -> Path:
    """A project with a document, and a run of it."""
    documents = project / "docs"
    documents.mkdir()
    (documents / "tents.md").write_text(
        "# Tents\n\nThe guarantee is two years. Call +49 170 1234567.\n"
    )
    (project / "rows.jsonl").write_text("{}\n")
    (project / "tunewise.toml").write_text('[data]\nexamples = "rows.jsonl"\ndocuments = "docs"\n')
    run = write_run(project / "runs" / "first", answers=ANSWERS, n_test=30)
    verdict = json.loads((run / "verdict.json").read_text())
    for one in verdict["contenders"]:
        if one["name"] == "few_shot":
            one["fit"]["settings"] |= {"k": 1, "chunk_words": 120}
    (run / "verdict.json").write_text(json.dumps(verdict))
    lines = [json.loads(line) for line in (run / "answers.jsonl").read_text().splitlines()]
    for line in lines:
        line["passages"] = ["tents.md#1"] if line["contender"] == "few_shot" else []
    (run / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    [document] = read_documents(documents)
    kept = {
        "items": {"docs": [[document.name, text_hash(whole_text(document).text), ""]]},
        "unit": {"docs": "document"},
    }
    (run / "made-from.json").write_text(json.dumps(kept))
    (run / "project.toml").write_text(f"root = {json.dumps(str(project))}\n")
    (run / "splits.json").write_text("{}")
    return run
