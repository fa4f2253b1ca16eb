"""Finds the answer proper in what a model wrote: without its thoughts, a fence around, a mark.

A text comes in, a text goes out.
"""

import json
import re
from functools import lru_cache
from typing import NamedTuple

_THINKING = r"(?:seed:)?think|thinking|thoughts?|reasoning|scratchpad"
# What stands between these is a thought. Tags are XML's; the rest are tokens of model families:
# Mistral, Sky-T1, Command A, Kimi-VL, Gemma 4, MedGemma.
_PAIRS = (
    (rf"<(?P<tag>{_THINKING})(?:\s[^<>]*)?>", r"</(?P=tag)\s*>"),
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|channel>thought\b", r"<channel\|>"),
    (r"<unused94>", r"<unused95>"),
)
# A tag in back-ticks is spoken about.
_BLOCK = re.compile(
    "|".join(
        rf"(?<!`){opening}(?P<inside{number}>.*?)(?<!`){closing}"
        for number, (opening, closing) in enumerate(_PAIRS)
    ),
    re.DOTALL | re.IGNORECASE,
)
_OPENING = re.compile(
    rf"(?<!`)(?:<(?:{_THINKING})(?:\s[^<>]*)?>|{'|'.join(pair[0] for pair in _PAIRS[1:])})",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"(?<!`)(?:</(?:{_THINKING})\s*>|{'|'.join(pair[1] for pair in _PAIRS[1:])})", re.IGNORECASE
)
_CLOSING_ON_A_LINE = re.compile(
    rf"(?:^|\n)[ \t]*{_CLOSING.pattern}|{_CLOSING.pattern}[ \t]*\n", re.I
)
# gpt-oss writes channels: thoughts are `analysis`, the answer is `final`. Where special tokens were
# left out, the words alone remain.
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(?P<name>\w+)(?:\s+to=[\w.]+)?(?:\s*<\|constrain\|>\s*\w+)?\s*(?:<\|message\|>)?"
)
_END_OF_MESSAGE = re.compile(r"<\|(?:return|end|call|start)\|>")
_BARE_CHANNELS = re.compile(r"analysis(?P<thoughts>.*)assistant\s*final", re.DOTALL)

_FENCE = re.compile(r"(?P<sign>`{3,}|~{3,})")
_LANGUAGE = re.compile(r"\s*[\w+#.-]*\s*")
# On one line a word before the content is a language only if it is known as one.
_LANGUAGE_BEFORE = re.compile(
    r"^(?:json[5cl]?|jsonlines|javascript|js|typescript|ts|te?xt|plain(?:text)?|xml|html|ya?ml|csv"
    r"|toml|python|py|sql|bash|sh|markdown|md)(?:\s+(?=\S)|(?=[{\[]))",
    re.IGNORECASE,
)
_WRAPPED = re.compile(
    r"<(?P<tag>answer|final_answer|output)>(?P<inside>.*?)(?:</(?P=tag)>)?", re.DOTALL | re.I
)

# What introduces an answer after steps. The last of these marks counts ...
_MARK = re.compile(
    r"\b(?:final\s+)?answer[*_]*\s*(?:is\s*)?[:：][*_]*"
    r"|^[ \t#*_]*(?:the\s+)?(?:final\s+)?answer[ \t*_]*\n"
    r"|^[ \t]*####(?!#)"
    r"|\\f?box(?:ed)?(?=\{)",
    re.IGNORECASE | re.MULTILINE,
)
# ... and a sentence only where there is none.
_SENTENCE = re.compile(r"\b(?:final\s+)?answer\s+is\s+(?P<said>\S[^\n]*)", re.IGNORECASE)
_BOX = re.compile(r"\\f?box(?:ed)?(?=\{)", re.IGNORECASE)
_TEX_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\{(?P<said>[^{}]*)\}")
_ASKS_FOR_MARK = re.compile(
    r"answer\s*[:：]|final answer|the answer is|####|\\boxed", re.IGNORECASE
)
_ASKS_FOR_STEPS = re.compile(r"\bsteps?\b|\breason|\bthink|\bwork(?:ing)?\b", re.IGNORECASE)
_CLOSING_MARK = re.compile(
    r"(?:^|\n)[ \t]*####(?!#)[^\n]*\s*$|\\f?box(?:ed)?\{[^\n]*\}[.$]*\s*$", re.I
)


class Split(NamedTuple):
    """A model's text in two."""

    thoughts: str
    """What it thought, without the tags; empty: nothing."""
    answer: str | None
    """What it answered; None: its thoughts have no end, so that there is no answer."""


