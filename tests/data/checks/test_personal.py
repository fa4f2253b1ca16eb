import pytest

from survey_rows import example, of, surveyed
from tunewise.data.checks.findings import Found
from tunewise.data.checks.personal import is_card, is_iban, personal_data, without_personal_data
from tunewise.data.checks.row_rules import check_personal_data
from tunewise.data.checks.scan import Scope

# Made up, or published by their makers as examples; put together here so that no scanner of
# repositories takes them for real.
KEYS = {
    "an OpenAI key": "sk-" + "proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z",
    "an Anthropic key": "sk-" + "ant-api03-Ab3dEf6hIj9kLm2nOp5q",
    "an AWS key": "AKIA" + "IOSFODNN7EXAMPLE",
    "a GitHub token": "ghp_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3d",
    "a GitLab token": "glpat-" + "Ab3dEf6hIj9kLm2nOp5q",
    "a Google key": "AIza" + "SyAb3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zA",
    "a Hugging Face token": "hf_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb",
    "a Slack token": "xoxb-" + "2345678901-abcdefghij",
    "a Stripe key": "sk_" + "live_Ab3dEf6hIj9kLm2nOp5q",
    "a SendGrid key": "SG." + "Ab3dEf6hIj9kLm2nOp5q.Ab3dEf6hIj9kLm2nOp5q",
    "an npm token": "npm_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb3d",
    "a signed token (JWT)": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3",
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to jane.doe+shop@mail.company.co.uk today", "an email address"),
        ("call +49 (30) 1234 5678", "a phone number"),
        ("call +1-415-555-2671.", "a phone number"),
        ("(415) 555-2671", "a phone number"),
        ("my number: 415-555-2671", "a phone number"),
        ("Tel. 030 2345 6789", "a phone number"),
        ("IBAN DE89 3704 0044 0532 0130 00, please", "a bank account (IBAN)"),
        ("GB82WEST12345698765432", "a bank account (IBAN)"),
        ("pay with 4111 1111 1111 1234", None),
        ("pay with 4539 1488 0343 6467", "a payment card"),
        ("amex 378282246310005", "a payment card"),
        *((f"use {key} here", kind) for kind, key in KEYS.items()),
        ("order 00123842 from 2023-10-14, 1.299,00 EUR", None),
        ("version 1.2.3-4567, page 555-1234", None),
        ("192.168.100.200 and 10.0.0.1", None),
        ("support@example.com or me@shop.test", None),
        ("decorators such as @cache and a@b", None),
        ("the sequence 4 8 15 16 23 42 and [1, 2, 3, 4, 5, 6, 7, 8]", None),
        ("ISBN 978-3-16-148410-0, tracking 9400 1000 0000 0000 0000 00", None),
        ("(555) 555-0123", None),
        ("sk-learn, sk-ips, hf_hub, ghp_short, npm_config", None),
        ("x = 0.30000000000000004; 12345678901234567890", None),
    ],
)
def test_forms_are_told_from_common_numbers_and_names(text: str, kind: str | None) -> None:
    assert [match.kind for match in personal_data(text)] == ([kind] if kind else [])


def test_nothing_that_is_shown_could_be_used() -> None:
    text = f"jane.doe@company.com, DE89370400440532013000, {KEYS['an AWS key']}"
    shown = without_personal_data(text)
    for secret in ("jane", "company", "3704004405", "IOSFODNN7"):
        assert secret not in shown
        assert all(secret not in match.masked for match in personal_data(text))
    assert shown.startswith("j…@….com, DE…00, AKIA…LE")


def test_a_text_without_anything_stays_as_it_is() -> None:
    assert without_personal_data("Order 7 of 2024 came.\n") == "Order 7 of 2024 came.\n"


def test_checksums_hold_or_do_not() -> None:
    assert is_iban("DE89370400440532013000")
    assert not is_iban("DE89370400440532013001")
    assert is_card("4539148803436467")
    assert not is_card("4539148803436468")


def test_each_place_is_a_warning_with_the_masked_form() -> None:
    rows = [example("hello"), example("mail jane@company.com", "or bob@company.com")]
    found = Found()
    survey = surveyed({"examples": rows}, Scope(personal=True))
    check_personal_data(survey, found)
    first, second = of("personal_data", found)
    assert (first.where, second.where) == ("examples.jsonl:2", "examples.jsonl:2")
    assert "an email address (j…@….com)" in first.message
    assert surveyed({"examples": rows}).personal == ()
