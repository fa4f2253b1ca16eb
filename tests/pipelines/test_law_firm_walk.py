"""What an engineer of a law firm does with 240 rows exported as CSV, command by command.

Six spellings of two labels, repeated clauses, rows without an answer, a `sep=` line: the whole way
from `init` to a verdict, by the real command line. An endpoint on this machine is the model.
"""

import csv
import io
import json
import random
import re
from pathlib import Path

import pytest

from chat_endpoint import Endpoint, Reply, completion
from command_line import Done, tunewise
from decide_projects import contract_faults, read_json
from tunewise.project.load import load_project

YES = ("Yes", "Yes", "Yes", "yes", "YES")
NO = ("No", "No", "No", "no", "NO")
HEADER = ("Matter", "Clause", "Reviewed by", "Liability capped?")
BLANK = 6
"""Rows whose answer nobody has filled in."""

_PARTIES = ("the Supplier", "the Licensor", "either party", "the Contractor", "the Lessor")
_CAPS = (
    "the fees paid in the twelve months before the claim",
    "EUR {n},000 in the aggregate",
    "one hundred and fifty per cent of the annual charges",
    "the amount recovered under the insurance policy of schedule {n}",
)
_OPEN = (
    "shall indemnify the other against all losses arising out of its breach of clause {n}",
    "remains liable without limit for damage caused by gross negligence under clause {n}",
    "shall make good any loss of the Customer within {n} working days of written notice",
    "accepts responsibility for the acts of its {n} subcontractors as for its own",
)
_ENDS = (
    "This clause survives termination of the agreement of {d} March.",
    "Nothing in schedule {n} affects the statutory rights of a consumer.",
    "The governing law is that of the place named in item {d} of the order form.",
    "Notices under this clause go to the address in annex {n}, marked {d}.",
)


def clauses(rng: random.Random) -> list[tuple[str, str, str, str]]:
    """(matter, clause, reviewer, answer), 240 rows; every ninth clause repeats an earlier one."""
    rows: list[tuple[str, str, str, str]] = []
    for number in range(240):
        if number % 9 == 8:
            _, text, _, answer = rng.choice(rows)
            capped = answer.casefold() == "yes"
        else:
            capped = rng.random() < 0.55
            middle = (
                f"shall not be liable beyond {rng.choice(_CAPS)}" if capped else rng.choice(_OPEN)
            )
            text = f"{rng.choice(_PARTIES)} {middle}. {rng.choice(_ENDS)}"
            text = text.format(n=rng.randint(2, 900), d=rng.randint(1, 28)).capitalize()
        label = rng.choice(YES if capped else NO)
        rows.append((f"M-{2019 + number // 60}-{number:04}", text, rng.choice("ABCD"), label))
    for number in rng.sample(range(240), BLANK):
        matter, text, by, _ = rows[number]
        rows[number] = (matter, text, by, "")
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "liability"
    path.mkdir()
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=";", lineterminator="\r\n")
    table.writerow(HEADER)
    table.writerows(clauses(random.Random(20)))
    (path / "export.csv").write_bytes(b"\xef\xbb\xbfsep=;\r\n" + text.getvalue().encode())
    return path


def use_repaired(folder: Path, said: str) -> None:
    """Does what `check --fix` told: puts the line that it printed into tunewise.toml."""
    line = re.search(r'examples = "[^"]*"', said)
    assert line is not None, said
    file = folder / "tunewise.toml"
    text = re.sub(r"(?m)^examples = .*$", lambda _: line.group(), file.read_text("utf-8"))
    file.write_text(text, "utf-8")


def capped(asked: dict) -> Reply:
    """A model that reads the clause: right but for every eleventh."""
    text = asked["messages"][-1]["content"]
    right = "not be liable beyond" in text
    return completion("Yes" if right != (len(text) % 11 == 0) else "No")


def test_from_an_export_to_a_verdict(folder: Path) -> None:
    done = tunewise("init", folder)
    assert done.code == 0, done.err
    project = load_project(folder)
    assert (project.data.input, project.data.output) == ("Clause", "Liability capped?")
    assert project.task.labels is None or sorted(project.task.labels) == ["No", "Yes"]
    assert "yes, " not in project.task.instruction
    assert "Yes" in project.task.instruction
    assert "YES" not in project.task.instruction

    checked = tunewise("check", folder, "--json")
    assert checked.code == 1  # the rows without an answer
    findings = json.loads(checked.out)
    assert [one["rule"] for one in findings["errors"]] == ["empty"] * BLANK
    assert all(re.search(r"export\.csv:\d+$", one["where"]) for one in findings["errors"])
    warned = [one for one in findings["warnings"] if one["rule"].startswith("label")]
    (spelling,) = warned
    assert spelling["rule"] == "label_spelling"
    for written in ('"NO"', '"no"', '"yes"', '"YES"', "--fix"):
        assert written in spelling["message"]

    repaired = folder / "repaired"
    fixed = tunewise("check", folder, "--fix", repaired)
    assert "under [data] of tunewise.toml" in fixed.out
    use_repaired(folder, fixed.out)
    rows = (repaired / "examples.jsonl").read_text("utf-8")
    assert not re.search(r'"(yes|YES|no|NO)"', rows)

    again = tunewise("check", folder)
    assert again.code == 0, again.out + again.err

    dry = tunewise("decide", folder, "--dry-run")
    assert dry.code == 0, dry.err
    assert "minutes" in dry.out
    assert "would be told with a chance of" in dry.out

    endpoint = Endpoint()
    endpoint.reply = capped
    decided: Done = tunewise(
        "decide", folder, "--contenders", "constant,zero_shot,few_shot",
        "--set", "model.engine=openai", "--set", f"model.base_url={endpoint.url}",
    )  # fmt: skip
    assert decided.code == 0, decided.err
    (run,) = (folder / "runs").glob("*/verdict.json")
    verdict = read_json(run)
    assert contract_faults(verdict) == []
    constant = next(one for one in verdict["contenders"] if one["name"] == "constant")
    assert constant["quality"]["value"] < 0.75
    assert not re.search(r"\bNO\b", decided.out.replace("NO BETTER", ""))

    brief = tunewise("report", run.parent, "--brief")
    assert brief.code == 0
    assert brief.out.count(". ") + brief.out.count(".\n") >= 3
