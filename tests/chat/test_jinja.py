"""Templates of strangers are filled in as transformers does, and get no further than that."""

import jinja2
import pytest

from tunewise.chat.jinja import fill_in


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% for n in said %}{% if n == 'b' %}{% break %}{% endif %}{{ n }}{% endfor %}", "a"),
        ("{{ {'é': '<&>'} | tojson }}", '{"é": "<&>"}'),
        ("a {% generation %}b{% endgeneration %} c", "a b c"),
        ("{% set ns = namespace(n=1) %}{% set ns.n = 2 %}{{ ns.n }}", "2"),
        ("{{ dict(a=1).a }}{{ dict.fromkeys(['k']) }}", "1{'k': None}"),
        ("  {% if true %}\nx\n  {% endif %}\n", "x\n"),
    ],
)
def test_it_has_what_templates_use(template: str, text: str) -> None:
    assert fill_in(template, {"said": ["a", "b", "c"]}) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no') }}",
        "{{ said.append('x') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ dict.__class__.__mro__ }}",
        "{{ namespace(__class__=1) }}",
        "{% set ns = namespace() %}{% set ns['__x'] = 1 %}",
    ],
)
def test_it_refuses_what_a_template_has_no_business_with(template: str) -> None:
    with pytest.raises(jinja2.TemplateError):
        fill_in(template, {"said": ["a"]})
