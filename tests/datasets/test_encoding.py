import csv
import gzip
import hashlib
import itertools
import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grammar_rae import chem
from grammar_rae.codecs import CharacterCodec, EncodedBatch, GrammarCodec, codec_from_dict
from grammar_rae.datasets import TokenDataset, coverage, encode, read_rows, read_texts, writing
from grammar_rae.errors import DataError, InputError, TextError
from grammar_rae.grammar import read_grammar
from grammar_rae.resources import bundled_file

ALPHABET = "CNO()=1c[]H"
FILES = {"tokens.bin", "offsets.bin", "lines.bin", "meta.json", "rejected.csv"}


class Letters:
    """A codec by the book, in few lines: a token a character. ``at_batch`` is called before every batch."""

    form = "text"

    def __init__(self, alphabet=ALPHABET, max_length=20, at_batch=lambda number: None):
        self.alphabet, self.max_length, self.at_batch = alphabet, max_length, at_batch
        self.batches = []
        self.rules = SimpleNamespace(size=len(alphabet))

    def to_dict(self):
        return {"kind": "letters", "alphabet": self.alphabet, "max_length": self.max_length}

    def encode_batch(self, texts, prepared=False):
        self.at_batch(len(self.batches))
        self.batches.append((len(texts), prepared))
        rows, rejected = [], []
        for index, text in enumerate(texts):
            foreign = [i for i, letter in enumerate(text) if letter not in self.alphabet]
            if foreign:
                rejected.append((index, TextError("a letter is unknown", text=text, position=foreign[0])))
            elif len(text) > self.max_length:
                rejected.append((index, TextError("the text is too long", text=text)))
            else:
                rows.append([self.alphabet.index(letter) for letter in text])
        tokens = np.array([token for row in rows for token in row], dtype=np.uint16)
        offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return EncodedBatch(tokens, offsets, rejected)


def spelled(dataset, alphabet=ALPHABET):
    return ["".join(alphabet[token] for token in dataset.tokens(i)) for i in range(len(dataset))]


TEXTS = ["CCO", "C", "c1ccccc1", "N#N", "", "C(=O)O", "O" * 21, None, "CC[NH]C"]
ACCEPTED = ["CCO", "C", "c1ccccc1", "C(=O)O", "CC[NH]C"]
REJECTED = [
    (4, "N#N", "a letter is unknown; character 2", 1),
    (5, "", "blank line", None),
    (7, "O" * 21, "the text is too long", None),
    (8, "", "missing value", None),
]

texts_of_all_kinds = st.lists(
    st.one_of(st.text("CNO", min_size=1, max_size=8), st.sampled_from(["", "N#N", "O" * 21, None, 'a "quoted", one'])),
    min_size=1,
    max_size=30,
).map(lambda texts: ["C", *texts])


@pytest.fixture(params=["memory", "folder"])
def dataset(request, tmp_path):
    return encode(TEXTS, Letters(), tmp_path / "set" if request.param == "folder" else None, chunk=4)


