"""Whether a reply keeps six rules at once; each rule is a metric by itself, too.

Every function takes (answer, target). The target is a reply that keeps all six: what the answer
has to repeat (greeting, ticket number, language) is read from it. No model takes part. guide.md
says the same rules in words.

    metric = "metric:keeps_all"                     # in tunewise.toml: all six
    --set task.metric=metric:asks_one_question      # one rule alone, on the command line
"""

import re
import unicodedata
from collections.abc import Callable

LANGUAGES = ("English", "German", "French")
SHORTEST, LONGEST = 15, 60
"""Words of a reply."""

GREETING = {"English": "Hello", "German": "Guten Tag", "French": "Bonjour"}
FALLBACK = {"English": "Hello there,", "German": "Guten Tag,", "French": "Bonjour,"}
"""The greeting where no name is known."""

TICKET = re.compile(r"(?<![\w-])T-\d{3,6}(?:-[A-Z])?(?![\w]|-\w)")

_ENGLISH = (
    "the and is are was of to for with your you we our it this that have has had not from "
    "please could would can which what how when where did does do be been by at if whether "
    "there about any still or they their them i my me us thank thanks sorry"
)
_GERMAN = (
    "der das und ist sind nicht mit ihr ihre ihrem ihren ihrer ihnen sie wir uns unser unsere "
    "unserer ein eine einen einem einer zu zum zur auf für von vom im den dem bei haben hat "
    "welche welcher welches welchen wie wo können könnten bitte dass ob noch auch aber oder "
    "es ich danke leid ihn gern wenn nach aus über"
)
_FRENCH = (
    "le la les un une des du de et est sont pas avec votre vos vous nous notre nos que qui "
    "quel quelle quels quelles pour par sur dans ce cette ces au aux il elle avez avons "
    "pouvez pourriez bien encore ou où comment merci je ne se sa son ses été"
)
STOP_WORDS = {
    "English": frozenset(_ENGLISH.split()),
    "German": frozenset(_GERMAN.split()),
    "French": frozenset(_FRENCH.split()),
}
"""Frequent small words, none in two lists. Most that two of the languages share are left out
(`die`, `an`, `on`, `in`, `so`); the few kept (`was`, `me`, `des`, `du`) count where they are
commonest."""

_ENOUGH = 3
"""Stop words of its language that a reply must hold."""
_FOREIGN_SHARE = 0.25
"""Stop words of other languages, as a share of all found, from which a reply is mixed."""
_FOREIGN_IN_A_SENTENCE = 3
"""Stop words of another language that make a sentence foreign where they outnumber its own."""

_EN_DEED = (
    "refund|reimburse|repay|pay|credit|compensate|replace|exchange|swap|send|ship|post|dispatch|"
    "deliver|repair|mend|fix|return|cancel|book|arrange|offer"
)
_EN_DONE = (
    "refunded|refunding|reimbursed|repaid|paid|credited|replaced|replacing|exchanged|exchanging|"
    "swapped|sent|sending|shipped|shipping|posted|posting|dispatched|delivered|repaired|mended|"
    "fixed|cancelled|booked|arranged"
)
_DE_DEED = (
    "erstatte|zahle|überweise|ersetze|schicke|sende|versende|liefere|tausche|repariere|storniere|"
    "buche|schenke|biete"
)
_DE_DONE = (
    "erstattet|zurückgezahlt|überwiesen|gutgeschrieben|ersetzt|geschickt|gesendet|verschickt|"
    "versendet|versandt|geliefert|getauscht|umgetauscht|ausgetauscht|repariert|storniert|gebucht"
)
_FR_DEED = (
    "rembours|envoy|renvoy|rempla[cç]|échang|livr|expédi|répar|crédit|vers|annul|pay|réserv|offr|"
    "vir"
)
_FR_DAY = "lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche"
_FR_MONTH = "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
_EN_NUMBER = r"\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve|a few|a couple of"
_DE_NUMBER = r"\d+|ein\w*|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|zwölf|paar|wenige\w*"
_FR_NUMBER = r"\d+|une?|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|douze|quelques"

