"""Folders as people have them: exports with odd names, old versions, things that are no data."""

import csv
import io
import json
import random
from pathlib import Path

CATEGORIES = {
    "Delivery": ["parcel", "courier", "tracking", "dispatch", "customs", "doorstep"],
    "Refund": ["money", "refunded", "deposit", "cancelled", "statement", "postage"],
    "Defect": ["broken", "zip", "leaks", "flickers", "crack", "seam"],
    "Account": ["login", "password", "newsletter", "points", "locked", "merge"],
}
HEADER = (
    "Ticket ID", "Created at", "Customer ID", "Customer name", "Channel", "Subject", "Ticket text",
    "Assigned agent", "Suggested category", "Final category", "CSAT",
)  # fmt: skip
FILLER = (
    "please", "could", "you", "have", "a", "look", "since", "we", "waited", "nobody", "answered",
    "yet",
)  # fmt: skip


def tickets(count: int = 80, customers: int = 50) -> list[dict[str, str]]:
    """Rows of a help desk's export."""
    rng = random.Random(1)
    labels = list(CATEGORIES)
    rows: list[dict[str, str]] = []
    for n in range(count):
        label = rng.choice(labels)
        words = rng.sample(CATEGORIES[label], 3) + rng.sample(FILLER, 8)
        rng.shuffle(words)
        customer = rng.randrange(customers)
        values = (
            f"TCK-{20_000 + n}",
            f"{n % 28 + 1:02}.03.2025 {n % 24:02}:15",
            f"C-{1_000 + customer}",
            f"Customer Number{customer}",
            rng.choice(["email", "phone", "web form"]),
            " ".join(words[:3]) if rng.random() < 0.7 else "",
            f"Order {n}: {' '.join(words)}" + ("\n\nRegards" if n % 5 == 0 else ""),
            rng.choice(["m.rossi", "k.patel", "S. Lind"]),
            rng.choice(labels),
            label + " " * (n % 7 == 0),
            rng.choice(["", "1", "3", "5"]),
        )
        rows.append(dict(zip(HEADER, values, strict=True)))
    return rows


def write_table(path: Path, rows: list[dict[str, str]], *, delimiter: str = ",") -> Path:
    """A CSV as a spreadsheet writes it: with a mark at its beginning, and CRLF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
    table.writeheader()
    table.writerows(rows)
    path.write_bytes(text.getvalue().encode("utf-8-sig"))
    return path


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def chat(count: int = 60, system: str = "") -> list[dict[str, object]]:
    """Conversations of one question and a long answer."""
    first = [{"role": "system", "content": system}] if system else []
    return [
        {
            "messages": [
                *first,
                {"role": "user", "content": f"Where is the order with the number {n * 37}?"},
                {"role": "assistant", "content": f"It left on day {n} and comes on day {n + 3}."},
            ]
        }
        for n in range(count)
    ]


def write_manuals(folder: Path, count: int = 3) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        (folder / f"manual {n}.md").write_text(f"# Manual {n}\n\nThe part {n} weighs {n} grams.\n")


def write_pdf(path: Path, text: str = "Stands on rock.") -> Path:
    """One page with a line of text."""
    import pypdf
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(width=300, height=200)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    content = DecodedStreamObject()
    content.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode())
    page[NameObject("/Contents")] = writer._add_object(content)
    writer.write(path)
    return path


def write_saved_split(folder: Path, train: int = 60, test: int = 30) -> Path:
    """What `DatasetDict.save_to_disk` of Hugging Face's `datasets` leaves."""
    import pyarrow as arrow

    rows = [{"question": f"What is part {n}?", "answer": f"It is {n}"} for n in range(train + test)]
    for part, of_part in (("train", rows[:train]), ("test", rows[train:])):
        (folder / part).mkdir(parents=True)
        table = arrow.Table.from_pylist(of_part)
        file = folder / part / "data-00000-of-00001.arrow"
        with arrow.OSFile(str(file), "wb") as out, arrow.ipc.new_stream(out, table.schema) as sink:
            sink.write_table(table)
        (folder / part / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": file.name}]})
        )
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    return folder