class TestEncode:
    def test_every_row_is_encoded_or_rejected_with_line_and_reason(self, dataset):
        assert spelled(dataset) == ACCEPTED
        assert dataset.lines.tolist() == [1, 2, 3, 6, 9]
        assert dataset.rejected == REJECTED
        assert (dataset.n_read, dataset.n_accepted, dataset.n_rejected) == (9, 5, 4)

    @given(texts_of_all_kinds, st.integers(1, 7))
    def test_counts_add_up_and_chunks_change_nothing(self, texts, chunk):
        dataset = encode(texts, Letters(), chunk=chunk)
        whole = encode(texts, Letters())
        assert dataset.n_read == len(texts) == dataset.n_accepted + dataset.n_rejected
        assert len(dataset) == dataset.n_accepted == len(spelled(dataset))
        assert len(dataset.rejected) == dataset.n_rejected
        lines = sorted([*dataset.lines.tolist(), *(row.line for row in dataset.rejected)])
        assert lines == list(range(1, len(texts) + 1))
        assert [texts[line - 1] for line in dataset.lines] == spelled(dataset) == spelled(whole)
        assert dataset.rejected == whole.rejected
        assert dataset.meta == whole.meta

    def test_texts_are_read_as_they_are_needed(self):
        read = []

        def source():
            for number in range(95):
                read.append(number)
                yield "C"

        most_read = []
        encode(source(), Letters(at_batch=lambda number: most_read.append(len(read))), chunk=10)
        assert most_read == [*range(10, 91, 10), 95]

    def test_prepared_texts_are_passed_on_as_such(self):
        for prepared in (True, False):
            codec = Letters()
            encode(["C"], codec, prepared=prepared)
            assert codec.batches == [(1, prepared)]

    def test_worker_processes_change_nothing(self, tmp_path):
        texts = ["C" * (i % 7) for i in range(60)] + ["Q"] + ["CO", None]
        codec = CharacterCodec(characters=("C", "O"))
        one = encode(texts, codec, tmp_path / "one", chunk=8)
        two = encode(texts, codec, tmp_path / "two", chunk=8, jobs=2)
        assert two.n_rejected == 11
        assert two.matches(codec)
        for name in FILES:
            assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name

    def test_a_text_that_utf8_cannot_hold(self, tmp_path):
        rejected = encode(["C", "\ud800"], Letters(), tmp_path / "set").rejected
        assert rejected == [(2, "\\ud800", "a letter is unknown; character 1", 0)]

    def test_none_accepted_gives_the_most_frequent_reasons_with_examples(self, tmp_path):
        path = tmp_path / "a.smi"
        path.write_text("smiles\n" + "N#N\n" * 4 + "\n" * 3 + "O" * 300 + "\n")
        with pytest.raises(DataError) as caught:
            encode(path, Letters(), tmp_path / "set")
        message = str(caught.value)
        assert "none of the 9 rows" in message and str(path) in message
        assert "a letter is unknown (4 rows, e.g. 'N#N' in line 2), blank line (3 rows, e.g. '' in line 6)" in message
        assert len(message) < 500
        assert os.listdir(tmp_path) == ["a.smi"]

    @pytest.mark.parametrize("options", [{"jobs": 0}, {"jobs": -2}, {"chunk": 0}])
    def test_bad_numbers(self, tmp_path, options):
        with pytest.raises(InputError, match=next(iter(options))):
            encode(TEXTS, Letters(), tmp_path / "set", **options)
        assert os.listdir(tmp_path) == []

    def test_progress_is_shown_when_asked_for(self, capsys):
        encode(TEXTS, Letters(), progress=True)
        shown = capsys.readouterr()
        assert "9.00/9.00" in shown.err and "texts/s" in shown.err and not shown.out
        encode(TEXTS, Letters())
        assert capsys.readouterr() == ("", "")

    def test_what_is_written_about_the_source(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("id,mol\n1,CCO\n")
        meta = encode(path, Letters(), tmp_path / "set", column="mol").meta
        assert meta["source"] == {
            "name": "a.csv",
            "bytes": 13,
            "sha256": hashlib.sha256(b"id,mol\n1,CCO\n").hexdigest(),
            "column": "mol",
            "fields": "first",
        }
        assert meta["versions"]["numpy"] == np.__version__
        assert encode(TEXTS, Letters()).meta["source"]["name"] == "list"


class TestAtoms:
    """The atoms that the molecules of a set are written with, and how much bonding each takes."""

    # The texts that are refused, for their syntax, their valence, their length, would bring atoms of their own.
    TEXTS = ("CCO", "C[NH3+]", "[Si", "C[Si](C)(C)(C)C", "c1cc[nH]c1", "C" * 40 + "[S-]", "C[C@@H](N)O", "CC[O-]")
    CAPACITIES: ClassVar = {"[C@@H]": 3, "[NH3+]": 1, "[O-]": 1}

    def codec(self, form="kekule"):
        return CharacterCodec.learn(self.TEXTS, form=form, max_length=40)

    @pytest.mark.parametrize("chunk", [1, 3, 100])
    def test_the_organic_subset_and_the_bracket_atoms_of_accepted_rows(self, chunk):
        dataset = encode(self.TEXTS, self.codec(), chunk=chunk)
        assert dataset.n_accepted == 5
        assert dataset.atoms == dataset.meta["atoms"] == chem.capacities(chem.ORGANIC) | self.CAPACITIES
        assert list(dataset.meta["atoms"]) == sorted(dataset.meta["atoms"])
        assert dataset.subset([0]).atoms == dataset.atoms

    def test_prepared_rows_that_are_no_molecules(self):
        """RDKit has not read these: what it would refuse gets no capacity."""
        texts = ["C[NH3+]", "[nH]", "[CH5]", "[]", "C[", "N][13CH3]"]
        codec = CharacterCodec(form="kekule", characters=tuple(sorted({*"".join(texts)})))
        dataset = encode(texts, codec, prepared=True)
        assert dataset.n_accepted == 6 and {*dataset.atoms} == {*chem.ORGANIC, "[13CH3]", "[NH3+]"}

    @pytest.mark.parametrize("form", ["text", "aromatic"])
    def test_other_forms_have_none(self, form):
        assert encode(self.TEXTS, self.codec(form)).meta["atoms"] == {}

    def test_worker_processes_find_the_same(self, tmp_path):
        one, two = (encode(self.TEXTS * 9, self.codec(), tmp_path / f"{n}", jobs=n, chunk=5) for n in (1, 2))
        assert one.atoms == two.atoms == chem.capacities(chem.ORGANIC) | self.CAPACITIES
        assert (one.folder / "meta.json").read_bytes() == (two.folder / "meta.json").read_bytes()

    def test_a_set_written_before_they_were_collected(self, tmp_path):
        folder = encode(self.TEXTS, self.codec(), tmp_path / "set").folder
        meta = json.loads((folder / "meta.json").read_text())
        del meta["atoms"]
        (folder / "meta.json").write_text(json.dumps(meta))
        assert TokenDataset.open(folder).atoms == {}

    def test_the_set_keeps_its_own(self):
        dataset = encode(self.TEXTS, self.codec())
        dataset.atoms.clear()
        assert dataset.atoms


class TestFolder:
    """What lies in the folder is complete, or what lay there before."""

    def test_files(self, tmp_path):
        encode(TEXTS, Letters(), tmp_path / "new" / "set")
        assert set(os.listdir(tmp_path / "new" / "set")) == FILES
        assert os.listdir(tmp_path / "new") == ["set"]
        tokens = np.fromfile(tmp_path / "new" / "set" / "tokens.bin", "<u2")
        assert "".join(ALPHABET[token] for token in tokens) == "".join(ACCEPTED)
        with (tmp_path / "new" / "set" / "rejected.csv").open(newline="") as stream:
            assert next(csv.reader(stream)) == ["line", "text", "reason", "position"]

    def test_an_encoded_set_is_replaced(self, tmp_path):
        encode(["CC"], Letters(), tmp_path / "set")
        encode(["CO"], Letters(), tmp_path / "set")
        assert spelled(TokenDataset.open(tmp_path / "set")) == ["CO"]
        assert os.listdir(tmp_path) == ["set"]

    def test_a_link_is_followed(self, tmp_path):
        encode(["CC"], Letters(), tmp_path / "set")
        (tmp_path / "link").symlink_to(tmp_path / "set")
        encode(["CO"], Letters(), tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert spelled(TokenDataset.open(tmp_path / "set")) == ["CO"]

    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, DataError("no")])
    def test_a_stop_in_the_middle_leaves_what_was_there(self, tmp_path, before, stop):
        if before:
            encode(["CC"], Letters(), tmp_path / "set")

        def at_batch(number):
            assert len(os.listdir(tmp_path)) == before + 1  # it is being written
            if number == 2:
                raise stop

        with pytest.raises(type(stop) if isinstance(stop, Exception) else stop):
            encode(["C"] * 10, Letters(at_batch=at_batch), tmp_path / "set", chunk=3)
        assert os.listdir(tmp_path) == ["set"] * before
        assert not before or spelled(TokenDataset.open(tmp_path / "set")) == ["CC"]

    def test_a_bad_source_found_late_leaves_what_was_there(self, tmp_path):
        path = tmp_path / "a.smi.gz"
        path.write_bytes(gzip.compress(b"C\n" * 2_000)[:-10])
        for jobs in (1, 2):
            with pytest.raises(DataError, match=r"a\.smi\.gz"):
                encode(path, CharacterCodec(characters=("C",)), tmp_path / "set", chunk=10, jobs=jobs)
            assert os.listdir(tmp_path) == ["a.smi.gz"]

    def test_a_full_disk(self, tmp_path, monkeypatch):
        def full(*arguments, **options):
            raise OSError(28, "No space left on device")

        encode(["CC"], Letters(), tmp_path / "set")
        monkeypatch.setattr(writing.Writer, "finish", full)
        with pytest.raises(DataError, match=r"No space left on device.*free space"):
            encode(["CO"], Letters(), tmp_path / "set")
        assert spelled(TokenDataset.open(tmp_path / "set")) == ["CC"]
        assert os.listdir(tmp_path) == ["set"]

    def test_the_old_set_comes_back_when_the_new_one_cannot_take_its_place(self, tmp_path, monkeypatch):
        encode(["CC"], Letters(), tmp_path / "set")
        rename = Path.rename

        def refuse(path, target):
            if path.suffix == ".part":
                raise PermissionError(13, "Permission denied")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", refuse)
        with pytest.raises(DataError, match="Permission denied"):
            encode(["CO"], Letters(), tmp_path / "set")
        assert spelled(TokenDataset.open(tmp_path / "set")) == ["CC"]
        assert os.listdir(tmp_path) == ["set"]

    def test_other_things_are_not_overwritten(self, tmp_path):
        codec = Letters()
        (tmp_path / "file").write_text("mine")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "thesis.tex").write_text("mine")
        (tmp_path / "empty").mkdir()
        for name in ("file", "full"):
            with pytest.raises(DataError, match="something else"):
                encode(["C"], codec, tmp_path / name)
        assert codec.batches == []
        assert len(encode(["C"], codec, tmp_path / "empty")) == 1
        with pytest.raises(DataError, match="cannot be written"):
            encode(["C"], codec, tmp_path / "file" / "set")


