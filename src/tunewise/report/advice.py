"""What each rule of `check` means to a person, and which to see to first. Words only."""

from typing import NamedTuple


class Advice(NamedTuple):
    """A rule in words."""

    title: str
    """What was found, for a heading."""
    remedy: str
    """What to do about it."""


RULES = {
    "too_few_rows": Advice("Too few rows", "Add rows: nothing can be decided on so few."),
    "document": Advice(
        "Documents that cannot be used", "Mend them as said, or move them out of the folder."
    ),
    "template": Advice(
        "Conversations the model's template refuses", "Change the turns, or choose another model."
    ),
    "empty_target": Advice("Rows without an answer", "Write the answers, or remove the rows."),
    "unknown_label": Advice(
        "Answers that are no declared label", "Correct them, or add them to `labels`."
    ),
    "target_cut_off": Advice(
        "Prompts that leave no room for the answer", "Shorten them: such rows teach nothing."
    ),
    "leak": Advice(
        "Test inputs that are also in train or dev",
        "Remove them from train (`--fix OUT` does): `decide` leaves them out of test.",
    ),
    "near_leak": Advice(
        "Test inputs that nearly repeat a row of train or dev",
        "Remove one of each pair, or move both to one side: `decide` leaves them out of test.",
    ),
    "document_leak": Advice(
        "Test questions that stand in a document with their answers",
        "Take them out of the documents, or test on others: `decide` leaves them out of test.",
    ),
    "overlap_leak": Advice(
        "Test inputs that share long passages with train or dev",
        "Keep rows that share a passage on one side.",
    ),
    "group_leak": Advice("Groups on both sides", "Keep each group on one side."),
    "personal_data": Advice(
        "Secrets and personal data", "Remove or replace them: a model may repeat what it learnt."
    ),
    "label_mistake": Advice("Labels that are likely wrong", "Read these rows again."),
    "contradiction": Advice(
        "One input with several answers", "Keep the right answer: nobody can give two."
    ),
    "label_spelling": Advice(
        "Labels written in several ways", "Write each in one way (`--fix OUT` does)."
    ),
    "label_typo": Advice("Labels that look like typos", "Correct them (`--fix OUT` does)."),
    "label_only_in_test": Advice(
        "Labels that only test has", "Move rows of them to train, or remove them."
    ),
    "one_answer": Advice(
        "All answers are the same", "Check that the right column is read as the answer."
    ),
    "imbalance": Advice(
        "One label for nearly all rows", "Add rows of the others, or judge by macro_f1."
    ),
    "thoughts": Advice(
        "Answers with thoughts, for a model that is not to think",
        "Set model.thinking = true, or take the thoughts out.",
    ),
    "too_long": Advice(
        "Rows longer than the context", "Shorten them, or choose a model with a longer context."
    ),
    "document_part": Advice(
        "Parts of documents that cannot be found", "Retrieval knows only what could be read."
    ),
    "duplicate": Advice(
        "Rows that repeat another", "Remove them (`--fix OUT` does) unless they should count twice."
    ),
    "near_duplicate": Advice(
        "Rows that nearly repeat another", "Keep both only if both teach something."
    ),
    "unknown_argument": Advice(
        "Calls with arguments that the tool does not have",
        "Correct the calls, or the tools' parameters: a model learns to invent arguments.",
    ),
    "missing_argument": Advice(
        "Calls without an argument that the tool requires", "Add it, or require it no more."
    ),
    "unknown_tool": Advice(
        "Calls of tools that the row does not have", "Add the tool, or correct the call."
    ),
    "special_token": Advice(
        "Text that models read as a command", "Remove it: it ends turns where none ends."
    ),
}
"""rule -> its words, the rules to see to first at the beginning."""

UNREADABLE = {
    "empty": Advice("Empty rows", "Fill them, or remove them (`--fix OUT` does)."),
    "no_answer": Advice(
        "Rows without an answer", "Write the answers, or remove the rows (`--fix OUT` does)."
    ),
    "no_question": Advice(
        "Rows without a question", "Write what is asked, or remove the rows (`--fix OUT` does)."
    ),
}
"""The same for the commonest kinds of rows that cannot be read."""


def advice_for(rule: str) -> Advice:
    """A rule in words; one that has none is named."""
    return (
        RULES.get(rule)
        or UNREADABLE.get(rule)
        or Advice(
            rule.replace("_", " ").capitalize(),
            "Mend the rows that the list of all findings names; `--fix OUT` writes a copy without "
            "those that cannot be read.",
        )
    )


def urgency(rule: str) -> int:
    """Where a rule stands among those to see to, from 0."""
    return list(RULES).index(rule) if rule in RULES else len(RULES)
