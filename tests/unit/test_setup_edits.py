"""Edits of settings files: minimal, and taken back whatever else was changed meanwhile."""

import json
import string
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.cli.setup_edits import (
    BLOCK_END,
    add_block,
    add_json,
    add_toml,
    replace_json,
    take_back,
)
from nous_ledger.cli.setup_json import parse_settings
from nous_ledger.protocol.errors import FormatError, LedgerError

URL = "http://127.0.0.1:8787/anthropic"
PATH = ("env", "ANTHROPIC_BASE_URL")

names = st.text(string.ascii_letters + ' "\\/é{}', max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(names.filter(lambda name: name != "env"), values, max_size=4)
layouts = st.sampled_from([None, 0, 1, 2, 4, "\t"])

HAND_WRITTEN = (
    "",
    "  \n",
    "{}",
    "{ }",
    "{\n}\n",
    "{ /* nothing yet */ }",
    "{ // nothing yet\n}",
    '{"a": 1}',
    '{ "a": 1, }',
    '{ /* a */ "a": 1 }',
    '// ours\n{\n  // about a\n  "a": [1, 2,], // more\n}\n',
    '{\r\n\t"a": {"b": null}\r\n}\r\n',
    '\ufeff{\n    "a": "{ // no comment }"\n}',
    '{"env": {}}',
    '{"env": { }, "b": 2}',
    '{\n  "env": {\n    "X": "1"\n  }\n}',
    '{\n  "env": { // mine\n    "X": "1",\n  },\n}',
    "{env: {'X': 'it''s'.length}}".replace("'it''s'.length", "0x1F"),
)


@pytest.mark.parametrize("text", HAND_WRITTEN)
def test_a_setting_is_added_and_taken_back(text: str) -> None:
    before = parse_settings(text).value if text.strip() else {}
    after, edit = add_json(text, PATH, URL)
    assert parse_settings(after).find(*PATH).value == URL  # type: ignore[union-attr]
    assert isinstance(before, dict)
    around = before.get("env", {})
    assert parse_settings(after).value == {**before, "env": {**around, PATH[1]: URL}}
    # Nothing but one piece was put in, and it has the line ends of the file.
    at = after.index(edit.inserted)
    assert after[:at] + after[at + len(edit.inserted) :] == text
    assert ("\r\n" in text) == ("\r\n" in edit.inserted)
    assert take_back(after, edit) == text


@given(made=objects, env=st.none() | objects, layout=layouts)
def test_any_json_comes_back_byte_for_byte(
    made: dict[str, object], env: dict[str, object] | None, layout: int | str | None
) -> None:
    text = json.dumps(made | ({} if env is None else {"env": env}), indent=layout)
    after, edit = add_json(text, PATH, URL)
    assert json.loads(after)["env"][PATH[1]] == URL
    assert take_back(after, edit) == text


@given(made=objects, layout=layouts, rewritten=layouts, more=objects)
def test_what_a_tool_wrote_anew_loses_our_setting_only(
    made: dict[str, object],
    layout: int | str | None,
    rewritten: int | str | None,
    more: dict[str, object],
) -> None:
    """Another layout, other members around ours, ours first or last: by its name it is found."""
    after, edit = add_json(json.dumps(made, indent=layout), PATH, URL)
    for edited in (json.loads(after) | more, more | json.loads(after)):
        back = take_back(json.dumps(edited, indent=rewritten), edit)
        assert back is not None
        assert json.loads(back) == {name: v for name, v in edited.items() if name != "env"}


def test_edits_elsewhere_stay_byte_for_byte() -> None:
    text = '{\n  // theme\n  "theme": "dark",\n  "list": [1, 2]\n}\n'
    after, edit = add_json(text, PATH, URL)
    for old, new in (
        ('"dark"', '"light"'),
        ("// theme\n", "// colours: light, dark\n"),
        ("[1, 2]", "[\n    1,\n    2\n  ]"),
        ("2]\n}\n", '2],\n  "added": true\n}'),
    ):
        assert take_back(after.replace(old, new), edit) == text.replace(old, new)


def test_what_was_added_beside_ours_stays() -> None:
    after, edit = add_json("{}", PATH, URL)
    more = after.replace(f'"{URL}"', f'"{URL}",\n    "MORE": "1"')
    assert more != after
    assert take_back(more, edit) == '{\n  "env": {\n    "MORE": "1"\n  }\n}'
    last = after.replace(f'"{PATH[1]}"', f'"MORE": "1", // why\n    "{PATH[1]}"')
    back = take_back(last, edit)
    assert back is not None
    assert parse_settings(back).value == {"env": {"MORE": "1"}}
    assert "// why" in back


def test_a_setting_that_the_user_changed_is_theirs() -> None:
    after, edit = add_json("{}", PATH, URL)
    assert take_back(after.replace(URL, "https://proxy.example.com"), edit) is None
    assert take_back("{}", edit) is None
    with pytest.raises(FormatError, match="line 2 is not JSON"):
        take_back(after.replace("{", "[", 1), edit)


def test_a_value_is_replaced_and_put_back_as_it_was_written() -> None:
    text = "{a: {baseUrl: 'https://api.example.com', /* old */ },}"
    after, edit = replace_json(text, ("a", "baseUrl"), URL)
    assert parse_settings(after).value == {"a": {"baseUrl": URL}}
    assert take_back(after, edit) == text
    more = after.replace("/* old */", "b: 1")
    assert take_back(more, edit) == text.replace("/* old */", "b: 1")
    with pytest.raises(FormatError, match="there is no"):
        replace_json(text, ("a", "missing"), URL)


@pytest.mark.parametrize("text", ["[]", '"text"', '{"env": []}', '{"env": null}', "12"])
def test_where_no_setting_can_stand(text: str) -> None:
    with pytest.raises(FormatError, match="is no object"):
        add_json(text, PATH, URL)


@pytest.mark.parametrize(
    "text",
    [
        *("{", "{]", "{,}", "[1 2]", '{"a"}', '{"a" 1}', "{1: 2}", '{"a": }', "tru", "01x", "[,]"),
        *('{"a": "b\nc"}', "{} {}", "{} x", "/* open", "'open", '"\\', "[" * 100 + "]" * 100),
    ],
)
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(FormatError, match=r"line \d+ is not JSON"):
        parse_settings(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[1, -2.5e3, .5, +1, 0x1f, NaN]", [1, -2500.0, ".5", "+1", "0x1f"]),
        ('["\\u00e9\\n", \'a"b\', "it\'s"]', ["é\n", 'a"b', "it's"]),
        ("{$a_1: 1, \"b\": true, 'c': null}", {"$a_1": 1, "b": True, "c": None}),
        ("/**/ [ // one\n 1, /* two */ 2, ] //", [1, 2]),
    ],
)
def test_what_json5_may_say(text: str, value: object) -> None:
    found = parse_settings(text).value
    assert (found[:5] if isinstance(found, list) else found) == value


