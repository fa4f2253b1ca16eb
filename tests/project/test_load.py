from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunewise.errors import UserError
from tunewise.project.examples import demo_folder
from tunewise.project.faults import SettingsError
from tunewise.project.infer_task import infer_task
from tunewise.project.load import load_project, resolved_toml
from tunewise.project.settings import SEARCHING_CONTENDERS, USUAL_CONTENDERS, Project
from tunewise.types import Example, Message

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "examples.jsonl").write_text("{}\n")
    (tmp_path / "docs").mkdir()

    def _write(text: str) -> Path:
        (tmp_path / "tunewise.toml").write_text(text, encoding="utf-8")
        return tmp_path

    return _write


def faults(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_project(path, overrides)
    return str(caught.value).splitlines()


def examples(targets: list[str]) -> list[Example]:
    return [
        Example(id=str(n), messages=(Message(role="user", content=f"row {n}"),), target=target)
        for n, target in enumerate(targets)
    ]


def test_a_bare_data_file_is_a_project_with_every_default(write: Write) -> None:
    folder = write("")
    project = load_project(folder / "examples.jsonl")
    assert project.data.examples == (folder / "examples.jsonl",)
    assert project.root == folder
    assert project.model.base == "smollm2-135m-instruct"
    assert project.contenders.use == USUAL_CONTENDERS
    assert project.training.seeds == 3
    assert project.training.learning_rate == "auto"
    assert project.decision.minimum_gain == 0.05


def test_the_embedded_example_is_a_project() -> None:
    assert load_project(demo_folder()).root == demo_folder()


def test_a_folder_and_its_file_load_the_same(write: Write) -> None:
    folder = write('[data]\nexamples = "examples.jsonl"\n')
    assert load_project(folder) == load_project(folder / "tunewise.toml")


def test_every_key_of_the_design_is_understood(write: Write) -> None:
    project = load_project(
        write(
            """
[task]
instruction = "Classify the message"
kind = "classification"
labels = ["a", "b"]
metric = "accuracy"
[data]
examples = "examples.jsonl"
documents = "docs/"
group = "customer_id"
[model]
base = "smollm2-135m-instruct"
engine = "auto"
[contenders]
use = ["fine_tune", "constant"]
variants = ["Say a or b."]
budget_tokens = 500000
[contenders.big]
type = "openai"
model = "gpt-x"
base_url = "http://127.0.0.1:8000/v1"
candidate = true
[training]
method = "sft"
adapter = "lora"
rank = 8
learning_rate = 5e-4
epochs = 2
batch_tokens = "auto"
seeds = 3
[decision]
minimum_gain = 0.1
minimum_quality = 0.85
retention_margin = 0.03
maximum_latency_ms = 800
monthly_requests = 100000
[prices]
prompt_tokens = 0.5
hosting_hour = 1
"""
        )
    )
    assert project.task.labels == ("a", "b")
    assert project.contenders.use == ("constant", "fine_tune")
    assert project.contenders.endpoints[0].name == "big"
    assert project.contenders.endpoints[0].candidate
    assert project.contenders.endpoints[0].api_key_env == "OPENAI_API_KEY"
    assert project.training.learning_rate == 5e-4
    assert project.decision.maximum_latency_ms == 800
    assert project.prices.hosting_hour == 1.0


def test_prices_that_cannot_be_are_faults(write: Write) -> None:
    found = faults(
        write(
            """[data]
examples = "examples.jsonl"
[contenders.big]
type = "openai"
model = "x"
currency = "EUR"
completion_tokens = -1
[prices]
prompt_tokens = -0.5
utilisation = 50
retraining_months = 0
labelling_per_example = "1"
value_per_pont = 2
"""
        )
    )
    assert [line.split(": ", 1)[1] for line in found] == [
        "contenders.big.currency: is EUR, but [prices] are in USD. Write all prices in one "
        "currency, and name it under [prices].",
        "contenders.big.completion_tokens: is out of range. Choose from 0 to 1e+06.",
        "prices.prompt_tokens: is out of range. Choose from 0 to 1e+06.",
        "prices.utilisation: is out of range. Choose from 0.001 to 1.",
        "prices.retraining_months: is out of range. Choose from 0.1 to 1200.",
        'prices.labelling_per_example: must be a number, not "1". Write one without quotes.',
        'prices.value_per_pont: unknown key. Did you mean "value_per_point"?',
    ]


def test_an_endpoint_has_prices_of_its_own(write: Write) -> None:
    project = load_project(
        write(
            """[data]
examples = "examples.jsonl"
[contenders.big]
type = "openai"
model = "x"
currency = "EUR"
prompt_tokens = 2
completion_tokens = 8
[prices]
currency = "EUR"
prompt_tokens = 0.1
"""
        )
    )
    (big,) = project.contenders.endpoints
    assert (big.prompt_tokens, big.cached_tokens, big.completion_tokens) == (2, None, 8)
    assert project.prices.prompt_tokens == 0.1


def test_all_faults_are_reported_together_with_their_lines(write: Write) -> None:
    found = faults(
        write(
            """[task]
metirc = "accuracy"
kind = "clasification"
[data]
examples = "gone.jsonl"
[training]
epochs = 0
rank = "many"
[decision]
minimum_gain = nan
"""
        )
    )
    assert [line.split("tunewise.toml:")[1].split(":")[:2] for line in found] == [
        ["2", " task.metirc"],
        ["3", " task.kind"],
        ["5", " data.examples"],
        ["7", " training.epochs"],
        ["8", " training.rank"],
        ["10", " decision.minimum_gain"],
    ]
    assert 'Did you mean "metric"?' in found[0]
    assert 'Did you mean "classification"?' in found[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[data]\n", "data.examples: is missing"),
        ('[data]\ntrain = "examples.jsonl"', "data.test: is missing"),
        ('[data]\nexamples="examples.jsonl"\ntest="examples.jsonl"', "cannot stand beside"),
        ('[data]\nexamples="examples.jsonl"\ninput="q"', "data.output: is missing"),
        ('[data]\nexamples="examples.jsonl"\nchosen="q"', "data.rejected: is missing"),
        ('[data]\nexamples="examples.jsonl"\nmessages="a"\ntext="b"', "data.text: cannot stand"),
        ('[data]\nexamples="examples.jsonl"\ntest_size=0.95', "data.test_size: is out of range"),
        ('data = "examples.jsonl"', "must be a table"),
        ('[dta]\nexamples = "x"', 'Did you mean "data"?'),
        ('[task]\nmetric = "judge"', "is judge, which chooses nothing"),
        ('[task]\nmetric = "rouge"', 'Did you mean "rouge_l"?'),
        ('[task]\nlabels = ["a", "a"]', 'names "a" more than once'),
        ('[task]\ninstruction = ""', "must be a text"),
        ('[contenders]\nuse = ["finetune"]', 'Did you mean "fine_tune"?'),
        ("[contenders]\nuse = []", "is empty"),
        ('[contenders.big]\nmodel = "m"', "contenders.big.type: is missing"),
        ('[contenders.big]\ntype = "openai"', "contenders.big.model: is missing"),
        ('[contenders.rag]\ntype = "openai"\nmodel="m"', "cannot be an endpoint's name"),
        ('[contenders.b]\ntype="openai"\nmodel="m"\nbase_url="here"', "is no address"),
        ('[model]\nengine = "openvinno"', 'Did you mean "openvino"?'),
        ('[model]\nbase = "./gone.gguf"', "does not exist"),
        ('[training]\nmethod = "dpoo"', 'Did you mean "dpo"?'),
        ('[training]\nadapter = "qlora4"', 'Did you mean "qlora"?'),
        (
            '[training]\nmethod = "distill"\nadapter = "full"',
            "full leaves no base to be the teacher",
        ),
        (
            '[training]\nmethod = "distill"\ninitialisation = "pissa"',
            "changes the base, which is the teacher",
        ),
        ('[training]\nadapter = "dora"\ninitialisation = "pissa"', "goes with lora and rslora"),
        ('[training]\nloss = "ipo"\nlabel_smoothing = 0.1', "belongs to the loss sigmoid"),
        ('[training]\ntrack = ["tensorbord"]', 'Did you mean "tensorboard"?'),
        ("[training]\nseeds = true", "must be a whole number, not true"),
        ("[training]\nseeds = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFF", "is out of range"),
        ('[contenders]\nbudget_tokens = "much"', "must be a whole number"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_do(write: Write, text: str, expected: str) -> None:
    assert any(expected in line for line in faults(write(text)))


def test_a_key_in_place_of_its_variable_name_is_not_repeated(write: Write) -> None:
    found = faults(write('[model]\napi_key_env = "sk-secret"'))
    assert any("must be the name of an environment variable" in line for line in found)
    assert "sk-secret" not in "\n".join(found)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[task]\nkind = \n", "tunewise.toml:2: is not TOML"),
        (b"[task]\n# caf\xe9\n", "tunewise.toml:2: is not UTF-8"),
        (b"x = " + b"[" * 5000, "too deep"),
        (b"x = " + b"1" * 5000, "too long"),
        (b'\xef\xbb\xbf[data]\nexamples = "gone"', "tunewise.toml:2: data.examples"),
    ],
)
def test_a_broken_file_is_one_clear_message(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "tunewise.toml").write_bytes(content)
    assert expected in faults(tmp_path)[0]


def test_a_folder_without_the_file_says_what_to_do(tmp_path: Path) -> None:
    assert "holds no tunewise.toml. Let `tunewise init" in faults(tmp_path)[0]
    assert "does not exist" in faults(tmp_path / "gone")[0]


def test_lines_are_found_behind_texts_and_lists_of_many_lines(write: Write) -> None:
    found = faults(
        write(
            '[task]\ninstruction = """\nkind = no key\n"""\nlabels = [\n  "a=b",\n  "c",\n]\n'
            "kind = 3\n"
        )
    )
    assert any("tunewise.toml:9: task.kind" in line for line in found)


def test_overrides_win_and_bare_words_are_texts(write: Write) -> None:
    folder = write('[data]\nexamples = "examples.jsonl"\n[training]\nepochs = 5\n')
    project = load_project(
        folder,
        [
            "training.epochs=2",
            "training.adapter=rslora",
            "task.instruction=2024",
            "data.limit_test=7",
        ],
    )
    assert project.training.epochs == 2
    assert project.training.adapter == "rslora"
    assert project.task.instruction == "2024"
    assert project.data.limit_test == 7


def test_a_wrong_override_is_named_as_one(write: Write) -> None:
    folder = write('[data]\nexamples = "examples.jsonl"\n')
    assert faults(folder, "training.epohcs=2") == [
        '--set training.epohcs: unknown key. Did you mean "epochs"?'
    ]
    assert "must be key=value" in faults(folder, "epochs")[0]
    assert "is no table" in faults(folder, "data.examples.x=1")[0]


def test_overridden_paths_start_where_the_person_stands(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write("")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "manuals").mkdir(parents=True)
    monkeypatch.chdir(elsewhere)
    project = load_project(folder / "examples.jsonl", ["data.documents=manuals"])
    assert project.data.documents == (elsewhere / "manuals",)


def test_contenders_named_on_the_command_line_leave_endpoints_out(write: Write) -> None:
    folder = write('[data]\nexamples="examples.jsonl"\n[contenders.big]\ntype="openai"\nmodel="m"')
    assert load_project(folder, ['contenders.use=["constant"]']).contenders.endpoints == ()
    both = load_project(folder, ['contenders.use=["big", "constant"]']).contenders
    assert both.use == ("constant",)
    assert [endpoint.name for endpoint in both.endpoints] == ["big"]


def test_rag_without_documents_is_no_fault(write: Write) -> None:
    folder = write('[data]\nexamples="examples.jsonl"\n[contenders]\nuse=["rag","fine_tune_rag"]')
    assert load_project(folder).contenders.use == ("rag", "fine_tune_rag")


def round_trip(project: Project, folder: Path) -> Project:
    folder.mkdir(exist_ok=True)
    (folder / "project.toml").write_text(resolved_toml(project), encoding="utf-8")
    return load_project(folder / "project.toml")


def test_the_resolved_project_loads_back_equal_from_another_folder(write: Write) -> None:
    folder = write(
        '[data]\nexamples="examples.jsonl"\ndocuments="docs"\n'
        '[contenders]\nuse=["constant"]\nvariants=["Say \\"a\\"\\nor b \\\\ \\u007f"]\n'
        '[contenders."big.one"]\ntype="openai"\nmodel="m"\n[training]\nlearning_rate=1e-5\n'
    )
    project = load_project(folder, ["task.labels=['x','y']", "decision.minimum_quality=0.9"])
    assert round_trip(project, folder / "run") == project


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(instruction=st.text(min_size=1).filter(str.strip), rank=st.integers(1, 1024))
def test_any_instruction_survives_the_resolved_file(
    write: Write, instruction: str, rank: int
) -> None:
    folder = write('[data]\nexamples="examples.jsonl"\n')
    values = [f"task.instruction={instruction}", f"training.rank={rank}"]
    project = load_project(folder, values)
    assert round_trip(project, folder / "run") == project


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    line=st.one_of(
        st.text(max_size=40),
        st.builds(
            "{}={}".format,
            st.sampled_from(
                ["task.labels", "data.seed", "contenders.use", "contenders.x.y", "root"]
            ),
            st.sampled_from(["nan", "[]", "{}", "1979-05-27", "[[1]]", "''", "0x1", "-1", "\x00"]),
        ),
    )
)
def test_no_override_ends_in_anything_but_a_project_or_a_clear_error(
    write: Write, line: str
) -> None:
    folder = write('[data]\nexamples="examples.jsonl"\n')
    try:
        project = load_project(folder, [line])
    except UserError as error:
        message = str(error)
    else:
        message = ""
        assert round_trip(project, folder / "run") == project
    assert message[:5] in ("", "--set")


