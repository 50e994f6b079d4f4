import json
import random
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
from derivations import molecules, random_derivation, spelled
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae import chem
from grammar_rae.codecs import CODECS, FORMS, FRAGMENTS, CharacterCodec, GrammarCodec, codec_from_dict
from grammar_rae.errors import GrammarError, GrammarRAEError, InputError, TextError, UnknownNameError
from grammar_rae.grammar import MAX_TOKENS, Grammar, MacroTable, parser_for, read_grammar

KINDS = sorted(CODECS)
SALT = "[Na+].CC(=O)[O-]"


@cache
def smiles():
    """Molecules of one part and their neighbours in the file."""
    return tuple(molecules(150))


@cache
def texts():
    grammar, chance = read_grammar("expressions"), random.Random(0)
    return tuple(spelled(grammar, random_derivation(grammar, chance, chance.randint(2, 40))) for _ in range(100))


@cache
def learned(kind, form="text", fragments="refuse"):
    """A codec of each kind, learned by the face that all of them share."""
    options = {"grammar": "expressions"} if kind == "grammar" and not FORMS[form].molecules else {}
    return CODECS[kind].learn(source_of(form), form=form, fragments=fragments, **options)


def source_of(form):
    return smiles() if FORMS[form].molecules else texts()


def padded(rows, extra=0):
    out = np.full((len(rows), max(map(len, rows)) + extra), -1, dtype=np.int64)
    for row, tokens in zip(out, rows, strict=True):
        row[: len(tokens)] = tokens
    return out


every_codec = pytest.mark.parametrize(("kind", "form"), [(kind, form) for kind in KINDS for form in sorted(FORMS)])


# -- the contract of every codec ------------------------------------------------------------------------------------


@every_codec
def test_round_trip(kind, form):
    codec = learned(kind, form)
    for text in source_of(form)[:60]:
        tokens = codec.encode(text)
        prepared = codec.prepare(text)
        assert tokens.dtype == np.int32 and tokens.ndim == 1
        assert codec.decode(tokens) == codec.decode(tokens.tolist()) == prepared
        assert codec.encode_text(prepared).tolist() == tokens.tolist()
        assert (
            codec.canonical(prepared)
            == codec.canonical(text)
            == (chem.canonical(text) if FORMS[form].molecules else text)
        )


@every_codec
def test_tokens_are_derivations_of_the_table(kind, form):
    codec = learned(kind, form)
    rules = codec.rules
    for text in source_of(form)[:30]:
        stack = [rules.start]
        for token in codec.encode(text):
            assert rules.lhs[token] == stack.pop()
            stack.extend(reversed(rules.children[token, : rules.arity[token]].tolist()))
        assert not stack


@every_codec
def test_batches(kind, form):
    codec = learned(kind, form)
    source = list(source_of(form))
    batch = codec.encode_batch(source)
    assert batch.rejected == [] and batch.tokens.dtype == np.uint16 and batch.offsets.dtype == np.int64
    assert batch.offsets[0] == 0 and batch.offsets[-1] == len(batch.tokens) and len(batch.offsets) == len(source) + 1
    rows = np.split(batch.tokens, batch.offsets[1:-1])
    assert [row.tolist() for row in rows] == [codec.encode(text).tolist() for text in source]
    prepared = [codec.prepare(text) for text in source]
    assert codec.decode_batch(padded(rows)) == codec.decode_batch(padded(rows, extra=2)) == prepared
    again = codec.encode_batch(prepared, prepared=True)
    assert again.tokens.tolist() == batch.tokens.tolist() and again.offsets.tolist() == batch.offsets.tolist()
    assert codec.encode_batch(np.array(source)).tokens.tolist() == batch.tokens.tolist()