PROMISES = {
    "English": re.compile(
        rf"\b(?:will|won't|shall|going to|gonna)\b|\w'll\b"
        rf"|\b(?:promis\w+|guarantee\w*|assur(?:e|ed|ing)|rest assured)\b"
        rf"|\b(?:we|i)(?:'ve|'re|'m)?(?:\s+(?:are|am|have|can|may|might|just|now|then|also|"
        rf"already|gladly|happily)){{0,3}}\s+(?:{_EN_DEED}|{_EN_DONE})\b"
        rf"|\b(?:is|are|been|being|get|gets)\s+(?:\w+ly\s+)?(?:{_EN_DONE})\b"
        rf"|\byou(?:\s+(?:can|may|should|are))?\s+(?:get|receive|expect|entitled)\b"
        rf"|\bon (?:its|the|their) way\b|\bfree of charge\b|\bfor free\b"
        rf"|\b(?:today|tonight|tomorrow|yesterday|soon|shortly|immediately|asap|straight away|"
        rf"right away|at once|deadline|weekend|midnight|noon)\b"
        rf"|\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?)\b"
        rf"|\b(?:january|february|april|june|july|august|september|october|november|december)\b"
        rf"|\b(?:in|by|until|since|of|early|late|next|last) (?:march|may)\b"
        rf"|\b(?:march|may) \d|\d\w* (?:march|may)\b"
        rf"|\b(?:{_EN_NUMBER})[ -](?:working |business )?"
        rf"(?:minute|hour|day|night|week|month|year)s?\b"
        rf"|\b(?:next|this|last|coming|every) (?:day|night|morning|evening|week|month|year)\b"
        rf"|\b\d{{1,2}}(?::\d\d|\s?[ap]\.?m\b)|\b\d{{1,2}}(?:st|nd|rd|th)\b"
        rf"|\b\d{{1,4}}[./]\d{{1,2}}[./]\d{{2,4}}\b|\b\d{{4}}-\d\d-\d\d\b",
        re.IGNORECASE,
    ),
    "German": re.compile(
        rf"\b(?:werden?|wirst|wird|werdet)\b"
        rf"|\b(?:verspr(?:e|i)ch\w*|garantier\w*|zugesagt|zusicher\w*|zugesichert|versicher[en]+)\b"
        rf"|\b(?:wir|ich)\b(?:\s+\w+){{0,1}}\s+(?:{_DE_DEED})n?\b"
        rf"|\b(?:{_DE_DEED})n?\s+(?:wir|ich)\b|\b(?:wir|ich)\s+schreiben?\b[^.?!]*\bgut\b"
        rf"|\b(?:{_DE_DONE})\b"
        rf"|\bSie\s+(?:bekommen|erhalten|kriegen)\b|\b(?:bekommen|erhalten|kriegen)\s+Sie\b"
        rf"|\bunterwegs\b|\bkostenlos\w*|\bkostenfrei\w*|\bgratis\b"
        rf"|\b(?:heute|morgen|übermorgen|gestern|bald|demnächst|kürze|umgehend|sofort|zeitnah|"
        rf"schnellstmöglich|baldmöglichst|unverzüglich|spätestens|binnen|innerhalb|wochenende|"
        rf"mitternacht)\b"
        rf"|\b(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag)s?\b"
        rf"|\b(?:januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|"
        rf"dezember)\b"
        rf"|\b(?:{_DE_NUMBER})[ -](?:minute|stunde|tage?|nächte?|nacht|woche|monate?|jahre?)"
        rf"(?:n|en|s)?\b"
        rf"|\b(?:nächste|kommende|diese|letzte)\w? (?:tage?|woche|monat|jahr)\w*\b"
        rf"|\b\d{{1,2}}(?::\d\d| uhr)\b|\b\d{{1,2}}\.\s?\d{{1,2}}\.|\b\d{{4}}-\d\d-\d\d\b",
        re.IGNORECASE,
    ),
    "French": re.compile(
        rf"\b(?!(?:livrez|livrons|ouvrez|couvrez|tirez|retirez|désirez|admirez|mesurez|assurez|"
        rf"rassurez|durez|courez|serrez|serrons|vrai|environs)\b)"
        rf"\w*(?:er|ir|dr|vr|rr|ur|ettr)(?:ai|as|a|ons|ez|ont)\b"
        rf"|\b(?:allons|vais|va|vont)\b"
        rf"|\b(?:promet\w*|promis\w*|promesse|garantissons|garanti[st]|assurons|assure)\b"
        rf"|\b(?:nous|je|on)\s+(?:vous\s+|le\s+|la\s+|les\s+|en\s+)?(?:{_FR_DEED})(?:e|ons|eons)\b"
        rf"|\b(?:avons|ai|est|sont|été|êtes)\s+(?:déjà\s+|bien\s+)?(?:{_FR_DEED})(?:é|ée|és|ées)\b"
        rf"|\bvous\s+recevez\b|\ben route\b|\ben chemin\b|\bgratuit\w*\b|\bsans frais\b"
        rf"|\b(?:aujourd'hui|demain|hier|bientôt|prochainement|immédiatement|rapidement|"
        rf"sous peu|dès que possible|au plus vite|au plus tôt|délai|week-end|minuit)\b"
        rf"|\b(?:{_FR_DAY})s?\b|\b(?:{_FR_MONTH})\b"
        rf"|\b(?:{_FR_NUMBER}) (?:minute|heure|jour|nuit|semaine|moi|an|année)s?\b"
        rf"|\b(?:jour|semaine|mois|année) (?:prochaine?|dernière?|suivante?)\b|\bd'ici\b"
        rf"|\b\d{{1,2}} ?h(?:\d\d)?\b|\b\d{{1,2}}[/.]\d{{1,2}}\b|\b\d{{4}}-\d\d-\d\d\b",
        re.IGNORECASE,
    ),
}
"""What counts as a promise, or names a time: guide.md lists the same in words."""