@pytest.mark.parametrize(
    ("targets", "documents", "kind", "metric"),
    [
        (["yes", "no"] * 10, False, "classification", "accuracy"),
        (['{"a": 1}', '{"a": 2}', "sorry"], False, "extraction", "json_fields"),
        ([f"{n} kg" for n in range(20)], True, "qa", "token_f1"),
        ([f"Dear customer {n}, thank you." for n in range(20)], False, "generation", "rouge_l"),
        ([f"{n}" * 9 + " words" * 40 for n in range(20)], True, "generation", "rouge_l"),
    ],
)
def test_the_kind_of_task_follows_from_the_answers(
    write: Write, targets: list[str], documents: bool, kind: str, metric: str
) -> None:
    folder = write('[data]\nexamples="examples.jsonl"\n')
    project = load_project(folder, ["data.documents=docs"] if documents else [])
    inferred = infer_task(project, examples(targets))
    assert (inferred.project.task.kind, inferred.project.task.metric) == (kind, metric)
    assert f"kind {kind}" in inferred.reason
    assert f"metric {metric}" in inferred.reason


def test_labels_are_the_distinct_answers(write: Write) -> None:
    project = load_project(write('[data]\nexamples="examples.jsonl"\n'))
    task = infer_task(project, examples(["no", "yes", "yes", "no", "no", "yes"])).project.task
    assert task.labels == ("no", "yes")