TOML = '# mine\nmodel = "x"\n\n[features]\nopenai_base_url = "not the top level"\n'


@pytest.mark.parametrize("text", ["", TOML, TOML.replace("\n", "\r\n"), 'a = """\n[b]\n"""\n'])
def test_a_line_of_toml(text: str) -> None:
    after, edit = add_toml(text, "openai_base_url", URL)
    assert tomllib.loads(after) == {**tomllib.loads(text), "openai_base_url": URL}
    assert after.endswith(text)
    assert take_back(after, edit) == text
    moved = f'# first\n{after}\n[more]\na = "openai_base_url = \\"{URL}\\""\n'
    back = take_back(moved, edit)
    assert back == moved.replace(edit.inserted, "", 1)


def test_toml_that_was_changed() -> None:
    after, edit = add_toml(TOML, "openai_base_url", URL)
    assert take_back(after.replace(f'url = "{URL}', 'url = "http://other.example'), edit) is None
    assert take_back(TOML, edit) is None
    with pytest.raises(FormatError, match="is not TOML"):
        take_back(after + "[", edit)
    with pytest.raises(LedgerError, match="was changed"):
        take_back(after.replace(" = ", "=", 1), edit)


LINES = ('export A="1"', 'export B="2"')


@pytest.mark.parametrize("text", ["", "a", "a\n", "a\n\n", "a\r\n", "a\r\nb", "\n"])
def test_marked_lines(text: str) -> None:
    after, edit = add_block(text, LINES)
    assert after.startswith(text)
    assert set(LINES) < set(after.splitlines())
    assert take_back(after, edit) == text
    end = "\r\n" if "\r\n" in text else "\n"
    whole = text if not text or text.endswith("\n") else f"{text}{end}"
    assert take_back(after + "more\n", edit) == f"{whole}more\n"
    assert take_back(f"# first\n{after}", edit) == f"# first\n{text}"


def test_marked_lines_that_were_changed() -> None:
    after, edit = add_block("a\n", LINES)
    assert take_back("a\n", edit) is None
    for changed in (after.replace('"1"', '"3"'), after + after, after.replace(BLOCK_END, "")):
        with pytest.raises(LedgerError, match=r"between its marks|marks are there twice"):
            take_back(changed, edit)