@every_codec
def test_empty_batches(kind, form):
    codec = learned(kind, form)
    batch = codec.encode_batch([])
    assert batch.tokens.tolist() == [] and batch.tokens.dtype == np.uint16
    assert batch.offsets.tolist() == [0] and batch.rejected == []
    assert codec.decode_batch(np.zeros((0, 4), np.int64)) == []


@every_codec
def test_rejected_texts_keep_their_index(kind, form):
    """Accepted and rejected together are the input, in order, whichever of the checks refuses."""
    source = list(source_of(form)[:40])
    lengths = [len(learned(kind, form).encode(text)) for text in source]
    limit = sorted(lengths)[25]
    codec = CODECS[kind].from_dict({**learned(kind, form).to_dict(), "max_length": limit})
    bad = ["Ÿ", None, "(((", 3.5, "a\0b"]
    mixed = [*source, *bad]
    random.Random(1).shuffle(mixed)
    batch = codec.encode_batch(mixed)
    refused = dict(batch.rejected)
    assert list(refused) == sorted(refused) and len(refused) == len(batch.rejected)
    assert len(refused) + len(batch.offsets) - 1 == len(mixed)
    kept = [text for index, text in enumerate(mixed) if index not in refused]
    unlimited = learned(kind, form)
    rows = np.split(batch.tokens, batch.offsets[1:-1])
    assert [row.tolist() for row in rows] == [unlimited.encode(text).tolist() for text in kept]
    assert max(map(len, rows)) == limit
    for index, text in enumerate(mixed):
        error = refused.get(index)
        if isinstance(text, str) and text in source:
            length = lengths[source.index(text)]
            assert (error is not None) == (length > limit)
            if error is not None:
                assert error.text == text
                assert f"too long; received {length} tokens; expected at most {limit}" in str(error)
                with pytest.raises(TextError, match="too long"):
                    codec.encode(text)
        elif text != "(((" or kind == "grammar":  # to a codec of characters "(((" is a text
            assert isinstance(error, TextError)
            with pytest.raises(TextError):
                codec.encode(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prepared", [False, True])
def test_bracket_atoms_of_accepted_texts(kind, prepared):
    molecules = ["CC[NH+](C)C", "CC(=O)[O-]", "C[C@@H](N)O", "[13CH3]O", "[2H]O"]
    texts = [chem.kekule(text) for text in molecules]
    data = CODECS[kind].learn(texts, form="kekule").to_dict()
    limit = max(len(codec_from_dict(data).encode_text(text)) for text in texts)
    codec = codec_from_dict({**data, "max_length": limit})
    # Refused for their brackets, as no texts, for their length.
    refused = ["[Si", None, "[Si]]", "CO" * 60 + "[NH3+]", "[Zn"]
    batch = codec.encode_batch([text for pair in zip(refused, texts, strict=True) for text in pair], prepared=prepared)
    assert [index for index, _ in batch.rejected] == [0, 2, 4, 6, 8]
    assert batch.atoms == {"[NH+]", "[O-]", "[C@@H]", "[13CH3]", "[2H]"} and isinstance(batch.atoms, frozenset)
    assert codec.encode_batch(texts[4:], prepared=prepared).atoms == {"[2H]"}
    assert codec.encode_batch(refused, prepared=prepared).atoms == codec.encode_batch([]).atoms == frozenset()


def test_bracket_atoms_are_those_of_the_prepared_form():
    source = ["c1cc[nH]c1", "[CH3][13CH2:1]O", "[Na+].[O-]C"]
    codec = CharacterCodec.learn(source, form="kekule", fragments="largest")
    assert codec.encode_batch(source).atoms == {"[13CH2]", "[O-]"}


@pytest.mark.parametrize(
    ("text", "prepared", "changes"),
    [
        ("CCO", "CCO", None),
        ("[CH3:7][CH2:1]O", "CCO", "atom maps left out"),
        ("F[C@](Cl)([CH3:1])[CH3:2]", "CC(C)(F)Cl", "atom maps left out, stereo marks left out"),
        ("CCO |a:1|", "CCO", "extension of a CXSMILES left out"),
        ("CCO\t|lp:2:2|", "CCO", "extension of a CXSMILES left out"),
        ("CCO.[Na+].[Cl-]", "CCO", "smaller parts left out"),
        ("[CH3:1]CO.O |^1:0|", "CCO", "extension of a CXSMILES left out, smaller parts left out, atom maps left out"),
        ("C1.C1", "CC", None),
    ],
)
def test_what_is_left_out_is_told(text, prepared, changes):
    codec = CharacterCodec.learn(["CCO", "CC(C)(F)Cl"], form="kekule", fragments="largest")
    batch = codec.encode_batch([text])
    assert codec.spell_batch(batch.tokens[None].astype(int)) == [prepared] == [codec.prepare(text)]
    assert dict(batch.changed).get(0) == changes


@pytest.mark.parametrize("form", sorted({*FORMS} - {"kekule"}))
def test_forms_without_valences_collect_no_atoms(form):
    codec = CharacterCodec.learn(["C[NH3+]"], form=form)
    assert codec.encode_batch(["C[NH3+]"]).atoms == frozenset()


@every_codec
def test_what_is_no_list_of_texts(kind, form):
    codec = learned(kind, form)
    with pytest.raises(InputError, match="batch must be a list of strings"):
        codec.encode_batch("CCO")
    with pytest.raises(TextError, match="received 7, a int"):
        codec.encode_text(7)
    error = codec.encode_batch([None], prepared=True).rejected[0][1]
    assert "received None, a NoneType" in str(error)


@every_codec
def test_saving(kind, form):
    codec = learned(kind, form)
    for limit in (None, 200):
        data = json.loads(json.dumps({**codec.to_dict(), "max_length": limit}))
        again = codec_from_dict(data)
        assert type(again) is CODECS[kind] and again.to_dict() == data
        assert (again.form, again.fragments, again.max_length) == (form, "refuse", limit)
        source = list(source_of(form)[:20])
        assert again.encode_batch(source).tokens.tolist() == codec.encode_batch(source).tokens.tolist()
        assert again == codec_from_dict(data)
        assert (again == codec) == (limit is None)


@every_codec
def test_one_hot(kind, form):
    codec = learned(kind, form)
    tokens = codec.encode(source_of(form)[0])
    rows = codec.one_hot(tokens)
    assert rows.shape == (len(tokens), codec.rules.size) and rows.dtype == np.float32
    assert rows.sum() == len(tokens) and rows.argmax(1).tolist() == tokens.tolist()
    assert codec.one_hot([]).shape == (0, codec.rules.size)
    for wrong in (-1, codec.rules.size):
        with pytest.raises(InputError, match="out of range"):
            codec.one_hot([0, wrong])


@every_codec
def test_show_names_every_token(kind, form):
    codec = learned(kind, form)
    shown = [codec.show(token) for token in range(codec.rules.size)]
    assert all(isinstance(text, str) for text in shown)
    tokens = codec.encode(source_of(form)[0])
    if kind == "characters":
        assert "".join(shown[token] for token in tokens) == codec.decode(tokens)
    assert len(set(shown)) > codec.rules.size / 2


@every_codec
def test_tokens_that_are_no_text(kind, form):
    codec = learned(kind, form)
    good = codec.encode(source_of(form)[0]).tolist()
    wrong = [[], good[:-1], good + good[-1:], [codec.rules.size], [-1], [good[-1], *good]]
    for tokens in wrong:
        with pytest.raises(InputError):
            codec.decode(tokens)
        rows = padded([good, tokens if tokens != [-1] else []], extra=1)
        with pytest.raises(InputError):
            codec.decode_batch(rows)
    # What a row holds behind its first -1 is no part of it, and does not complete it either.
    gap = padded([good[:-1], good], extra=3)
    gap[0, len(good)] = good[-1]
    with pytest.raises(InputError):
        codec.decode_batch(gap)


@pytest.mark.parametrize("kind", KINDS)
def test_settings_are_checked(kind):
    data = learned(kind).to_dict()
    shortest = learned(kind).rules.shortest
    with pytest.raises(UnknownNameError, match="aromatic, expression, kekule, text"):
        codec_from_dict({**data, "form": "kekulé"})
    with pytest.raises(UnknownNameError, match="keep, largest, refuse"):
        codec_from_dict({**data, "fragments": "drop"})
    for limit in (shortest - 1, 0, -5):
        with pytest.raises(InputError, match=f"{shortest} tokens or more"):
            codec_from_dict({**data, "max_length": limit})
    assert codec_from_dict({**data, "max_length": shortest}).max_length == shortest


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_in_a_saved_codec(kind):
    data = learned(kind).to_dict()
    assert codec_from_dict(data) == learned(kind)
    for field in data:
        with pytest.raises(InputError):
            codec_from_dict({name: value for name, value in data.items() if name != field})
        for value in (3 + 1j, [3], [None], [[0, "x"]], {"xy": 1}, "x\ud800\ud800"):
            with pytest.raises(GrammarRAEError):
                codec_from_dict({**data, field: value})


@pytest.mark.parametrize("data", [{}, [], None, "grammar", {"kind": "grammar"}, {"kind": []}, {"kind": None}, 7])
def test_data_that_are_no_codec(data):
    with pytest.raises(InputError):
        codec_from_dict(data)


def test_unknown_kind_lists_the_known():
    with pytest.raises(UnknownNameError, match="characters, grammar"):
        codec_from_dict({"kind": "token"})


@every_codec
def test_a_saved_codec_needs_neither_rdkit_nor_nltk(kind, form):
    codec = learned(kind, form)
    text = codec.prepare(source_of(form)[3])
    program = (
        "import json, sys\n"
        "from grammar_rae.codecs import codec_from_dict\n"
        "data, text = json.load(sys.stdin)\n"
        "codec = codec_from_dict(data)\n"
        "assert codec.decode(codec.encode_text(text)) == text\n"
        "assert codec.encode_batch([text, 'Ÿ'], prepared=True).rejected[0][0] == 1\n"
        "assert not {'rdkit', 'nltk', 'torch'} & set(sys.modules)\n"
    )
    given_ = json.dumps([codec.to_dict(), text])
    ran = subprocess.run([sys.executable, "-c", program], input=given_, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


# -- molecules ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grammar", ["smiles", "zinc"])
@pytest.mark.parametrize("form", ["kekule", "aromatic"])
def test_molecules_come_back_as_the_same_molecule(grammar, form):
    codec = GrammarCodec.learn(smiles(), grammar=grammar, form=form, n_macros=40)
    batch = codec.encode_batch(smiles())
    assert not batch.rejected
    decoded = codec.decode_batch(padded(np.split(batch.tokens, batch.offsets[1:-1])))
    assert [chem.canonical(text) for text in decoded] == [chem.canonical(text) for text in smiles()]
    assert decoded == [{"kekule": chem.kekule, "aromatic": chem.aromatic}[form](text) for text in smiles()]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["kekule", "aromatic"])
def test_thousands_of_molecules_come_back(form):
    source = molecules(5000, every=9)
    codec = GrammarCodec.learn(source[:2000], form=form, fragments="keep")
    batch = codec.encode_batch(source)
    assert not batch.rejected
    decoded = codec.decode_batch(padded(np.split(batch.tokens, batch.offsets[1:-1])))
    assert [chem.canonical(text) for text in decoded] == [chem.canonical(text) for text in source]


def test_texts_of_no_meaning_have_no_canonical_form():
    codec = learned("grammar", "kekule")
    for text in ("C(C)(C)(C)(C)C", "", "C1CC", "not a molecule"):
        assert codec.canonical(text) is None
    assert learned("grammar").canonical("") == ""


@pytest.mark.parametrize("kind", KINDS)
def test_molecules_that_rdkit_refuses(kind):
    codec = learned(kind, "kekule")
    for text in ("", "C1CC", "c1cccc1", "C(C)(C)(C)(C)C", "CC)", "xyz"):
        with pytest.raises(TextError):
            codec.encode(text)
    assert [i for i, _ in codec.encode_batch(["C1CC", "CC", ""]).rejected] == [0, 2]


# -- molecules of several parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_parts_are_refused_unless_asked_for(kind):
    codec = learned(kind, "kekule")
    with pytest.raises(TextError, match=r"'\.'.*fragments='largest'"):
        codec.encode(SALT)
    assert [index for index, _ in codec.encode_batch(["CC", SALT, "CCC"]).rejected] == [1]


def test_a_grammar_codec_that_refuses_parts_can_neither_read_nor_write_them():
    for fragments in ("refuse", "largest"):
        for form in ("aromatic", "kekule"):
            codec = GrammarCodec(form=form, fragments=fragments, table=read_grammar("smiles"))
            assert "." not in codec.grammar.terminals
            assert not any("." in codec.show(token) for token in range(codec.rules.size))
            with pytest.raises(TextError, match=r"'\.' is not a terminal.*fragments='keep'") as caught:
                codec.encode_text("CC.C")
            assert caught.value.position == 2
            with pytest.raises(TextError) as caught:
                codec.encode_text("CCé.C")
            assert caught.value.position == 2 and caught.value.remedy is None


def test_largest_part():
    codec = GrammarCodec.learn(smiles(), form="kekule", fragments="largest", n_macros=8)
    assert codec.canonical(codec.decode(codec.encode(SALT))) == chem.canonical("CC(=O)[O-]")
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert again == codec and again.encode(SALT).tolist() == codec.encode(SALT).tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["kekule", "aromatic"])
def test_all_parts(kind, form):
    source = [SALT, "[Na+].[Cl-]", "c1ccccc1.O.O", "CCO"]
    codec = CODECS[kind].learn(source * 3, form=form, fragments="keep")
    for text in source:
        decoded = codec.decode(codec.encode(text))
        assert decoded.count(".") == text.count(".") and chem.canonical(decoded) == chem.canonical(text)
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert again == codec and again.decode(again.encode(SALT)) == codec.decode(codec.encode(SALT))


