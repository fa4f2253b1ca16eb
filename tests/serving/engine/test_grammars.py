import asyncio
from typing import Any

import pytest

from hostile_schemas import HEAVY
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.grammars import Grammars
from tunewise.serving.protocol import EngineLostError, RefusedError

YES_OR_NO: dict[str, Any] = {"enum": ["yes", "no"]}


def test_a_schema_becomes_a_grammar_or_is_refused_in_time(small_llama: LocalModel) -> None:
    folder = str(small_llama.folder)

    async def run() -> None:
        grammars = Grammars()
        try:
            asked = [grammars.compile(folder, schema) for schema in HEAVY.values()]
            heavy = asyncio.gather(*asked, return_exceptions=True)
            grammar = await grammars.compile(folder, YES_OR_NO)
            assert "yes" in grammar
            assert "root" in grammar
            for one in await heavy:
                assert isinstance(one, str | RefusedError)
            with pytest.raises(RefusedError, match="cannot be kept to"):
                await grammars.compile(folder, {"type": "object", "properties": 7})
            # Asked again, it needs no process.
            assert grammars._child is not None
            grammars._child.process.kill()
            with pytest.raises(EngineLostError):
                await grammars.compile(folder, {"enum": ["another"]})
            assert await grammars.compile(folder, YES_OR_NO) == grammar
            assert "third" in await grammars.compile(folder, {"enum": ["third"]})
        finally:
            await grammars.close()

    asyncio.run(run())