@lru_cache(maxsize=20_000)
def split_thoughts(text: str) -> Split:
    """Tells a model's thoughts from its answer.

    Thoughts stand between tags (`<think>`, `[THINK]`, ...), before a closing tag whose opening one
    was part of the prompt, or in the channel `analysis` of gpt-oss. After an opening tag without a
    closing one all is thought, and there is no answer. JSON is no thought, whatever its texts hold.
    """
    if "<|channel|>" in text:
        return _split_channels(text)
    if bare := _BARE_CHANNELS.match(text.lstrip()):
        return Split(bare["thoughts"].strip(), text.lstrip()[bare.end() :].strip())
    if not (_OPENING.search(text) or _CLOSING.search(text)) or _is_json(text):
        return Split("", text)
    thoughts = [_inside(block) for block in _BLOCK.finditer(text)]
    rest = _BLOCK.sub("", text)
    if closings := list(_CLOSING.finditer(rest)):
        thoughts.append(_CLOSING.sub("", rest[: closings[-1].start()]))
        rest = rest[closings[-1].end() :]
    opening = _OPENING.search(rest)
    if opening:
        thoughts.append(rest[opening.end() :])
    joined = "\n".join(thought.strip() for thought in thoughts if thought.strip())
    return Split(joined, None if opening else rest.strip())


def _split_channels(text: str) -> Split:
    channels = list(_CHANNEL.finditer(text))
    parts: dict[str, list[str]] = {}
    for number, channel in enumerate(channels):
        end = channels[number + 1].start() if number + 1 < len(channels) else len(text)
        message = _END_OF_MESSAGE.split(text[channel.end() : end], maxsplit=1)[0]
        parts.setdefault(channel["name"], []).append(message.strip())
    said = parts.get("final") or parts.get("commentary")
    return Split("\n".join(parts.get("analysis", [])), said[-1] if said else None)


_OPENED = re.compile(rf"{_OPENING.pattern}\s*$", re.IGNORECASE)
_CLOSED_BY = {
    "[think]": "[/THINK]",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|END_THINKING|>",
    "◁think▷": "◁/think▷",
    "<|channel>thought": "<channel|>",
    "<unused94>": "<unused95>",
}


def opened_thought(prompt: str) -> str:
    """The tag (with white space after it) that opens a thought at the end of a prompt; or ""."""
    opened = _OPENED.search(prompt)
    return opened.group() if opened else ""


def close_thought(prompt: str) -> str:
    """A prompt whose end opens a thought with that thought closed, empty; any other as it is."""
    opened = opened_thought(prompt)
    if not opened:
        return prompt
    tag = opened.strip()
    begun = prompt.removesuffix(opened)
    token = _CLOSED_BY.get(tag.lower())
    if token:
        return f"{begun}{tag}{token}"
    name = re.split(r"[\s>]", tag[1:], maxsplit=1)[0]
    return f"{begun}{tag}\n\n</{name}>\n\n"


def is_empty_thought(text: str) -> bool:
    """Whether a text is a thought of white space alone, and nothing else."""
    found = _BLOCK.fullmatch(text.strip())
    return found is not None and not _inside(found).strip()


def usual_form(text: str) -> str | None:
    """A text that begins with a thought as Qwen3's template would write it; None: it has none."""
    block = _BLOCK.match(text.strip())
    if not block:
        return None
    rest = text.strip()[block.end() :]
    return f"<think>\n{_inside(block).strip()}\n</think>\n\n{rest.lstrip()}"