def test_macros_with_a_point_need_fragments():
    table = MacroTable(read_grammar("smiles"), ((1, 2),))
    assert "." in table.show(table.grammar.size)
    assert GrammarCodec(fragments="keep", table=table).macros == table
    with pytest.raises(InputError, match="fragments='keep'"):
        GrammarCodec(form="kekule", fragments="refuse", table=table)
    assert set(FRAGMENTS) == {"refuse", "largest", "keep"}


# -- grammar codecs -------------------------------------------------------------------------------------------------


def test_a_grammar_stands_for_a_table_without_macros():
    grammar = read_grammar("zinc")
    codec = GrammarCodec(table=grammar)
    assert codec == GrammarCodec(table=MacroTable(grammar)) and codec.grammar == grammar
    text = chem.kekule(smiles()[0])
    assert codec.encode(text).tolist() == parser_for(grammar).parse(text).tolist()
    for nothing in (None, "zinc", 3):
        with pytest.raises(InputError, match="needs a grammar"):
            GrammarCodec(table=nothing)


def test_learning_takes_what_it_can_read():
    grammar = read_grammar("expressions")
    bad = ["y", "", None, "sin("]
    codec = GrammarCodec.learn([*texts(), *bad], grammar=grammar, n_macros=10, max_length=15)
    assert codec == GrammarCodec.learn(iter(texts()), grammar="expressions", n_macros=10, max_length=15)
    assert len(codec.macros.macros) == 10 and codec.max_length == 15
    assert GrammarCodec.learn(bad, grammar=grammar).macros == MacroTable(grammar)
    with pytest.raises(UnknownNameError, match="expressions, smiles, zinc"):
        GrammarCodec.learn(texts(), grammar="expression")
    with pytest.raises(GrammarError, match="cannot read"):
        GrammarCodec.learn(texts(), grammar="missing.cfg")


