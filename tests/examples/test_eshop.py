"""The desk: five functions, corrections that become examples, and a server that is away."""

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from eshop.__main__ import main
from eshop.desk import Desk
from eshop.passages import passages
from eshop.seed import seed_tickets
from eshop.settings import Function, Functions, read_settings
from eshop.shop import Shop
from eshop.tables import open_database
from eshop.threads import thread_text
from eshop.web import DOCUMENTS
from starlette.testclient import TestClient

from chat_endpoint import completion, refusal
from command_line import tunewise
from eshop_desk import (
    ESHOP,
    LABELS,
    ModelServer,
    browser,
    foreign_markup,
    orders_file,
    settings_for,
)
from example_projects import EXAMPLES, example_rows
from postgres_server import postgres
from tunewise.pipelines.from_logs import examples_from_logs

TICKETS = example_rows("eshop", "data/tickets.jsonl")
LATE = "Where is HP-31961? And my neighbour's HP-31848? The Gale jacket is late by 10 days."


@dataclass
class Turn:
    author: str
    text: str
    sent: str = ""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return orders_file(tmp_path_factory.mktemp("orders"))


@pytest.fixture
def server() -> ModelServer:
    return ModelServer()


@pytest.fixture
def pages(tmp_path: Path, orders: Path, server: ModelServer) -> Iterator[tuple[TestClient, Desk]]:
    with browser(settings_for(tmp_path, orders, server.url)) as both:
        yield both