class TestOpen:
    @pytest.fixture
    def folder(self, tmp_path):
        return encode(TEXTS, Letters(), tmp_path / "set").folder

    def change(self, folder, **changes):
        meta = json.loads((folder / "meta.json").read_text())
        (folder / "meta.json").write_text(json.dumps(meta | changes))

    def test_the_tokens_stay_on_disk(self, folder):
        assert isinstance(TokenDataset.open(str(folder))._tokens, np.memmap)

    @pytest.mark.parametrize("name", sorted(FILES))
    def test_a_missing_file(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(DataError, match=r"meta\.json" if name == "meta.json" else f"{name}: .*missing"):
            TokenDataset.open(folder)

    @pytest.mark.parametrize("name", ["tokens.bin", "offsets.bin", "lines.bin"])
    @pytest.mark.parametrize("change", [lambda data: data[:-2], lambda data: b"", lambda data: data + b"\0\0"])
    def test_a_file_of_the_wrong_size(self, folder, name, change):
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        with pytest.raises(DataError, match=f"{name}: .*wrong size.*Encode the texts again"):
            TokenDataset.open(folder)

    @pytest.mark.parametrize("place, value", [(0, 1), (-1, 10**9), (2, -5), (2, 10**6)])
    def test_garbage_offsets(self, folder, place, value):
        offsets = np.fromfile(folder / "offsets.bin", "<i8")
        offsets[place] = value
        offsets.tofile(folder / "offsets.bin")
        with pytest.raises(DataError, match="offsets do not fit"):
            TokenDataset.open(folder)

    def test_a_token_that_is_no_rule(self, folder):
        tokens = np.fromfile(folder / "tokens.bin", "<u2")
        tokens[3] = len(ALPHABET)
        tokens.tofile(folder / "tokens.bin")
        with pytest.raises(DataError, match="received 11; expected < 11"):
            TokenDataset.open(folder)

    def test_a_newer_format(self, folder):
        self.change(folder, format=2)
        with pytest.raises(DataError, match=r"newer version.*received format 2; expected format 1"):
            TokenDataset.open(folder)

    @pytest.mark.parametrize(
        "changes",
        [
            {"read": 10},
            {"accepted": "5"},
            {"accepted": -1, "read": 3},
            {"tokens": None},
            {"codec": None},
            {"codec": {"kind": "letters"}},
            {"format": "1"},
            {"rules": True},
            {"atoms": ["C"]},
            {"atoms": {"C": "4"}},
            {"atoms": {"C": -1}},
        ],
    )
    def test_a_description_that_was_tampered_with(self, folder, changes):
        self.change(folder, **changes)
        with pytest.raises(DataError, match="damaged"):
            TokenDataset.open(folder)

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "model"}', "\xff"])
    def test_a_description_of_something_else(self, folder, text):
        (folder / "meta.json").write_text(text, encoding="latin-1")
        with pytest.raises(DataError, match=r"not JSON|not an encoded data set"):
            TokenDataset.open(folder)

    def test_no_folder_at_all(self, tmp_path):
        with pytest.raises(DataError, match="no such folder"):
            TokenDataset.open(tmp_path / "nowhere")
        with pytest.raises(DataError, match="not an encoded data set"):
            TokenDataset.open(tmp_path)

    def test_its_folder_is_no_file_of_texts(self, folder):
        with pytest.raises(DataError, match=r"TokenDataset\.open"):
            read_rows(folder)

    def test_neither_rdkit_nor_nltk_nor_a_grammar_is_imported(self, folder):
        program = (
            "import sys\n"
            "from grammar_rae.datasets import TokenDataset\n"
            "train, validation = TokenDataset.open(sys.argv[1]).split(0.4, seed=0)\n"
            "assert 'torch' not in sys.modules\n"
            "assert train.batch([0, 1, 2]).shape[0] == 3 and len(validation.rejected) == 4\n"
            "print(*(name for name in ('rdkit', 'nltk', 'numba', 'pandas', 'pooch') if name in sys.modules))\n"
        )
        command = [sys.executable, "-c", program, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


class TestRows:
    def test_lengths(self, dataset):
        assert dataset.lengths.tolist() == [len(text) for text in ACCEPTED]

    def test_batch_is_padded_to_its_longest_row(self, dataset):
        batch = dataset.batch([1, 0])
        assert batch.dtype == torch.int64
        assert batch.tolist() == [[0, -1, -1], [0, 0, 2]]

    @pytest.mark.parametrize(
        "indices",
        [[2, 0], (2, 0), np.array([2, 0], np.int32), torch.tensor([2, 0]), range(2, -1, -2), np.array([-3, -5])],
    )
    def test_indices_of_every_kind(self, dataset, indices):
        assert torch.equal(dataset.batch(indices), dataset.batch([2, 0]))
        assert spelled(dataset.subset(indices)) == ["c1ccccc1", "CCO"]

    def test_a_mask(self, dataset):
        assert spelled(dataset.subset(dataset.lengths > 3)) == ["c1ccccc1", "C(=O)O", "CC[NH]C"]

    def test_an_empty_batch(self, dataset):
        assert dataset.batch([]).shape == (0, 0)
        assert len(dataset.subset([])) == 0

    @pytest.mark.parametrize("indices", [[[0]], 0, [0.5], ["0"], [True, False]])
    def test_what_is_no_index(self, dataset, indices):
        with pytest.raises(InputError, match="invalid row indices"):
            dataset.batch(indices)

    @pytest.mark.parametrize("index", [5, -6])
    def test_an_index_outside(self, dataset, index):
        for use in (dataset.tokens, lambda i: dataset.batch([i]), lambda i: dataset.subset([i])):
            with pytest.raises(IndexError):
                use(index)
        with pytest.raises(IndexError):
            dataset.subset([0, 1]).tokens(2)

    @given(st.data())
    def test_batch_holds_the_tokens_of_the_rows(self, data):
        texts = data.draw(st.lists(st.text("CNO", min_size=1, max_size=9), min_size=1))
        rows = encode(texts, Letters())
        chosen = data.draw(st.lists(st.integers(0, len(texts) - 1), min_size=1))
        batch = rows.batch(chosen)
        assert batch.shape == (len(chosen), max(len(texts[i]) for i in chosen))
        for row, i in zip(batch, chosen, strict=True):
            assert row[: len(texts[i])].tolist() == rows.tokens(i).tolist()
            assert (row[len(texts[i]) :] == -1).all()

    def test_views_of_views(self, dataset):
        view = dataset.subset([4, 2, 0]).subset([2, 0])
        assert spelled(view) == ["CCO", "CC[NH]C"]
        assert view.lines.tolist() == [1, 9]
        assert view.lengths.tolist() == [3, 7]
        assert view.rejected == REJECTED
        assert view.n_read == 9

    def test_the_codec(self, dataset):
        assert dataset.matches(Letters())
        assert not dataset.matches(Letters(max_length=21))
        assert dataset.codec_dict == Letters().to_dict()


DIFFERENT = ["".join(letters) for letters in itertools.product("CNO", repeat=5)]


class TestSplit:
    @given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 9), st.none() | st.integers(1, 20))
    def test_disjoint_and_complete(self, n, fraction, seed, maximum):
        whole = encode(DIFFERENT[:n], Letters())
        train, validation = whole.split(fraction, seed, maximum=maximum)
        assert sorted([*train.lines, *validation.lines]) == list(range(1, n + 1))
        assert 1 <= len(validation) <= (maximum or n)
        assert len(train) >= 1
        assert len(validation) == min(max(round(n * fraction), 1), n - 1, maximum or n)

    def test_the_seed_decides(self):
        whole = encode(DIFFERENT[:100], Letters())
        first = whole.split(0.1, 0)[1].lines.tolist()
        assert first == whole.split(0.1, 0)[1].lines.tolist()
        assert first != whole.split(0.1, 1)[1].lines.tolist()

    def test_a_view_is_split_as_a_whole(self):
        view = encode(DIFFERENT[:10], Letters()).subset([1, 3, 5])
        train, validation = view.split(0.3, 0)
        assert sorted([*train.lines, *validation.lines]) == [2, 4, 6]

    @pytest.mark.parametrize("fraction", [0, 1, -0.1, 2, float("nan")])
    def test_bad_fraction(self, dataset, fraction):
        with pytest.raises(InputError, match="fraction"):
            dataset.split(fraction, 0)

    def test_bad_maximum_or_too_few_rows(self, dataset):
        with pytest.raises(InputError, match="maximum 0"):
            dataset.split(0.5, 0, maximum=0)
        with pytest.raises(DataError, match="two or more"):
            dataset.subset([0]).split(0.5, 0)