def test_what_the_project_says_is_kept_and_needs_no_reason(write: Write) -> None:
    project = load_project(
        write('[task]\nkind="generation"\nmetric="chrf"\n[data]\nexamples="examples.jsonl"\n')
    )
    inferred = infer_task(project, examples(["yes", "no"] * 10))
    assert inferred.project == project
    assert inferred.reason == ""


def test_declared_labels_that_nobody_can_tell_apart_are_refused(write: Write) -> None:
    with pytest.raises(UserError) as refused:
        load_project(write('[task]\nlabels = ["Yes", "No", "yes.", "C", "C#", "YES\u200b"]\n'))
    assert '"Yes", "yes.", "YES<U+200B>" are one label' in str(refused.value)
    assert "C#" not in str(refused.value)


def test_inferred_labels_are_one_for_all_spellings(write: Write) -> None:
    answers = [*["Yes"] * 4, *["yes"] * 3, "YES", *["No"] * 4, *["NO."] * 3, "N\u200bo"]
    project = load_project(write('[data]\nexamples="examples.jsonl"\n'))
    assert infer_task(project, examples(answers)).project.task.labels == ("No", "Yes")


def test_long_answers_without_spaces_are_no_short_ones(write: Write) -> None:
    answers = [f"返品は三十日以内に受け付けます。番号は{n}です。" * 4 for n in range(9)]
    folder = write('[data]\nexamples="examples.jsonl"\n')
    project = load_project(folder, ["data.documents=docs"])
    assert infer_task(project, examples(answers)).project.task.kind == "generation"


