"""Turns a note and the note wanted into a value from 0 to 1: facts kept, facts invented.

A note is one line, `section: text`. With another section than the one wanted it is worth 0.
Otherwise the facts of both texts are looked for, and the value is their F1:

    2 * kept / (facts of the answer + facts of the target)

where `kept` counts facts that both have. What only the target has was lost, what only the answer
has was invented. guide.md says in words what a fact is; the wording between the facts is not
judged, and neither is whether a fact is true of the patient.
"""

import re
from typing import NamedTuple

SECTIONS = (
    "complaint",
    "history",
    "medication",
    "allergies",
    "family",
    "examination",
    "plan",
    "social",
)


def _words(text: str) -> list[str]:
    """The words of a list that is written as a text."""
    return text.split()


_ONES = _words(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
    """
)
_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety")
_NUMBERS = (
    {word: str(value) for value, word in enumerate(_ONES)}
    | {word: str(10 * value) for value, word in enumerate(_TENS, 2)}
    | {"half": "0.5"}
)

_UNITS = {
    "mg": "mg milligram milligrams",
    "mcg": "mcg µg μg ug microgram micrograms",
    "g": "g gram grams gramme grammes",
    "kg": "kg kilo kilos kilogram kilograms",
    "ml": "ml millilitre millilitres milliliter milliliters",
    "l": "l litre litres liter liters",
    "cm": "cm centimetre centimetres centimeter centimeters",
    "mm": "mm millimetre millimetres millimeter millimeters",
    "km": "km kilometre kilometres kilometer kilometers",
    "m": "m metre metres meter meters",
    "unit": "unit units iu",
    "%": "% percent",
    "degree": "° °c degree degrees celsius c",
    "mmol/l": "mmol/l",
    "beat": "bpm beat beats",
    "second": "second seconds sec",
    "minute": "minute minutes min mins",
    "hour": "hour hours hr hrs h",
    "day": "day days",
    "night": "night nights",
    "week": "week weeks wk wks",
    "month": "month months",
    "year": "year years yr yrs",
    "time": "time times",
    "tablet": "tablet tablets pill pills tab tabs capsule capsules",
    "puff": "puff puffs",
    "drop": "drop drops",
}
_UNIT_OF = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_DOSES = {"mg", "mcg", "g", "ml", "unit"}
_TIMES = {"second", "minute", "hour", "day", "night", "week", "month", "year"}

_DRUGS = _words(
    """
    acetaminophen acyclovir adrenaline alendronate allopurinol amiodarone amitriptyline
    amlodipine amoxicillin apixaban aspirin atenolol atorvastatin azathioprine azithromycin
    baclofen beclometasone betahistine bisoprolol budesonide buprenorphine candesartan
    carbamazepine cefalexin cefuroxime cetirizine chloramphenicol ciprofloxacin citalopram
    clarithromycin clopidogrel clotrimazole codeine colchicine cortisone dabigatran denosumab
    desloratadine diazepam diclofenac digoxin doxazosin doxycycline duloxetine empagliflozin
    enalapril epinephrine erythromycin escitalopram esomeprazole fentanyl ferrous finasteride
    flucloxacillin fluconazole fluoxetine fluticasone folate formoterol furosemide gabapentin
    gliclazide glyceryl haloperidol heparin hydrochlorothiazide hydrocortisone
    hydroxychloroquine ibuprofen indapamide insulin iron ketoconazole lactulose lamotrigine
    latanoprost letrozole levetiracetam levodopa levothyroxine lisinopril lithium loperamide
    loratadine lorazepam losartan magnesium mebeverine melatonin mesalazine metformin methadone
    methotrexate metoclopramide metoprolol metronidazole mirtazapine mometasone montelukast
    morphine naproxen nicotine nitrofurantoin nitroglycerin nystatin omeprazole ondansetron
    oxycodone pantoprazole paracetamol paroxetine penicillin permethrin prednisolone pregabalin
    propranolol quetiapine ramipril ranitidine risperidone rivaroxaban salbutamol semaglutide
    sertraline sildenafil simvastatin sitagliptin solifenacin spironolactone sulfasalazine
    sumatriptan tamoxifen tamsulosin terbinafine timolol tiotropium topiramate tramadol
    trazodone trimethoprim valproate valsartan venlafaxine verapamil vitamin warfarin
    xylometazoline zolpidem zopiclone
    """
)
_ALLERGENS = _words(
    """
    almond apple birch bee cashew cat celery chlorhexidine contrast dog dust egg fish fragrance
    gluten grass hazelnut horse iodine kiwi lactose latex lupin milk mite mould mushroom mustard
    nickel nut peanut plaster pollen prawn sesame shellfish soy strawberry walnut wasp wheat
    """
)
_DRUG_ENDINGS = re.compile(
    r"\w{3,}(pril|sartan|statin|olol|azole|cillin|mycin|oxacin|dipine|prazole|gliptin|gliflozin"
    r"|xaban|triptan|cycline|profen|pam|parin|mab)"
)
_DRUG_ALIASES = {
    "acetaminophen": "paracetamol",
    "epinephrine": "adrenaline",
    "nitroglycerin": "glyceryl",
}

_SIDES = {"left": "left", "right": "right", "both": "both", "bilateral": "both"}
_SIDES |= {"bilaterally": "both"}
_BODY = _words(
    """
    abdomen ankle arm armpit back breast buttock calf cheek chest collarbone ear eardrum elbow
    eye eyebrow eyelid face finger flank foot forearm forehead groin hand head heel hip jaw
    kidney knee leg lid lung neck nipple nostril palm pupil rib shin shoulder side sole temple
    testicle thigh thumb toe tonsil wrist
    """
)
_IRREGULAR = {
    "feet": "foot",
    "calves": "calf",
    "children": "child",
    "grandchildren": "grandchild",
    "gran": "grandmother",
    "grandma": "grandmother",
    "grandad": "grandfather",
    "grandpa": "grandfather",
    "wives": "wife",
    "mum": "mother",
    "mom": "mother",
    "dad": "father",
}

_RELATIVES = _words(
    """
    mother father parent sister brother sibling twin son daughter child grandmother grandfather
    grandparent grandchild grandson granddaughter aunt uncle cousin niece nephew wife husband
    """
)

_NEGATIONS = _words("no not never without denies denied deny none nor neither cannot")
_PASSED_OVER = _words(
    """
    a an the any of to is was are were has have had been be known other further more longer new
    history signs sign yet ever on in for with does do did
    """
)

_ORDINAL = re.compile(r"\b\d+(st|nd|rd|th)\b")
_TOKEN = re.compile(
    r"(?<![^\W_])\d+(?:/\d+|\.\d+)?"  # 5, 140/90, 38.5; neither HbA1c nor B12
    r"|°c?|%|[^\W\d_]+(?:/[^\W\d_]+)?|[.;,:()]"
)


_A_TIME = re.compile(
    rf"\b(for|in|after|about|within|past|last) an? (?=(?:{'|'.join(sorted(_TIMES))})\b)"
)
_PRONOUN = re.compile(rf"\bone\b(?! (?:{'|'.join(map(re.escape, sorted(_UNIT_OF)))})\b)")
_TENS_AND_ONES = re.compile(rf"\b({'|'.join(_TENS)}) ({'|'.join(_ONES[1:10])})\b")


class Note(NamedTuple):
    """A line `section: text`, taken apart."""

    section: str
    """In small letters; empty where the line has no colon."""
    text: str


Fact = tuple[str, ...]
"""Its kind, and what is said: ("number", "5", "mg", "ramipril"), ("no", "fever")."""


def note_score(answer: str, target: str) -> float:
    """The F1 of the facts of two notes, 0 to 1; 0 where the section differs.

    Args:
        answer: what a model wrote.
        target: the note wanted: a section of `SECTIONS` and at least one fact.

    Raises:
        ValueError: the target is no such note.
    """
    wanted, given = parse(target), parse(answer)
    if wanted.section not in SECTIONS:
        raise ValueError(f"no section of {', '.join(SECTIONS)} before the first colon")
    right = facts(wanted.text)
    if not right:
        raise ValueError("the note holds no fact that could be kept")
    if given.section != wanted.section:
        return 0.0
    said = facts(given.text) | _turned_round(given.text, right)
    return 2 * len(said & right) / (len(said) + len(right))


def parse(line: str) -> Note:
    """The section before the first colon, and the text after it."""
    section, colon, text = line.strip().partition(":")
    return Note(section.strip(" *#").casefold(), text.strip()) if colon else Note("", line.strip())


def facts(text: str) -> frozenset[Fact]:
    """All facts of a text: numbers, drugs, negations, sides and relatives."""
    found: set[Fact] = set()
    for sentence in _sentences(_tokens(text)):
        found |= _numbers(sentence) | _negations(sentence) | _sides(sentence)
        for token in sentence:
            if drug := _drug(token):
                found.add(("drug", drug))
            if token in _RELATIVES:
                found.add(("relative", token))
    return frozenset(found)


def _turned_round(text: str, right: frozenset[Fact]) -> set[Fact]:
    """What the target denies and the text says without denying it."""
    tokens = _tokens(text)
    denied = {fact[1] for fact in facts(text) if fact[0] == "no"}
    missing = {fact[1] for fact in right if fact[0] == "no"} - denied
    return {("yes", word) for word in missing & {_stem(token) for token in tokens}}


def _stem(word: str) -> str:
    """One form for smoke, smokes, smoked, smoker and smoking, and one for a unit's names."""
    return re.sub(r"(?<=\w{3})(ing|ed|er|e)$", "", _UNIT_OF.get(word, word))


def _tokens(text: str) -> list[str]:
    """Small letters, number words as digits, singular forms; `.` and `;` end a sentence."""
    plain = text.casefold().replace("n't", " not").replace("’", "'").replace("-", " ")
    plain = re.sub(r"(\d),(\d{3})\b", r"\1\2", plain)
    plain = re.sub(r"\bonce\b", "1 time", plain)
    plain = re.sub(r"\btwice\b", "2 times", plain)
    plain = re.sub(r"\btimes? daily\b", "times a day", plain)
    plain = re.sub(r"\b(daily|every day)\b", "1 time a day", plain)
    plain = _ORDINAL.sub(" ", plain)
    plain = _A_TIME.sub(r"\1 1 ", plain.replace("/min", " beats"))
    plain = _TENS_AND_ONES.sub(lambda m: _NUMBERS[m[1]][0] + _NUMBERS[m[2]], plain)
    plain = _PRONOUN.sub(" ", plain)
    plain = re.sub(r"(\d) (?:over|out of) (?=\d)", r"\1/", plain)
    return [_singular(_NUMBERS.get(token, token)) for token in _TOKEN.findall(plain)]


def _singular(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _UNIT_OF or len(word) < 4 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def _sentences(tokens: list[str]) -> list[list[str]]:
    sentences: list[list[str]] = [[]]
    for token in tokens:
        if token in {".", ";"}:
            sentences.append([])
        else:
            sentences[-1].append(token)
    return sentences


def _numbers(sentence: list[str]) -> set[Fact]:
    """Each number with its unit; a dose also with the nearest drug, before it where two are."""
    found: set[Fact] = set()
    for place, token in enumerate(sentence):
        if not token[0].isdigit():
            continue
        unit = _unit_after(sentence, place)
        if unit == "time":
            found.add(("number", _value(token), "time" + _period(sentence[place + 2 :])))
        elif unit in _DOSES:
            found.add(("number", _value(token), unit, _nearest_drug(sentence, place)))
        else:
            found.add(("number", _value(token), unit))
    return found


def _value(token: str) -> str:
    return token if "/" in token else f"{float(token):g}"


def _unit_after(sentence: list[str], place: int) -> str:
    """The unit of a number; of "5" in "5 to 10 mg" and "half" in "half a tablet" too."""
    rest = sentence[place + 1 : place + 4]
    while rest and rest[0] in {"a", "an", "of", "to", "or"}:
        is_range = rest[0] in {"to", "or"}
        rest = rest[1:]
        if is_range and rest and rest[0][0].isdigit():
            rest = rest[1:]
        elif is_range or sentence[place] != "0.5":
            return ""
    if rest and rest[0][0].isdigit():  # "5-10 mg"
        rest = rest[1:]
    return _UNIT_OF.get(rest[0], "") if rest else ""


def _period(rest: list[str]) -> str:
    """`/day` of "2 times a day" and `/week` of "once per week"; empty where none is said."""
    period = rest[1] if len(rest) > 1 and rest[0] in {"a", "per", "each", "every"} else ""
    return f"/{period}" if period in _TIMES else ""


def _nearest_drug(sentence: list[str], place: int) -> str:
    drugs = [(abs(at - place), at, drug) for at, t in enumerate(sentence) if (drug := _drug(t))]
    return min(drugs)[2] if drugs else ""


def _drug(token: str) -> str:
    if token in _DRUGS or token in _ALLERGENS or _DRUG_ENDINGS.fullmatch(token):
        return _DRUG_ALIASES.get(token, token)
    return ""


def _negations(sentence: list[str]) -> set[Fact]:
    """The first word of weight after each negation."""
    found: set[Fact] = set()
    for place, token in enumerate(sentence):
        if token in _NEGATIONS:
            after = [
                t for t in sentence[place + 1 :] if t not in _PASSED_OVER and t not in _NEGATIONS
            ]
            if after and after[0] not in {",", ":", "(", ")"}:
                found.add(("no", _stem(after[0])))
    return found


def _sides(sentence: list[str]) -> set[Fact]:
    """Each side with the body part that follows it, or stands before it; "left home" is none."""
    found: set[Fact] = set()
    for place, token in enumerate(sentence):
        if side := _SIDES.get(token):
            after = [t for t in sentence[place + 1 : place + 4] if t in _BODY]
            before = [t for t in reversed(sentence[:place]) if t in _BODY]
            if after or before:
                found.add(("side", side, (after or before)[0]))
            elif place and sentence[place - 1] == "the":
                found.add(("side", side, ""))
    return found