def keeps_all(answer: str, target: str) -> bool:
    """Whether all six rules are kept: the metric of this project."""
    return all(parts(answer, target).values())


def parts(answer: str, target: str) -> dict[str, bool]:
    """Rule -> whether it is kept."""
    return {name: rule(answer, target) for name, rule in RULES.items()}


def has_the_length(answer: str, target: str) -> bool:
    """Whether it has 15 to 60 words: what stands between blanks and holds a letter or digit."""
    words = [word for word in plain(answer).split() if any(sign.isalnum() for sign in word)]
    return SHORTEST <= len(words) <= LONGEST


def greets(answer: str, target: str) -> bool:
    """Whether it begins with the target's greeting, letter by letter, up to the first comma."""
    return plain(answer).startswith(greeting_of(plain(target)))


def promises_nothing(answer: str, target: str) -> bool:
    """Whether it holds none of the words and forms by which guide.md defines a promise."""
    text = plain(answer)
    body = text.removeprefix(greeting_of(plain(target)))  # a Mr May is no date
    return PROMISES[language_of(target)].search(body) is None


def repeats_the_ticket(answer: str, target: str) -> bool:
    """Whether it holds the ticket number exactly, and no other ticket number."""
    return set(TICKET.findall(plain(answer))) == set(TICKET.findall(plain(target)))


def is_in_the_language(answer: str, target: str) -> bool:
    """Whether the reply, and each of its sentences, is in the language of the target."""
    language = language_of(target)
    counts = stop_words(answer)
    found = sum(counts.values())
    if counts[language] < _ENOUGH or found - counts[language] > _FOREIGN_SHARE * found:
        return False
    return not any(_is_foreign(sentence, language) for sentence in sentences(answer))


def asks_one_question(answer: str, target: str) -> bool:
    """Whether there is one question mark, and at least three words in the sentence it ends."""
    text = plain(answer)
    if text.count("?") != 1:
        return False
    before = re.split(r"[.!:](?=\s)|\n", text[: text.index("?")])[-1]
    return len(re.findall(r"\w+", before)) >= 3


RULES: dict[str, Callable[[str, str], bool]] = {
    "length": has_the_length,
    "greeting": greets,
    "no promise": promises_nothing,
    "ticket": repeats_the_ticket,
    "language": is_in_the_language,
    "one question": asks_one_question,
}
"""Name -> rule; all six make `keeps_all`."""


def plain(text: str) -> str:
    """The text composed (NFC), with typewriter quotes and hyphens, and blanks for other spaces."""
    text = unicodedata.normalize("NFC", text.strip())
    signs = {ord(sign): "'" for sign in "‘’ʼ"}
    signs |= {ord(sign): "-" for sign in "‐‑"}
    signs |= {ord(sign): " " for sign in "\u00a0\u202f\u2009\t"}
    return text.translate(signs)


def greeting_of(target: str) -> str:
    """The greeting that a target begins with, its comma included."""
    return target[: target.index(",") + 1]


def sentences(text: str) -> list[str]:
    """The sentences of a text, split behind `.`, `!`, `?`, `:` and at line breaks."""
    return [part for part in re.split(r"(?<=[.!?:])\s+|\n+", plain(text)) if part]


def stop_words(text: str) -> dict[str, int]:
    """Language -> how many of its stop words the text holds; ticket numbers are no words."""
    words = re.findall(r"[^\W\d_]+", TICKET.sub(" ", plain(text)).casefold())
    return {name: sum(word in listed for word in words) for name, listed in STOP_WORDS.items()}


def language_of(text: str) -> str:
    """The language with most stop words; English where none is found."""
    counts = stop_words(text)
    return max(LANGUAGES, key=lambda language: counts[language])


def _is_foreign(sentence: str, language: str) -> bool:
    counts = stop_words(sentence)
    others = max(count for name, count in counts.items() if name != language)
    return others >= _FOREIGN_IN_A_SENTENCE and others > counts[language]
