import pytest

from tunewise.retrieval.stems import Stems


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Shipping is free and the return of a parcel is not.", "english"),
        ("Der Versand ist kostenlos, die Rückgabe nicht.", "german"),
        ("El envío es gratis y la devolución no lo es para los clientes.", "spanish"),
        ("La livraison est gratuite pour les clients et le retour ne l'est pas.", "french"),
        ("La spedizione è gratuita e il reso non è per tutti.", "italian"),
        ("O envio é gratuito e a devolução não é para os clientes.", "portuguese"),
        ("De levering is gratis en het retour van een pakket niet.", "dutch"),
        ("Det är gratis att skicka en retur och det är för alla.", "swedish"),
        ("Przesyłka jest darmowa, ale zwrot nie jest.", "polish"),
        ("Toimitus on ilmainen ja palautus ei ole.", "finnish"),
        ("Reset: router, firmware, LED", "english"),
        ("配送は無料です", "english"),
    ],
)
def test_the_language_is_that_whose_commonest_words_a_collection_holds(
    text: str, language: str
) -> None:
    assert Stems([text]).language == language


def test_questions_are_stemmed_like_the_collection() -> None:
    german = Stems(["Die Lieferung ist da und der Bote ist nicht mehr da."])
    assert german.of("Lieferungen") == german.of("die LIEFERUNG") == ["liefer"]
    assert Stems(["The deliveries are late."]).of("the delivery") == ["deliveri"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("доставка", "доставки"),
        ("щётка", "щетку"),
        ("गारंटी", "गारंटियों"),
        ("الضمان", "ضمان"),
        ("مُنتَجٌ", "المنتج"),
        ("παράδοση", "παραδόσεις"),
        ("کتاب‌ها", "کتابها"),
    ],
)
def test_words_of_other_scripts_have_their_own_stemmer(one: str, other: str) -> None:
    collection = Stems(["the documents are in " + one])
    assert collection.of(one) == collection.of(other) != []


def test_where_no_stemmer_is_known_words_share_runs_of_letters() -> None:
    hebrew = Stems(["האחריות היא לשנתיים"])
    assert set(hebrew.of("האחריות")) & set(hebrew.of("אחריות"))
    assert not set(hebrew.of("משלוח")) & set(hebrew.of("אחריות"))


def test_stop_words_are_those_of_the_language_alone() -> None:
    assert Stems(["Der Bote ist da und die Post ist da."]).of("war in the die Post") == [
        "war", "in", "the", "post",
    ]  # fmt: skip
    assert Stems(["The post is in the van."]).of("die Post is in") == ["die", "post"]


def test_single_digits_and_letters_stay() -> None:
    assert Stems(["Kestrel 2 has x"]).of("Kestrel 4 x") == ["kestrel", "4", "x"]