def test_shorter_with_macros():
    few, many = (GrammarCodec.learn(smiles(), form="kekule", n_macros=n) for n in (0, 100))
    assert few.rules.size + 100 == many.rules.size
    assert sum(len(many.encode(text)) for text in smiles()[:20]) < 0.5 * sum(len(few.encode(t)) for t in smiles()[:20])


@given(seed=st.integers(0, 2**32), limit=st.integers(2, 80))
def test_any_expression_comes_back(seed, limit):
    codec = learned("grammar")
    text = spelled(codec.grammar, random_derivation(codec.grammar, random.Random(seed), limit))
    tokens = codec.encode(text)
    assert codec.decode(tokens) == text and len(tokens) <= limit
    assert codec.decode_batch(tokens[None]) == [text]


def test_grammar_errors_carry_position_and_expectation():
    with pytest.raises(TextError, match="ends too early") as caught:
        learned("grammar").encode("sin(x")
    assert caught.value.position == 5 and ")" in caught.value.expected
    assert caught.value.remedy is None


# -- character codecs -----------------------------------------------------------------------------------------------


@given(st.text(max_size=30))
def test_any_text_of_its_characters_comes_back(text):
    codec = CharacterCodec.learn([text, "ab"])
    tokens = codec.encode(text)
    assert tokens[-1] == codec.end and len(tokens) == len(text) + 1
    assert codec.decode(tokens) == text
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert again == codec and again.decode(tokens) == text


