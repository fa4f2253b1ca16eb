import pytest

from tunewise.serving.engine.gbnf import gbnf_of
from tunewise.serving.engine.grammar_child import grammar_of


@pytest.mark.parametrize(
    ("ebnf", "gbnf"),
    [
        ('root ::= (("a" root_prop_1))', 'root ::= (("a" root-prop-1))'),
        ('root ::= (("\\"a_b\\"" x_1))', 'root ::= (("\\"a_b\\"" x-1))'),
        ('s ::= [^\\0-\\x1f\\"\\\\\\r\\n]', 's ::= [^\\x00-\\x1f\\"\\\\\\r\\n]'),
        ("n ::= [+\\-]", "n ::= [+\\x2d]"),
        ('s ::= (("\\"") | ([a-z] s)) (=([ \\n]* [,}]))', 's ::= (("\\"") | ([a-z] s))'),
        ('t ::= "(=" u_1', 't ::= "(=" u-1'),
        ('n ::= ("\\xe9" "\\u4e2d")\n\n', 'n ::= ("\\xe9" "\\u4e2d")'),
    ],
)
def test_names_and_escapes_become_those_of_llama_cpp(ebnf: str, gbnf: str) -> None:
    assert gbnf_of(ebnf) == gbnf


def test_a_grammar_that_xgrammar_prints_has_no_name_that_llama_cpp_refuses() -> None:
    schema = '{"type": "object", "properties": {"a_b": {"type": "string", "minLength": 2}}}'
    made = gbnf_of(str(grammar_of(schema)))
    rules = [line.split(" ::= ") for line in made.splitlines()]
    assert all(len(rule) == 2 and "_" not in rule[0] for rule in rules)
    assert "root" in dict(rules)
    assert "(=" not in made
    assert '\\"a_b\\"' in made