# --- thinking


@pytest.mark.parametrize(
    ("written", "read"), [("true", True), ("false", False), ('"auto"', "auto")]
)
def test_thinking_is_true_false_or_auto(tmp_path: Path, written: str, read: object) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"input": "a", "output": "b"}\n')
    project = load_project(file, [f"model.thinking={written}", "model.thinking_tokens=64"])
    assert (project.model.thinking, project.model.thinking_tokens) == (read, 64)
    with pytest.raises(UserError, match=r'must be true, false or "auto", not "yes"'):
        load_project(file, ["model.thinking=yes"])


def test_answers_with_thoughts_turn_thinking_on_and_are_inferred_by_what_follows(
    tmp_path: Path,
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"input": "a", "output": "b"}\n')
    project = load_project(file)
    thought = [f"<think>case {n}</think>\n{'yes' if n % 2 else 'no'}" for n in range(20)]
    inferred = infer_task(project, examples(thought)).project
    assert (inferred.task.kind, inferred.task.labels) == ("classification", ("no", "yes"))
    assert inferred.model.thinking is True
    plain = infer_task(project, examples(["yes", "no"] * 10)).project
    assert plain.model.thinking == "auto"
    off = load_project(file, ["model.thinking=false"])
    assert infer_task(off, examples(thought)).project.model.thinking is False