class TestCoverage:
    def test_counts_reasons_tokens_and_lengths(self):
        texts = [*TEXTS, "CN#N", "C%C", "C[Na]C", "C[Na+]O", "[Na", "Na]"]
        found = coverage(texts, Letters(), chunk=4)
        assert (found.read, found.accepted, found.rejected) == (15, 5, 10)
        assert found.share == pytest.approx(1 / 3)
        assert found.reasons == {
            "a letter is unknown": 7,
            "blank line": 1,
            "missing value": 1,
            "the text is too long": 1,
        }
        assert found.unsupported == {"#": 2, "%": 1, "[Na]": 1, "[Na+]": 1, "a": 2}
        assert found.examples["#"] == (4, "N#N", "a letter is unknown; character 2", 1)
        assert found.lengths == {"min": 1, "mean": 5.0, "median": 6, "99%": 8, "99.9%": 8, "max": 8}

    def test_one_reason_at_several_places_counts_as_one(self):
        texts = ["CC(C)(C)(C)C", "C(C)(C)(C)(C)C", "CC)", "CCC)", "c1cccc1", "Cc1cccc1"]
        found = coverage(texts, GrammarCodec(form="kekule", table=read_grammar("smiles")))
        assert found.reasons == {
            "RDKit cannot read this SMILES: Explicit valence for atom C, 5, is greater than permitted": 2,
            "RDKit cannot read this SMILES: extra close parentheses": 2,
            "RDKit cannot read this SMILES: Can't kekulize mol. Unkekulized atoms": 2,
        }

    def test_nothing_is_covered(self):
        found = coverage(["N#N"], Letters())
        assert (found.share, found.lengths) == (0, {})

    def test_a_text_that_ends_too_early(self):
        class Impatient(Letters):
            def encode_batch(self, texts, prepared=False):
                error = TextError("the text ends too early", text=texts[0], position=len(texts[0]))
                return EncodedBatch(np.empty(0, np.uint16), np.zeros(1, int), [(0, error)])

        assert coverage(["C("], Impatient()).unsupported == {"end of text": 1}

    def test_agrees_with_encode(self, tmp_path):
        path = tmp_path / "a.smi"
        path.write_text("smiles\n" + "\n".join(text or "" for text in TEXTS))
        found, written = coverage(path, Letters()), encode(path, Letters())
        assert (found.read, found.accepted, found.rejected) == (10, written.n_accepted, written.n_rejected)
        assert dict(found.reasons) == written.meta["reasons"]


