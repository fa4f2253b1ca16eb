"""Finds secrets and personal data in text by their form, and shows them masked.

A warning, never a promise: names and addresses have no form, and are not found. Where a form has a
checksum (bank accounts, payment cards) it is checked; forms that common numbers take, too, are left
out.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """Something that looks like a secret or personal data."""

    kind: str
    """What it looks like."""
    masked: str
    """Its ends, the middle hidden."""


_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
# Domains that stand for none: RFC 2606.
_NO_EMAIL = re.compile(
    r"@(?:.*\.)?(?:example\.(?:com|org|net)|[\w-]+\.(?:test|example|invalid|local))$"
)
_DIGITS = re.compile(r"\d[\d ().\-/]{5,}\d")
_PHONE = re.compile(
    r"(?<![\w.+])\+[1-9](?:[ ().\-/]{0,2}\d){7,14}(?!\w|[.,]\d)"  # international
    r"|(?<![\w.\-/+#$€£])\(\d{3}\) ?\d{3}[-. ]\d{4}(?!\w|-\d)"  # (555) 010-9999
    r"|(?<![\w.\-/+#$€£])\d{3}([-.])\d{3}\1\d{4}(?!\w|[-.]\d)"  # 555-010-9999
    r"|(?<![\w.\-/+#$€£])0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5}(?!\w|[-.]\d)"  # 030 123 4567
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![\d.-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\d-]|\.\d)")
_SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    "an OpenAI key": re.compile(r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}"),
    "an Anthropic key": re.compile(r"\bsk-ant-[A-Za-z0-9_-]{24,}"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[opsur]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})"),
    "a GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),
    "a Google key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
    "a Slack token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "a Stripe key": re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    "a SendGrid key": re.compile(r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    "an npm token": re.compile(r"\bnpm_[A-Za-z0-9]{36}"),
    "a signed token (JWT)": re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[\w-]+"),
}
_SECRET_SIGNS = (
    *("PRIVATE KEY", "sk-", "AKIA", "ASIA", "gh", "github_pat_", "glpat-", "AIza", "hf_"),
    *("xox", "k_live_", "k_test_", "SG.", "npm_", "eyJ"),
)
_MAX_COUNT = 5
"""Matches of one text that are kept."""


def personal_data(text: str) -> list[Match]:
    """What looks like a secret or personal data in a text; at most five, each once."""
    found: dict[Match, None] = {}
    for _, _, match in _places(text):
        found[match] = None
        if len(found) == _MAX_COUNT:
            break
    return list(found)


def without_personal_data(text: str) -> str:
    """The text with secrets and personal data masked, as far as they are found."""
    shown: list[str] = []
    end = 0
    for begin, stop, match in sorted(_places(text), key=lambda place: place[:2]):
        if begin >= end:
            shown += [text[end:begin], match.masked]
            end = stop
    return "".join([*shown, text[end:]])


def _places(text: str) -> Iterator[tuple[int, int, Match]]:
    """Begin, end and what is there."""
    if any(sign in text for sign in _SECRET_SIGNS):
        for kind, pattern in _SECRETS.items():
            for found in pattern.finditer(text):
                yield *found.span(), Match(kind, _masked(found.group(), 4))
    if "@" in text:
        for found in _EMAIL.finditer(text):
            if not _NO_EMAIL.search(found.group().lower()):
                yield *found.span(), Match("an email address", _masked_email(found.group()))
    if _DIGITS.search(text) is not None:
        yield from _numbers(text)


def _numbers(text: str) -> Iterator[tuple[int, int, Match]]:
    kinds: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
        ("a bank account (IBAN)", _IBAN, is_iban),
        ("a payment card", _CARD, is_card),
        ("a phone number", _PHONE, _is_phone),
    )
    taken: list[tuple[int, int]] = []
    for kind, pattern, holds in kinds:
        for match in pattern.finditer(text):
            begin, end = match.span()
            if any(begin < e and b < end for b, e in taken) or not holds(match.group()):
                continue
            taken.append((begin, end))
            yield begin, end, Match(kind, _masked(match.group(), 2))


def is_iban(text: str) -> bool:
    """Whether the check digits of an international bank account number hold: ISO 13616."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    digits = "".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])
    return int(digits) % 97 == 1


def is_card(text: str) -> bool:
    """Whether a number has a payment card's length, beginning and check digit: ISO 7812, Luhn."""
    digits = [int(sign) for sign in text if sign.isdigit()]
    number = "".join(map(str, digits))
    issued = re.match(r"4|5[1-5]|2[2-7]|3[47]|3[068]|6(?:011|5|4[4-9])", number)
    if issued is None or len(digits) not in (13, 14, 15, 16, 19) or len(set(digits)) < 4:
        return False
    doubled = [
        d if n % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for n, d in enumerate(digits[::-1])
    ]
    return sum(doubled) % 10 == 0


def _is_phone(text: str) -> bool:
    """Not one digit over and over, nor one of the numbers kept free for films (555-01xx)."""
    digits = "".join(sign for sign in text if sign.isdigit())
    return len(set(digits)) > 2 and re.search(r"55501\d\d$", digits) is None


def _masked(text: str, shown: int) -> str:
    return f"{text[:shown]}…{text[-2:]}" if len(text) > 2 * shown else "…"


def _masked_email(address: str) -> str:
    name, _, domain = address.partition("@")
    return f"{name[:1]}…@…{domain[domain.rfind('.') :]}"