# Several base models


BASES = '[data]\nexamples = "examples.jsonl"\n[model]\nbase = {}\n'


def test_one_base_is_a_text_as_ever_and_several_are_as_named(write: Write) -> None:
    one = load_project(write(BASES.format('"smollm2-135m-instruct"'))).model
    assert (one.base, one.bases) == ("smollm2-135m-instruct", ("smollm2-135m-instruct",))
    assert load_project(write(BASES.format('["org/a"]'))).model.base == "org/a"
    folder = write(BASES.format('["smollm2-135m-instruct", "./docs", "org/a"]'))
    several = load_project(folder).model
    assert several.bases == ("smollm2-135m-instruct", str(folder / "docs"), "org/a")
    assert several.base == several.bases


def test_several_bases_can_be_given_on_the_command_line(write: Write) -> None:
    folder = write(BASES.format('"org/a"'))
    assert load_project(folder, ['model.base=["org/b", "org/c"]']).model.bases == ("org/b", "org/c")


def test_a_run_folder_keeps_several_bases(write: Write, tmp_path: Path) -> None:
    project = load_project(write(BASES.format('["./docs", "org/a"]')))
    kept = tmp_path / "kept.toml"
    kept.write_text(resolved_toml(project))
    assert load_project(kept) == project


def test_all_that_is_wrong_with_a_list_of_bases_is_told_at_once(write: Write) -> None:
    folder = write(BASES.format('["./none", "org/a", 3, "org/a", "./docs", "docs/", "x/y"]'))
    found = faults(folder)
    assert all(":4: model.base: " in line for line in found)
    assert {line.partition("model.base: ")[2] for line in found} == {
        f"{folder / 'none'} does not exist. Check the name and the folder.",
        "must be a text, not a number. Write it in quotes.",
        'names "org/a" more than once. Remove the repetition.',
        "names more than 4 models, each to be trained. Remove some.",
        'names "docs/" more than once. Remove the repetition.',
    }


@pytest.mark.parametrize("value", ["[]", "3", '""', '[""]', "true"])
def test_what_is_no_name_of_a_model_is_one_fault(write: Write, value: str) -> None:
    (found,) = faults(write(BASES.format(value)))
    assert ":4: model.base: " in found