def _inside(block: re.Match[str]) -> str:
    return next(text for n in range(len(_PAIRS)) if (text := block.group(f"inside{n}")) is not None)


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object or list, so that tags in it are content."""
    inside = unfenced(text)
    stripped = (text if inside is None else inside).strip()
    if not stripped.startswith(("{", "[")):
        return False
    try:
        json.loads(stripped)
    except (ValueError, RecursionError):
        return False
    return True


def unfenced(text: str) -> str | None:
    """What one code fence (three or more ` or ~) holds, if it is all of the text; else None.

    It may stand on one line or on several, with the name of a language or without. Prose before or
    after it makes it no fence of ours. One that is never closed ends with the text (CommonMark).
    """
    stripped = text.strip()
    opening = _FENCE.match(stripped)
    if not opening:
        return None
    sign, body = opening["sign"], stripped[opening.end() :]
    closed = body.endswith(sign)
    body = body.rstrip(sign[0]) if closed else body
    first, _, rest = body.partition("\n")
    another = any(line.strip().startswith(sign) or line.endswith(sign) for line in body.split("\n"))
    if another or (sign in body and not (closed and rest)) or not body.strip():
        return None
    if rest.strip() and _LANGUAGE.fullmatch(first):
        return rest.strip("\n").rstrip()
    return _LANGUAGE_BEFORE.sub("", body.strip(), count=1)


def asks_for_mark(instruction: str) -> bool:
    """Whether an instruction asks for steps and then for the answer behind a mark."""
    return bool(_ASKS_FOR_MARK.search(instruction) and _ASKS_FOR_STEPS.search(instruction))


def closes_with_mark(target: str) -> bool:
    """Whether a target is steps whose result stands last, behind `####` or in a box."""
    return bool(_CLOSING_MARK.search(target))


def marked_answer(text: str) -> str:
    """The answer that a text marks after its steps; the text itself where nothing is marked.

    Marks are `Answer: X`, `Final answer: X` (with Markdown around, too), `#### X`, `\\boxed{X}`;
    where none of these is there, the sentence `The answer is X.`
    """
    if _is_json(text):
        return text.strip()
    marks = list(_MARK.finditer(text))
    if not marks:
        sentences = list(_SENTENCE.finditer(text))
        return _unboxed(sentences[-1]["said"]).removesuffix(".") if sentences else text.strip()
    last = marks[-1]
    said = text[last.start() :] if last.group().startswith("\\") else text[last.end() :]
    if last.group().strip() == "####":
        said = said.partition("\n")[0]
    return _unboxed(said)


def _unboxed(text: str) -> str:
    """A marked answer without the box, the signs of TeX and the Markdown around it."""
    said = text.strip()
    if box := _BOX.search(said):
        depth = 0
        for place in range(box.end(), len(said)):
            depth += {"{": 1, "}": -1}.get(said[place], 0)
            if depth == 0:
                said = said[box.end() + 1 : place].strip()
                break
        said = _TEX_TEXT.sub(lambda found: found["said"], said)
    for sign in ("**", "__", "$"):
        if said.startswith(sign) and said.endswith(sign) and len(said) > 2 * len(sign):
            said = said[len(sign) : -len(sign)].strip()
    # `**Answer: X**` leaves half of its signs behind.
    return said.removesuffix("**").strip() if said.count("**") == 1 else said


class Pair(NamedTuple):
    """An answer and its target, both without what is no part of an answer."""

    answer: str | None
    """None: the model thought to the end."""
    target: str


@lru_cache(maxsize=20_000)
def answer_proper(answer: str, target: str, *, fences: bool = True, marks: bool = False) -> Pair:
    """What is to be compared with what.

    The thoughts of both are left out. Tags that the target holds as a part of its content stay in
    the answer, and so does everything in an answer that is the target word for word. A fence (or an
    `<answer>` element) around the whole answer is taken off where the target has none.

    Args:
        answer: the model's text.
        target: the answer wanted; it may begin with thoughts of its own.
        fences: whether fences are taken off; False where the reader looks for them itself.
        marks: whether both are read for a marked answer (`marked_answer`).
    """
    wanted = target_proper(target)
    if answer.split() == target.split():
        wanted = marked_answer(wanted) if marks else wanted
        return Pair(wanted, wanted)
    said = (
        _without_leading(answer, wanted) if _holds_tags(wanted) else split_thoughts(answer).answer
    )
    if said is None or not fences:
        return Pair(said, wanted)
    if not re.search(r"<(?:answer|final_answer|output)>", wanted, re.IGNORECASE):
        wrapped = _WRAPPED.fullmatch(said.strip())
        said = wrapped["inside"].strip() if wrapped else said
    if marks:
        said, wanted = marked_answer(said), marked_answer(wanted)
    inside = unfenced(said) if not re.search(r"```|~~~", wanted) else None
    return Pair(said if inside is None else inside, wanted)


@lru_cache(maxsize=20_000)
def target_proper(target: str) -> str:
    """A target without the thoughts before it; one that is nothing else stays as it is."""
    if not _holds_tags(target) or _is_json(target):
        return target
    if "<|channel|>" in target:
        return split_thoughts(target).answer or target
    rest = _leading_blocks(target)
    if rest == target.strip() and not _OPENING.search(target):
        # The template opened the thoughts: a tag that stands in a sentence closes none.
        closing = _CLOSING_ON_A_LINE.search(target)
        rest = target[closing.end() :].strip() if closing else target
    return rest or target


def _holds_tags(text: str) -> bool:
    return bool(_OPENING.search(text) or _CLOSING.search(text) or "<|channel|>" in text)


def _leading_blocks(text: str) -> str:
    rest = text.strip()
    while block := _BLOCK.match(rest):
        rest = rest[block.end() :].strip()
    return rest


def _without_leading(answer: str, wanted: str) -> str | None:
    """An answer whose content may hold tags: only thoughts at its very beginning are left out."""
    if _BLOCK.match(wanted.strip()):
        return answer  # the target begins with such content itself
    rest = _leading_blocks(answer)
    unclosed = _OPENING.match(rest) and not _OPENING.match(wanted.strip())
    return None if unclosed else rest
