"""Searching by words alone, in many scripts."""

import json
import unicodedata

import pytest

from places import ROOT
from tunewise.data.documents.read import read_documents
from tunewise.retrieval.chunk import Passage, chunk
from tunewise.retrieval.index import ExampleIndex, Index
from tunewise.types import Example, Message

CASE = ROOT.parent / "shared" / "cases" / "19-scripts-without-spaces"

# Language -> three documents, and questions in their order.
TEXTS = {
    "ja": (
        ["靴はブラシで泥を落とし、日陰で乾かします。", "配送は三日で、番号をお送りします。",
         "保証は二年間です。領収書を保管してください。"],
        ["靴が汚れました", "配送は何日ですか", "保証期間を教えて"],
    ),
    "zh": (
        ["清洗靴子：用刷子去泥，阴凉处晾干。", "三天内送达，并发送快递单号。",
         "保修期两年，请保留发票。"],
        ["靴子脏了怎么洗", "快递几天到", "保修多久"],
    ),
    "th": (
        ["ทำความสะอาดรองเท้าด้วยแปรงและตากในที่ร่ม", "จัดส่งภายในสามวันพร้อมหมายเลขติดตาม",
         "รับประกันสองปี โปรดเก็บใบเสร็จ"],
        ["รองเท้าสกปรก", "จัดส่งกี่วัน", "รับประกันกี่ปี"],
    ),
    "hi": (
        ["जूतों को ब्रश से साफ करें और छाया में सुखाएँ।", "सामान तीन दिनों में पहुँचता है।",
         "वारंटी दो वर्ष की है, रसीद संभालकर रखें।"],
        ["जूता कैसे साफ करूँ", "सामान कब पहुँचेगा", "वारंटी कितने वर्षों की है"],
    ),
    "ko": (
        ["신발은 솔로 흙을 털고 그늘에서 말리세요.", "배송은 사흘 안에 도착합니다.",
         "보증 기간은 이 년이며 영수증을 보관하세요."],
        ["신발을 어떻게 닦나요", "배송이 언제 오나요", "보증은 몇 년인가요"],
    ),
    "ar": (
        ["نظف الأحذية بالفرشاة وجففها في الظل.", "يصل التوصيل خلال ثلاثة أيام.",
         "الضمان سنتان، احتفظ بالفاتورة."],
        ["هل أستعمل فرشاة", "متى يصل توصيلي", "كم مدة ضمان المنتج"],
    ),
    "he": (
        ["נקו את הנעליים במברשת וייבשו בצל.", "המשלוח מגיע תוך שלושה ימים.",
         "האחריות היא לשנתיים, שמרו את הקבלה."],
        ["איך מנקים נעליים", "מתי יגיע משלוח", "כמה זמן אחריות יש"],
    ),
    "ru": (
        ["Очистите ботинки щёткой и сушите в тени.", "Доставка занимает три дня.",
         "Гарантия два года, сохраните чек."],
        ["чем чистить ботинок, щеткой?", "сроки доставки", "сколько лет гарантии"],
    ),
    "bn": (
        ["জুতা ব্রাশ দিয়ে পরিষ্কার করুন।", "তিন দিনের মধ্যে ডেলিভারি পৌঁছায়।", "ওয়ারেন্টি দুই বছরের।"],
        ["জুতার যত্ন", "ডেলিভারি কবে", "ওয়ারেন্টি কত বছর"],
    ),
}  # fmt: skip


def passages(language: str, form: str = "NFC") -> list[Passage]:
    return [
        Passage(
            id=f"{language}{n}#1",
            document=f"{language}{n}",
            heading="",
            text=unicodedata.normalize(form, text),
        )
        for n, text in enumerate(TEXTS[language][0])
    ]


def first(index: Index, question: str) -> str | None:
    hits = index.search(question, 3, "bm25")
    return hits[0].passage.document if hits else None


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("language", TEXTS)
def test_the_document_is_found_first_however_its_letters_are_composed(
    language: str, form: str
) -> None:
    index = Index(passages(language, form))
    for n, question in enumerate(TEXTS[language][1]):
        for asked in (question, unicodedata.normalize("NFD", question), f"\u200b{question}\ufeff"):
            assert first(index, asked) == f"{language}{n}", question


def test_nearest_examples_share_words_in_any_script() -> None:
    rows = [
        Example(id=f"{language}{n}", messages=(Message(role="user", content=text),), target="x")
        for language, (documents, _) in TEXTS.items()
        for n, text in enumerate(documents)
    ]
    index = ExampleIndex(rows)
    for language in ("th", "hi", "ko", "ru"):
        for n, question in enumerate(TEXTS[language][1]):
            assert index.nearest(question, 1)[0].id == f"{language}{n}"


@pytest.mark.skipif(not CASE.is_dir(), reason="the folder of cases is not here")
def test_words_alone_find_every_document_of_the_case() -> None:
    index = Index(chunk(read_documents(CASE / "docs"), words=120))
    wanted = json.loads((CASE / "queries.json").read_text("utf-8"))
    assert {question: first(index, question) for question in wanted} == {
        question: f"{document}.md" for question, document in wanted.items()
    }