@pytest.mark.parametrize("engine", ["openai", "scripted"])
def test_an_endpoint_is_one_model(write: Write, engine: str) -> None:
    (found,) = faults(write(BASES.format(f'["org/a", "org/b"]\nengine = "{engine}"')))
    assert "model.base: names several models, but the engine" in found


# An endpoint that proposes wordings


COACH = """
[data]
examples = "examples.jsonl"
[contenders]
use = ["constant", "prompt"{use}]
[contenders.coach]
type = "openai"
model = "large"
optimises = true
{more}
"""


def test_an_optimiser_takes_no_part_itself_and_is_kept_with_the_run(
    write: Write, tmp_path: Path
) -> None:
    project = load_project(write(COACH.format(use="", more="")))
    assert project.contenders.endpoints == ()
    assert project.contenders.optimiser is not None
    assert project.contenders.optimiser.name == "coach"
    assert [one.name for one in project.contenders.asked] == ["coach"]
    kept = tmp_path / "kept.toml"
    kept.write_text(resolved_toml(project))
    assert load_project(kept) == project


def test_contenders_named_on_the_command_line_leave_the_optimiser_to_prompt(write: Write) -> None:
    folder = write(COACH.format(use="", more=""))
    with_prompt = load_project(folder, ['contenders.use=["constant", "prompt"]'])
    without = load_project(folder, ['contenders.use=["constant"]'])
    assert [one.name for one in with_prompt.contenders.asked] == ["coach"]
    assert without.contenders.asked == ()


@pytest.mark.parametrize(
    ("use", "more", "key"),
    [
        (', "coach"', "", 'contenders.use: "coach" proposes wordings and takes no part'),
        ("", "candidate = true", "contenders.coach.candidate: goes not with optimises"),
        (
            "",
            '[contenders.other]\ntype = "openai"\nmodel = "m"\noptimises = true',
            "contenders.other.optimises: coach proposes wordings already",
        ),
    ],
)
def test_what_an_optimiser_cannot_be_is_one_clear_fault(
    write: Write, use: str, more: str, key: str
) -> None:
    (found,) = faults(write(COACH.format(use=use, more=more)))
    assert key in found


def test_faults_are_known_by_their_keys(tmp_path: Path) -> None:
    file = tmp_path / "tunewise.toml"
    file.write_text('[task]\nkind = "poem"\n[data]\nexamples = "gone.csv"\n[x]\n')
    with pytest.raises(SettingsError) as caught:
        load_project(file)
    keys = [key for key, _ in caught.value.faults]
    assert keys == [("task", "kind"), ("data", "examples"), ("x",)]
    assert str(caught.value).count("\n") == 2


def test_a_search_has_contenders_of_its_own(write: Write) -> None:
    text = '[task]\nkind = "search"\n[data]\nexamples = "examples.jsonl"\ndocuments = "docs"\n'
    project = load_project(write(text))
    assert project.contenders.use == SEARCHING_CONTENDERS
    assert load_project(write(resolved_toml(project))) == project


@pytest.mark.parametrize(
    ("task", "contenders", "what"),
    [
        ('kind = "search"', 'use = ["bm25", "few_shot"]', '"few_shot" ranks no documents'),
        ('kind = "qa"', 'use = ["bm25"]', '"bm25" is for [task] kind = "search" alone'),
        ('kind = "search"\nmetric = "rouge_l"', "", "rouge_l judges no rankings"),
        ('kind = "qa"\nmetric = "ndcg_at_10"', "", "ndcg_at_10 judges rankings"),
        (
            'kind = "search"',
            '[contenders.big]\ntype = "openai"\nmodel = "x"',
            "answers in words",
        ),
    ],
)
def test_what_ranks_and_what_answers_are_not_mixed(
    write: Write, task: str, contenders: str, what: str
) -> None:
    text = (
        f'[task]\n{task}\n[data]\nexamples = "examples.jsonl"\ndocuments = "docs"\n'
        f"[contenders]\n{contenders}\n"
    )
    assert any(what in line for line in faults(write(text)))


def test_a_search_without_documents_has_nothing_to_find(write: Write) -> None:
    text = '[task]\nkind = "search"\n[data]\nexamples = "examples.jsonl"\n'
    assert any("search needs documents" in line for line in faults(write(text)))