def test_characters():
    codec = CharacterCodec.learn(["ba", "", "é", "a\U0001f600"])
    assert codec.characters == ("a", "b", "é", "\U0001f600") and codec.end == 4
    assert codec.encode("").tolist() == [4] and codec.encode("bé").tolist() == [1, 2, 4]
    assert [codec.show(token) for token in range(5)] == ["a", "b", "é", "\U0001f600", ""]
    with pytest.raises(TextError, match="'x' is not a character of this codec") as caught:
        codec.encode("\U0001f600ax")
    assert caught.value.position == 2 and "character 3" in str(caught.value)
    assert CharacterCodec().encode("").tolist() == [0]


def test_characters_of_the_prepared_form():
    codec = CharacterCodec.learn(["OCC", "c1ccccc1", "C1CC", "F.F"], form="kekule")
    assert codec.characters == tuple(sorted("CO1=" if "=" in chem.kekule("c1ccccc1") else "?"))
    assert codec.decode(codec.encode("c1ccccc1")) == chem.kekule("c1ccccc1")


@pytest.mark.parametrize("characters", [("a", "a"), ("ab",), ("",), ("a", 3), (None,)])
def test_characters_that_cannot_be(characters):
    with pytest.raises(InputError, match="invalid characters for a codec"):
        CharacterCodec(characters=characters)


def test_characters_fit_into_sixteen_bits():
    letters = tuple(chr(i) for i in range(MAX_TOKENS))
    codec = CharacterCodec(characters=letters[:-1])
    assert codec.encode(letters[-2]).tolist() == [MAX_TOKENS - 2, MAX_TOKENS - 1]
    with pytest.raises(InputError, match="too many characters"):
        CharacterCodec(characters=letters)


def test_a_point_joins_molecules_only_where_there_are_molecules():
    grammar = Grammar.from_text("N -> D '.' D\nD -> '1' | '2'")
    codec = GrammarCodec(table=grammar)
    assert codec.decode(codec.encode("1.2")) == "1.2"