def write(client: TestClient, text: str, customer: str = "85") -> str:
    """Keeps a ticket; the address of its page."""
    form = {"subject": "a matter", "text": text, "customer": customer}
    answer = client.post("/tickets", data=form, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


# The data


def test_there_are_150_written_tickets_of_2_to_8_messages() -> None:
    assert len(TICKETS) == 150
    assert {len(ticket["messages"]) for ticket in TICKETS} == {2, 3, 4, 5, 6, 7, 8}
    texts = [turn["text"] for ticket in TICKETS for turn in ticket["messages"]]
    assert len(set(texts)) == len(texts)


def test_messages_of_a_thread_follow_each_other_and_the_customer_begins() -> None:
    for ticket in TICKETS:
        sent = [turn["sent"] for turn in ticket["messages"]]
        assert sent == sorted(sent), ticket["id"]
        assert max(sent) < "2026-10-02", ticket["id"]
        assert ticket["messages"][0]["author"] == "customer"


def test_summaries_are_of_threads_as_the_app_asks_with_them() -> None:
    rows = example_rows("eshop/projects/summaries")
    assert len(rows) >= 200
    threads = {ticket["id"]: ticket["messages"] for ticket in TICKETS}
    for row in rows:
        turns = threads[row["ticket"]][: int(row["id"].split("-")[1])]
        assert row["input"] == thread_text([Turn(**turn) for turn in turns]), row["id"]
        assert len(row["output"].split()) <= 60, row["id"]


def test_replies_are_in_the_shops_measure_and_stand_on_what_the_app_would_know() -> None:
    rows = example_rows("eshop/projects/replies")
    assert len(rows) >= 200
    assert len({row["output"] for row in rows}) == len(rows)
    documents = [passage for folder in DOCUMENTS for passage in passages(folder)]
    cited = {" ".join(f"{one.title}. {one.text}".split()) for one in documents}
    for row in rows:
        thread, known = row["input"].split("\n\nKnown:\n")
        facts = {line.removeprefix("- ") for line in known.splitlines()} - {"nothing"}
        assert {fact for fact in facts - cited if not fact.startswith("HP-3")} == set(), row["id"]
        assert thread.startswith("Customer: "), row["id"]
        assert len(row["output"].split()) <= 60, row["id"]
        assert "!" not in row["output"], row["id"]


def test_seeding_fills_an_empty_desk_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.toml").write_text("")
    monkeypatch.setattr(sys, "argv", ["eshop", "--settings", f"{tmp_path}/settings.toml", "seed"])
    assert [main(), main()] == [0, 0]
    assert re.findall(r"(\w+); tickets: (\d+)", capsys.readouterr().err) == [
        ("built", "150"),
        ("already", "0"),
    ]


# Classification


def test_a_ticket_arrives_with_its_labels(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, desk = pages
    place = write(client, "The stove hisses when it is off")
    ticket = desk.tickets()[0]
    assert (ticket.category, ticket.urgency) == ("defect", "high")
    assert (ticket.sentiment, ticket.product) == ("negative", "Ember stove")
    assert server.asked("triage")[0]["messages"] == [
        {"role": "user", "content": "The stove hisses when it is off"}
    ]
    page = client.get(place).text
    assert "triage@3" in page
    assert '<option value="Ember stove" selected>' in page


def test_an_answer_that_is_no_label_is_shown_and_not_taken(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, desk = pages
    server.answers["triage"] = json.dumps(LABELS | {"category": "gossip", "product": "Yacht"})
    place = write(client, "hello")
    assert desk.tickets()[0].category is None
    assert "no such category, no such product" in client.get(place).text


def test_unsorted_tickets_are_sorted_until_the_server_fails(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, desk = pages
    server.answers["triage"] = refusal(503, "loading")
    for text in ("one", "two", "three"):
        write(client, text)
    asked = len(server.asked("triage"))
    assert "Sorting stopped: The model server refused (503): loading" in client.post("/sort").text
    assert len(server.asked("triage")) == asked + 1
    server.answers["triage"] = json.dumps(LABELS)
    client.post("/sort")
    assert {ticket.category for ticket in desk.tickets()} == {"defect"}


# Summary


def test_a_thread_is_summarised_and_the_agent_has_the_last_word(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, desk = pages
    place = write(client, "It leaks")
    client.post(f"{place}/message", data={"text": "It still leaks"})
    assert "Stove leaks. Open: call." in client.post(f"{place}/ask/summary").text
    asked = server.asked("summary")[0]["messages"][-1]["content"]
    assert asked == "Customer: It leaks\nCustomer: It still leaks"
    page = client.post(f"{place}/summary", data={"text": "Stove leaks. Open: swap."}).text
    assert "Stove leaks. Open: swap." in page
    assert [a.verdict for a in desk.said()] == ["corrected"]


# Question answering


def test_a_reply_is_grounded_on_the_customers_own_orders_and_on_manuals(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, _ = pages
    place = write(client, LATE)
    page = client.post(f"{place}/ask/reply").text
    asked = server.asked("reply")[0]["messages"][-1]["content"]
    thread, known = asked.split("\n\nKnown:\n")
    assert thread == f"Customer: {LATE}"
    assert "- HP-31961: ordered 2026-09-18, shipped 2026-09-19, not delivered yet" in known
    assert "HP-31848" not in known
    assert len(known.splitlines()) == 3  # one order, two passages
    assert "<h3>Sources</h3>" in page
    assert "<dt>HP-31961</dt>" in page
    assert "Not this customer&#39;s, and not used: HP-31848." in page


def test_an_answer_that_finds_no_end_is_cut_off_and_said_to_be(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, _ = pages
    place = write(client, "gas")
    server.answers["summary"] = completion("It leaks and leaks and", finish="length")
    page = client.post(f"{place}/ask/summary").text
    assert "The answer found no end and was cut off." in page
    assert "It leaks and leaks and</textarea>" in page
    assert server.asked("summary")[0]["max_completion_tokens"] == 160


def test_figures_that_no_source_holds_are_pointed_out(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, _ = pages
    place = write(client, LATE)
    server.answers["reply"] = "HP-31961 is 10 days late. You get £42.50 back. Next, wait."
    assert "In no source: 42.50. Check before you send." in client.post(f"{place}/ask/reply").text


def test_passages_that_the_served_model_was_given_are_sources_too(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, _ = pages
    place = write(client, "gas")
    cited = {"url": "x", "title": "ember-stove.md", "text": "Close the valve.", "start_index": 0}
    message = {
        "role": "assistant",
        "content": "Close it.",
        "annotations": [{"type": "url_citation", "url_citation": cited | {"end_index": 9}}],
    }
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    server.answers["reply"] = completion(choices=[choice])
    page = client.post(f"{place}/ask/reply").text
    assert "<dt>ember-stove.md</dt>" in page
    assert "Close the valve." in page


def test_a_reply_that_is_sent_joins_the_thread_and_is_learned_from(
    pages: tuple[TestClient, Desk],
) -> None:
    client, desk = pages
    first, second = write(client, "one"), write(client, "two")
    suggested = "Please leave it off. Next, keep your phone near."
    for place in (first, second):
        client.post(f"{place}/ask/reply")
    client.post(f"{first}/reply", data={"text": suggested})
    client.post(f"{second}/reply", data={"text": "Leave it off. Next, we call you."})
    assert [turn.author for turn in desk.ticket(1).messages] == ["customer", "desk"]
    assert [(a.verdict, a.correction) for a in desk.said()] == [
        ("good", None),
        ("corrected", "Leave it off. Next, we call you."),
    ]


def test_without_an_embedding_model_a_reply_stands_on_orders_and_says_so(
    tmp_path: Path, orders: Path, server: ModelServer
) -> None:
    settings = settings_for(
        tmp_path, orders, server.url, functions=Functions(reply=Function(model="reply"))
    )
    with browser(settings) as (client, _):
        place = write(client, LATE)
        page = client.post(f"{place}/ask/reply").text
    assert "Manuals were not searched. This function has no model." in page
    assert "Please leave it off" in page


# Search by meaning


def test_tickets_products_and_passages_are_found_by_meaning(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, desk = pages
    place = write(client, "The paddle arrived scratched along the shaft")
    write(client, "My paddle has a scratched shaft")
    write(client, "Where is the invoice?")
    page = client.get(f"{place}/similar").text
    assert page.index("/tickets/2") < page.index("/tickets/3")
    assert "Teal paddle" in page
    found = desk.search("soak a dry cartridge in clean water", ["passage"])
    assert "Brook" in found.hits[0].item.title
    assert found.searched == found.items
    embedded = len(server.asked("search"))
    client.get(f"{place}/similar")
    assert len(server.asked("search")) == embedded + 2  # the ticket's words, for both lists


def test_texts_too_long_for_the_embedding_model_are_cut_shorter(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    _, desk = pages
    server.max_characters = 300
    assert desk.search("gas " * 500, ["product"]).hits


# Code generation


def test_a_question_becomes_sql_that_is_shown_and_run(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, _ = pages
    server.answers["analyst"] = "```sql\nSELECT name, price FROM products WHERE price > 700\n```"
    page = client.post("/analyst", data={"question": "what costs over 700?"}).text
    assert "SELECT name, price FROM products WHERE price &gt; 700</textarea>" in page
    assert '<td dir="auto">Plover packraft</td><td dir="auto">799.00</td>' in page


def test_sql_that_is_wrong_is_told_and_corrected(
    pages: tuple[TestClient, Desk], server: ModelServer
) -> None:
    client, desk = pages
    server.answers["analyst"] = "SELECT colour FROM orders"
    answer = client.post("/analyst", data={"question": "how many orders?"})
    assert "This query was not run to its end: no such column: colour." in answer.text
    place = f"{answer.url.path}/sql"
    page = client.post(place, data={"sql": "DROP TABLE orders"}).text
    assert "no SELECT" in page
    assert desk.said() == []
    assert "2000" in client.post(place, data={"sql": "SELECT COUNT(*) FROM orders"}).text
    assert [a.correction for a in desk.said()] == ["SELECT COUNT(*) FROM orders"]


# What agents said becomes examples


def test_corrections_become_examples_that_check_accepts(
    pages: tuple[TestClient, Desk], server: ModelServer, tmp_path: Path
) -> None:
    client, _ = pages
    texts = ["The lamp flickers on High", "Please cancel my order", "Where is the tent?"]
    places = [write(client, text) for text in texts]
    wrong = {"category": "delivery", "urgency": "low", "sentiment": "neutral", "product": ""}
    client.post(f"{places[0]}/labels", data=LABELS)
    client.post(f"{places[1]}/labels", data=wrong)
    log = tmp_path / "triage-log.jsonl"
    log.write_text(client.get("/corrections/triage.jsonl").text)

    made = examples_from_logs([log])
    assert [row["rated"] for row in made.rows] == ["good", "corrected"]
    assert made.faults == ()
    answers = [json.loads(row["messages"][-1]["content"]) for row in made.rows]
    assert answers == [LABELS, wrong | {"product": None}]
    assert [row["messages"][0]["content"] for row in made.rows] == texts[:2]

    more = tmp_path / "corrections.jsonl"
    assert tunewise("data", "from-logs", log, "--out", more).code == 0
    project = tmp_path / "triage"
    project.mkdir()
    for name in ("examples.jsonl", "tunewise.toml"):
        text = (EXAMPLES / "support_triage" / name).read_text("utf-8")
        (project / name).write_text(
            text.replace('examples = "examples.jsonl"', f'examples = ["examples.jsonl", "{more}"]')
        )
    done = tunewise("check", project, "--json")
    assert done.code == 0, done.err
    assert "382" in done.out


def test_an_agents_word_is_an_example_also_where_no_model_was_asked(
    tmp_path: Path, orders: Path, server: ModelServer
) -> None:
    with browser(settings_for(tmp_path, orders, server.url, functions=Functions())) as (client, _):
        place = write(client, "I want my money")
        client.post(f"{place}/summary", data={"text": "Wants money back. Open: answer."})
        (tmp_path / "log.jsonl").write_text(client.get("/corrections/summary.jsonl").text)
    rows = examples_from_logs([tmp_path / "log.jsonl"]).rows
    assert [turn["content"] for turn in rows[0]["messages"]] == [
        "Customer: I want my money",
        "Wants money back. Open: answer.",
    ]
    assert server.bodies == []


def test_the_last_word_on_a_thread_counts_and_a_longer_thread_is_another_question(
    pages: tuple[TestClient, Desk],
) -> None:
    client, desk = pages
    place = write(client, "one")
    for text in ("first", "second"):
        client.post(f"{place}/summary", data={"text": text})
    assert [a.correction for a in desk.said()] == ["second"]
    client.post(f"{place}/message", data={"text": "two"})
    client.post(f"{place}/summary", data={"text": "third"})
    assert [a.correction for a in desk.said()] == ["second", "third"]


# When there is no answer


def test_a_function_without_a_model_says_so_and_asks_nobody(
    tmp_path: Path, orders: Path, server: ModelServer
) -> None:
    with browser(settings_for(tmp_path, orders, server.url, functions=Functions())) as (client, _):
        place = write(client, "hello")
        page = client.get(place).text
        assert page.count("This function has no model.") == 4 + 1  # and why it was not sorted
        assert "This function has no model." in client.get("/analyst").text
        assert "This function has no model." in client.get("/search?q=tent").text
    assert server.bodies == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (refusal(500, "the engine fell over"), "refused (500): the engine fell over"),
        (refusal(404, "no model triage@production"), "refused (404): no model triage@production"),
        ((200, {"Content-Type": "application/json"}, "{"), "answered with something"),
        ((200, {"Content-Type": "application/json"}, "[]"), "answered with something"),
        ((200, {"Content-Type": "text/html"}, "<html>proxy</html>"), "answered with something"),
        (completion(choices=[]), "answered with something that is no answer"),
        (completion(None), "answered with no text"),
        (completion(" \x1b\x00 "), "answered with no text"),
    ],
)
def test_a_server_that_fails_is_told_and_the_ticket_is_kept(
    pages: tuple[TestClient, Desk], server: ModelServer, answer: object, said: str
) -> None:
    client, desk = pages
    server.answers["triage"] = answer  # type: ignore[assignment]
    page = client.get(write(client, "Keep me")).text
    assert said in page
    assert "The ticket is kept" in page
    assert desk.tickets()[0].messages[0].text == "Keep me"


def test_a_server_that_is_away_or_slow_is_told_and_the_ticket_is_kept(
    tmp_path: Path, orders: Path, server: ModelServer
) -> None:
    away = settings_for(tmp_path, orders, "http://127.0.0.1:9/v1")
    with browser(away) as (client, desk):
        place = write(client, "Keep me")
        assert "No model server answers at http://127.0.0.1:9/v1." in client.get(place).text
        assert "No model server answers" in client.get(f"{place}/similar").text
        assert len(desk.tickets()) == 1

    def slow(_: dict) -> tuple[int, dict[str, str], str]:
        time.sleep(1)
        return completion("{}")

    server.answers["triage"] = slow
    with browser(settings_for(tmp_path, orders, server.url, timeout_s=0.2)) as (client, desk):
        page = client.post(f"{place}/ask/triage").text
        assert "did not answer within 0.2 seconds" in page
        assert "Keep me" in page
        assert len(desk.tickets()) == 1


# Settings, databases, pages


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tiemout_s = 3", "tiemout_s"),
        ("timeout_s = 0\nserver = 'ftp://x'", "server"),
        ("[functions.poetry]\nmodel = 'x'", "functions.poetry"),
        ("[functions.triage]\nmodel = 'x'\ninstruct = true\nproject = 'none'", "no instruction"),
        ("= 1", "settings.toml"),
    ],
)
def test_settings_that_cannot_be_used_are_told_without_a_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    said: str,
) -> None:
    (tmp_path / "settings.toml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["eshop", "--settings", f"{tmp_path}/settings.toml", "serve"])
    assert main() == 1
    assert said in capsys.readouterr().err


def test_the_settings_that_ship_send_a_bare_base_model_the_projects_instruction(
    server: ModelServer, tmp_path: Path, orders: Path
) -> None:
    own = read_settings(ESHOP / "settings.toml")
    settings = settings_for(
        own.folder,
        orders,
        server.url,
        functions=own.functions,
        database=f"sqlite:///{tmp_path}/desk.sqlite",
    )
    server.answers["smollm2-135m-instruct"] = "SELECT 1"
    with browser(settings) as (client, _):
        client.post("/analyst", data={"question": "how many?"})
    first = server.bodies[0]["messages"][0]
    assert first["role"] == "system"
    assert first["content"].startswith("Write one SQLite SELECT")


def test_the_desk_runs_on_postgres(orders: Path, server: ModelServer, tmp_path: Path) -> None:
    with postgres() as url:
        url = url.replace("postgresql:", "postgresql+psycopg:")
        engine = open_database(url)
        assert seed_tickets(engine, Shop(orders)) == 150
        engine.dispose()
        with browser(settings_for(tmp_path, orders, server.url, database=url)) as (client, desk):
            place = write(client, "Nul \x00 and \U0001f525 and ' ; DROP TABLE tickets")
            client.post(f"{place}/labels", data=LABELS)
            client.get(f"{place}/similar")
            assert len(desk.tickets()) == 151
            assert [a.verdict for a in desk.said()] == ["good"]
            desk.engine.dispose()


def test_every_page_of_the_written_tickets_is_whole_and_under_a_strict_policy(
    pages: tuple[TestClient, Desk], orders: Path
) -> None:
    client, desk = pages
    seed_tickets(desk.engine, Shop(orders))
    places = ["/", "/?state=all&page=3", "/?urgency=high", "/new", "/search", "/analyst"]
    for place in [*places, "/corrections", "/tickets/1", "/tickets/137", "/static/desk.css"]:
        answer = client.get(place)
        assert answer.status_code == 200, place
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        if not place.endswith(".css"):
            assert foreign_markup(answer.text) == [], place
    assert "150 tickets" in client.get("/").text


def test_a_thread_too_long_for_a_model_keeps_its_newest_messages() -> None:
    turns = [Turn(author="customer", text=f"{n} " + "x" * 5000) for n in range(4)]
    text = thread_text(turns)
    assert re.findall(r"Customer: (\d)", text) == ["2", "3"]