def test_real_molecules_with_the_real_codec(tmp_path):
    rows = list(islice(read_texts(bundled_file("data/moses_sample.smi.gz")), 500))
    texts = [text for _, text in rows]
    path = tmp_path / "molecules.smi"
    path.write_text("smiles\n" + "\n".join([*texts, "c1ccccc", "[U]=[Xx]"]))
    codec = GrammarCodec.learn(texts[:100], n_macros=50, form="kekule", max_length=100)
    dataset = encode(path, codec, tmp_path / "set")
    assert (dataset.n_read, dataset.n_accepted, dataset.n_rejected) == (503, 500, 3)
    assert [row.line for row in dataset.rejected] == [1, 502, 503]
    assert dataset.matches(codec) and codec_from_dict(dataset.codec_dict).to_dict() == codec.to_dict()
    batch = dataset.batch(range(500)).numpy()
    assert codec.decode_batch(batch) == [codec.prepare(text) for text in texts]
    assert coverage(path, codec).accepted == 500
    assert dataset.atoms == chem.capacities(chem.ORGANIC)  # MOSES has no charges and no stereochemistry


FORMULAS = ["=HYPERLINK(1)", "+1", "-1", "@x", "'=1", "''+", "'C", "C=C"]


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_lists_of_rejected_rows_hold_no_formulas(tmp_path, place):
    data = encode(["C", *FORMULAS], Letters(alphabet="C"), tmp_path / "set" if place == "folder" else None)
    assert [row.text for row in data.rejected] == FORMULAS
    if place == "folder":
        with (tmp_path / "set" / "rejected.csv").open(newline="") as stream:
            cells = [row["text"] for row in csv.DictReader(stream)]
        assert not any(cell[0] in "=+-@\t\r" for cell in cells)
        assert cells[-2:] == FORMULAS[-2:]
