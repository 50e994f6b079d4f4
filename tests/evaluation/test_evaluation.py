"""The evaluation of models of molecules: what it counts, what it writes, and what it refuses. Models are tiny."""

import json
import os
import re
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from grammar_rae import chem
from grammar_rae.cli import app
from grammar_rae.cli import evaluation as evaluation_command
from grammar_rae.datasets import sample_texts
from grammar_rae.errors import DataError, InputError, MissingExtraError
from grammar_rae.evaluation import EvaluationFigures, EvaluationSettings, evaluate, provenance, sets
from grammar_rae.evaluation import reconstruction as reconstruction_module
from grammar_rae.evaluation.molecules import _Evaluator
from grammar_rae.evaluation.results import _finite
from grammar_rae.evaluation.sets import FLOOR, TrainingSet, choose_texts, load_reference, reference_files
from grammar_rae.metrics import chemnet_moments, fcd, snn
from grammar_rae.metrics.molecule_sets import PARTS
from grammar_rae.model import DecodedTexts, EncodedTexts, SampleResult, TextModel
from grammar_rae.report.evaluation import evaluation_markdown, evaluation_tables, write_evaluation_page
from grammar_rae.resources import bundled_file

TEXTS = sample_texts(bundled_file("data/moses_sample.smi.gz"), 90, seed=0)
TRAINING, OTHERS = TEXTS[:60], TEXTS[60:]

EXPRESSIONS = {"codec_options": {"grammar": "expressions"}, "form": "expression"}

pytest.importorskip("fcd_torch")


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """Few decodings will do."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("ENCODINGS", "DECODINGS"):
            patch.setattr(reconstruction_module, name, 2)
        yield


def written(path: Path, texts: list[str]) -> Path:
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained model (``run``) and a file of molecules that it has not seen (``others.smi``)."""
    folder = tmp_path_factory.mktemp("evaluation")
    TextModel("tiny", epochs=1).fit(TRAINING, folder=folder / "run", jobs=1)
    written(folder / "others.smi", [*OTHERS, "C1CC"])
    return folder


@pytest.fixture(scope="module")
def model(home: Path) -> TextModel:
    loaded = TextModel.load(home / "run")
    assert isinstance(loaded, TextModel)
    return loaded


def what(home: Path, **settings: Any) -> EvaluationSettings:
    given: dict[str, Any] = {"reference": home / "others.smi", "run": home / "run", "n": 12, "reconstruct": 5}
    return EvaluationSettings(**{**given, "constraint": "chemistry", "progress": False, **settings})


@pytest.fixture(scope="module")
def found(home: Path, model: TextModel) -> Any:
    return evaluate(model, what(home, baseline=True))


def grammar_rae(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="grammar-rae")


class TestFigures:
    def test_draws_are_raw_and_counted(self, found: Any) -> None:
        moses, draws = found.figures.moses, found.draws
        valid = [text for text, good in zip(draws.texts, draws.valid, strict=True) if good]
        assert moses.draws.attempts == draws.attempts == len(draws) == 12
        assert moses.draws.valid == len(valid) == 12 * moses.draws.validity
        assert moses.draws.unique == len(set(valid)) / len(valid)
        assert moses.unique_at_1000 is None  # there are not a thousand
        known = set(map(chem.canonical, TRAINING))
        assert moses.draws.novelty == np.mean([text not in known for text in set(valid)])
        assert moses.draws.training_copies == np.mean([text in known for text in valid])

    def test_each_constraint_that_the_model_serves(self, found: Any) -> None:
        rows = found.figures.constraints
        assert list(rows) == ["none", "masks", "grammar", "chemistry"]
        assert rows["chemistry"].validity == 1 and rows["chemistry"].attempts == 12
        assert rows["chemistry"].valid == found.figures.moses.draws.valid  # the same seed

    def test_against_the_reference(self, found: Any, home: Path) -> None:
        row = found.figures.moses.references["reference"]
        valid = [text for text, good in zip(found.draws.texts, found.draws.valid, strict=True) if good]
        assert row.molecules == len(OTHERS)
        assert row.fcd == pytest.approx(fcd(valid, OTHERS), rel=1e-6)
        assert row.snn == pytest.approx(snn(valid, OTHERS))
        assert row.fcd_floor_molecules == min(len(valid), len(OTHERS) // 2)
        assert row.fcd_floor > 0
        remarks = " ".join(found.figures.remarks)
        assert "1 texts of reference were left out" in remarks and "GuacaMol" in remarks

    def test_the_baseline_is_of_the_training_set(self, found: Any) -> None:
        row = found.figures.baseline
        assert row.draws.validity == row.draws.training_copies == row.filters == 1
        assert row.draws.novelty == 0
        assert set(row.references) == set(found.figures.moses.references)

    def test_guacamol(self, found: Any) -> None:
        row = found.figures.guacamol
        assert row.n == 12
        assert row.validity == found.figures.moses.draws.validity
        assert 12 <= row.attempts <= 120
        assert row.novelty <= 1 and len(row.divergences) == 10

    def test_reconstruction(self, found: Any) -> None:
        row = found.figures.reconstruction
        assert (row.molecules, row.refused, row.sampled_molecules) == (5, 0, 1)
        assert 0 <= row.greedy <= 1 and 0 <= row.sampled <= 1
        assert row.reference == "reference" and row.unpolished is None, "the toy polishes none"

    def test_the_encoder_alone(self, model: TextModel) -> None:
        polishing = copy(model)
        polishing.fitted_ = replace(model.fitted_, recipe=model.recipe_.replace(polish=4))
        row = reconstruction_module.reconstruction(polishing, OTHERS[:8], None, 0)
        assert row.unpolished == model.reconstruction(OTHERS[:8]).share <= row.greedy

    def test_densities(self, found: Any) -> None:
        for one in found.figures.distributions.values():
            step = one.x[1] - one.x[0]
            for side in ("draws", "reference"):
                # The outermost thousandths are cut off: the smallest and the largest, of so few.
                assert 1 - 2 / 12 - 1e-9 <= sum(one.sides[side]) * step <= 1 + 1e-9

    def test_json_and_back(self, found: Any) -> None:
        data = json.loads(json.dumps(found.figures.to_dict(), allow_nan=False))
        again = EvaluationFigures.from_dict(data)
        assert again.to_dict() == found.figures.to_dict()
        assert (again.moses, again.provenance) == (found.figures.moses, found.figures.provenance)
        with pytest.raises(DataError, match="not the figures of an evaluation"):
            EvaluationFigures.from_dict({name: value for name, value in data.items() if name != "moses"})
        with pytest.raises(DataError, match="not the figures of an evaluation"):
            EvaluationFigures.from_dict({**data, "constraints": ["grammar"]})


def test_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["some/where/benchmarks/__main__.py", "images", "-o", "a folder"])
    found = provenance(3, 4)
    assert found.command == "python -m benchmarks images -o 'a folder'"
    assert found.seeds == (3, 4) and "torch" in found.versions and re.fullmatch(r"\d{4}-\d\d-\d\d", found.date)
    assert json.loads(json.dumps(found.to_dict()))["seeds"] == [3, 4]
    monkeypatch.setattr("sys.argv", ["some/bin/grammar-rae", "evaluate"])
    assert provenance().command == "grammar-rae evaluate"


def test_exact_reconstructions_count(home: Path, model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that gives back every molecule has 1, less what its codec refuses."""
    kept: dict[int, str] = {}

    def encode(texts: list[str], *_: Any) -> EncodedTexts:
        rejected = {index: error for index, error in model.codec.encode_batch(texts).rejected}
        rows = [index for index in range(len(texts)) if index not in rejected]
        kept.update(enumerate(chem.canonical(texts[row]) for row in rows))
        codes = np.arange(len(rows), dtype=np.float32)[:, None]
        return EncodedTexts(codes, np.array(rows), rejected)

    def decode(z: Any, **_: Any) -> list[str]:
        return [kept[int(row[0])] for row in z]

    monkeypatch.setattr(model, "_encode_texts", encode)
    monkeypatch.setattr(model, "decode", decode)
    monkeypatch.setattr(model, "decode_batch", lambda z, **_: DecodedTexts(decode(z), np.ones(len(z), bool)))
    path = written(home / "salts.smi", [*OTHERS[:8], "CC.CO", "CCC.CO"])  # the codec takes single molecules
    evaluator = _Evaluator(model, what(home, reference=path, reconstruct=10))
    evaluator._read_references()
    evaluator._reconstruct()
    row = evaluator.reconstruction
    assert row is not None
    assert (row.molecules, row.refused, row.greedy, row.sampled) == (10, 2, 0.8, 1)


def test_nothing_valid(home: Path, model: TextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def sample(n: int, valid_only: bool, **_: Any) -> SampleResult:
        latent = np.zeros((n, 8), np.float32)
        return SampleResult(["C1CC"] * n, np.zeros(n, bool), n, 0, latent, "grammar", 1.0, 0)

    monkeypatch.setattr(model, "sample", sample)
    found = evaluate(model, what(home, reconstruct=0)).figures
    assert found.moses.draws.validity == 0
    assert found.moses.references == {} and found.distributions == {} and found.reconstruction is None
    assert "0 of 12 draws are valid" in " ".join(found.remarks)
    assert found.guacamol is not None and found.guacamol.attempts == 120
    assert found.to_dict()["guacamol"]["fcd"] is None
    assert EvaluationFigures.from_dict(found.to_dict()).to_dict() == found.to_dict()
    assert "| valid | 0.00% |" in evaluation_markdown(found)


def test_without_a_training_set(home: Path, model: TextModel) -> None:
    found = evaluate(model, what(home, run=None, reconstruct=0)).figures
    assert found.moses.draws.novelty is None and found.guacamol is None and found.training_molecules is None
    assert "no training set" in found.remarks[0]


class TestRefusals:
    def test_expressions(self, home: Path) -> None:
        texts = ["x", "x+1", "sin(x*2)", "exp(x)/3", "(x+1)*x", "3"]
        model = TextModel("tiny", epochs=1, overrides=EXPRESSIONS).fit(texts)
        with pytest.raises(InputError, match="only models of molecules"):
            evaluate(model, what(home))

    def test_without_the_extra(self, home: Path, model: TextModel, hide_package: Callable[[str], None]) -> None:
        hide_package("fcd_torch")
        with pytest.raises(MissingExtraError, match=r"grammar_rae\[metrics\]"):
            evaluate(model, what(home))

    @pytest.mark.parametrize("device", ["abacus", "cuda:99"])
    def test_devices(self, home: Path, model: TextModel, device: str) -> None:
        with pytest.raises(InputError, match="device cannot be used"):
            evaluate(model, what(home, device=device))

    def test_files(self, home: Path, model: TextModel, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no such file"):
            evaluate(model, what(home, reference=tmp_path / "none.smi"))
        with pytest.raises(DataError, match=r"too few molecules.*2 molecules in 3 texts"):
            evaluate(model, what(home, reference=written(tmp_path / "few.smi", ["C", "CC", "C1CC"])))
        with pytest.raises(DataError, match="no molecule in the training file"):
            evaluate(model, what(home, training=written(tmp_path / "bad.smi", ["C1CC"])))

    def test_no_process(self, home: Path, model: TextModel) -> None:
        with pytest.raises(InputError, match="number of processes"):
            evaluate(model, what(home, jobs=0))

    @pytest.mark.parametrize("settings", [{"n": 9}, {"rows": 1}, {"reconstruct": -1}, {"seed": -1}])
    def test_numbers(self, home: Path, settings: Any) -> None:
        with pytest.raises(InputError, match="cannot be used"):
            what(home, **settings)


class TestSets:
    def test_a_reference_is_kept(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = home / "others.smi"
        first = load_reference("one", path, cache=tmp_path / "cache")
        (kept,) = (tmp_path / "cache").iterdir()
        monkeypatch.setattr(sets, "describe", None)
        again = load_reference("two", path, cache=tmp_path / "cache")
        assert (again.name, again.texts, again.unreadable) == ("two", first.texts, 1)
        for part in ("fragments", "scaffolds", "n"):
            assert getattr(again.described, part) == getattr(first.described, part)
        assert np.array_equal(again.described.fingerprints, first.described.fingerprints)  # type: ignore[arg-type]
        assert again.described.values["qed"].tolist() == first.described.values["qed"].tolist()
        assert np.array_equal(again.described.chemnet.covariance, first.described.chemnet.covariance)  # type: ignore[union-attr]
        kept.write_bytes(kept.read_bytes()[:100])
        with pytest.raises(TypeError):  # it is described again
            load_reference("two", path, cache=tmp_path / "cache")

    def test_other_versions_describe_again(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        load_reference("one", home / "others.smi", cache=tmp_path)
        monkeypatch.setattr(sets, "version", lambda package: f"{package} of tomorrow")
        monkeypatch.setattr(sets, "describe", None)
        with pytest.raises(TypeError):
            load_reference("one", home / "others.smi", cache=tmp_path)

    def test_what_is_interrupted_leaves_nothing(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(path: Path, **_: Any) -> None:
            path.write_bytes(b"half")
            raise KeyboardInterrupt

        monkeypatch.setattr(np, "savez", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load_reference("one", home / "others.smi", cache=tmp_path / "cache")
        assert list((tmp_path / "cache").iterdir()) == []

    def test_floors_are_kept(self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = load_reference("one", home / "others.smi", cache=tmp_path)
        floor = first.fcd_floor(8, seed=3)
        part = choose_texts(first.texts, 8, 3, FLOOR)
        rest = [text for text in first.texts if text not in part]
        assert len(rest) == len(OTHERS) - 8
        assert floor == pytest.approx(fcd(part, chemnet_moments(rest)), rel=1e-5)
        assert first.fcd_floor(8, seed=4) != floor != first.fcd_floor(9, seed=3)
        monkeypatch.setattr(sets, "chemnet_moments", None)
        again = load_reference("two", home / "others.smi", cache=tmp_path)
        assert again.fcd_floor(8, seed=3) == floor
        next(tmp_path.glob("*-floor-8-3.json")).write_text("{")
        assert again.fcd_floor(8, seed=3) == floor  # it is known by now
        with pytest.raises(TypeError):  # it is computed again
            load_reference("two", home / "others.smi", cache=tmp_path).fcd_floor(8, seed=3)

    def test_a_folder_that_cannot_be_written(self, home: Path, tmp_path: Path) -> None:
        cache = written(tmp_path / "cache", ["a file"])
        with pytest.warns(UserWarning, match="cannot be kept"):
            assert load_reference("one", home / "others.smi", cache=cache).described.n == len(OTHERS)

    def test_another_file_is_another_reference(self, tmp_path: Path) -> None:
        path = written(tmp_path / "a.smi", OTHERS[:6])
        assert load_reference("a", path, cache=tmp_path / "cache").described.n == 6
        written(path, OTHERS[:5])
        assert load_reference("a", path, cache=tmp_path / "cache").described.n == 5
        assert load_reference("a", path, rows=4, cache=tmp_path / "cache").described.n == 4

    def test_files_of_moses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sets, "fetch", lambda name, folder, progress: folder / "train.csv.gz")
        names = {name: path.name for name, path in reference_files("moses", tmp_path, False).items()}
        assert names == {"Test": "test.csv.gz", "TestSF": "test_scaffolds.csv.gz"}

    def test_training_sets_of_a_run_and_of_a_file(self, home: Path, model: TextModel, tmp_path: Path) -> None:
        from grammar_rae.datasets import TokenDataset

        run = TrainingSet.of_run(TokenDataset.open(home / "run" / "data"), model.codec)
        file = TrainingSet.of_file(written(tmp_path / "t.smi", [chem.kekule(text) for text in TRAINING]))
        for training in (run, file):
            assert len(training) == len(TRAINING)
            assert all(training.has(chem.canonical(text)) for text in TRAINING)
            assert not any(training.has(chem.canonical(text)) for text in OTHERS)
            assert training.has_flat(chem.canonical(TRAINING[0]))
            assert set(map(chem.canonical, training.texts)) == set(map(chem.canonical, TRAINING))
        assert not run.has("C.C")  # a molecule that the codec refuses

    def test_choose_texts(self) -> None:
        texts = list("abcdefghij")
        assert len(set(choose_texts(texts, 5, 0, 1))) == 5 and sorted(choose_texts(texts, 99, 0, 1)) == texts
        assert choose_texts(texts, 5, 0, 1) == choose_texts(texts, 5, 0, 1) != choose_texts(texts, 5, 0, 2)

    def test_stereochemistry_counts_in_one_way_only(self, tmp_path: Path) -> None:
        training = TrainingSet.of_file(written(tmp_path / "t.smi", ["C[C@H](F)Cl", "CCO", "[13CH3]CN"]))
        assert not training.has(chem.canonical("CC(F)Cl")) and not training.has(chem.canonical("C[C@@H](F)Cl"))
        assert training.has_flat(chem.canonical("CC(F)Cl")) and training.has_flat("CCO")
        assert not training.has("CCN") and training.has_flat("CCN")  # isotopes neither
        assert not training.has_flat("CCC")


def test_what_json_cannot_hold() -> None:
    given = {"a": float("nan"), "b": [np.float64("inf"), np.float32(1)], "c": "text", "d": 2}
    assert _finite(given) == {"a": None, "b": [None, 1.0], "c": "text", "d": 2}


class TestReport:
    def test_markdown_has_every_table(self, found: Any) -> None:
        text = evaluation_markdown(found.figures)
        titles = [table.title for table in evaluation_tables(found.figures)]
        assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == [*titles, "Remarks"]
        for line in text.splitlines():
            if line.startswith("|"):
                assert "None" not in line and "nan" not in line
        assert "training set, reference" in text and "FCD's floor" in text

    def test_the_page(self, found: Any, tmp_path: Path) -> None:
        figures = replace(found.figures, reference="<b>.smi")
        write_evaluation_page(tmp_path / "page.html", figures, OTHERS[:3], "grammar-rae evaluate -n 3")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert page.count("<table>") == len(evaluation_tables(figures))
        assert all(f">{title}<" in page for title in ("logP", "SA", "QED", "Weight"))
        assert page.count("<li>") == len(figures.remarks) > 0
        assert "&lt;b&gt;" in page and "<b>" not in page
        assert page.count("<figure>") == 3
        assert "<code>grammar-rae evaluate -n 3</code>" in page


class TestCommand:
    def test_it_writes_everything_and_the_same_again(self, found: Any, home: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        words = ["-m", home / "run", "--reference", home / "others.smi", "-o", out, "-n", "12", "--jobs", "1"]
        result = grammar_rae("evaluate", *words, "--constraint", "chemistry", "--reconstruct", "0", "-q")
        assert result.exit_code == 0, result.output
        assert sorted(path.name for path in out.iterdir()) == [
            "draws.csv",
            "evaluation.html",
            "evaluation.md",
            "results.json",
        ]
        figures = json.loads((out / "results.json").read_text())
        assert figures["n"] == 12 and figures["constraint"] == "chemistry" and "processor" in figures["provenance"]
        for part in ("moses", "constraints", "guacamol"):
            assert figures[part] == json.loads(json.dumps(found.figures.to_dict()[part], allow_nan=False))
        assert (out / "evaluation.md").read_text() == result.stdout
        assert len((out / "draws.csv").read_text().splitlines()) == 13
        assert re.search("^note: GuacaMol", result.stderr, re.MULTILINE)

    def test_nothing_is_written_into_the_box(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(evaluation_command, "bundled_models", lambda: ["one"])
        monkeypatch.setattr(evaluation_command, "bundled_model", lambda name: tmp_path / name)
        assert evaluation_command._default_folder(tmp_path / "one") == Path("evaluation")
        assert evaluation_command._default_folder(tmp_path / "two") == tmp_path / "two" / "evaluation"
        monkeypatch.chdir(tmp_path)
        assert evaluation_command._default_folder(Path("one")) == Path("evaluation")

    def test_refusals_are_one_line(self, home: Path, tmp_path: Path) -> None:
        for words, message in (
            (["-m", home / "run", "--reference", tmp_path / "none.smi"], "there is no such file"),
            (["-m", tmp_path, "--reference", home / "others.smi"], "error: "),
            (["-m", home / "run", "-o", home / "others.smi"], "this is a file"),
        ):
            result = grammar_rae("evaluate", *words)
            assert result.exit_code == 2 and "Traceback" not in result.stderr
            assert message in result.stderr.splitlines()[0]

    def test_a_failure_leaves_no_folder(self, home: Path, tmp_path: Path) -> None:
        words = ["-m", home / "run", "--reference", tmp_path / "none.smi", "-q"]
        assert grammar_rae("evaluate", *words, "-o", tmp_path / "new" / "deep").exit_code == 2
        assert list(tmp_path.iterdir()) == []
        written(tmp_path / "kept.txt", ["mine"])
        assert grammar_rae("evaluate", *words, "-o", tmp_path).exit_code == 2
        assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]

    def test_a_folder_without_permission_is_told_before_the_work(
        self, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        allowed = os.access  # the superuser may write everywhere
        monkeypatch.setattr("os.access", lambda path, mode, **_: mode != os.W_OK and allowed(path, mode))
        monkeypatch.setattr("grammar_rae.evaluation.evaluate", lambda *_: pytest.fail("worked for nothing"))
        words = ["-m", home / "run", "--reference", home / "others.smi", "-o", tmp_path / "out"]
        result = grammar_rae("evaluate", *words)
        assert result.exit_code == 2
        assert "cannot be written in" in result.stderr and str(tmp_path / "out") in result.stderr
        assert not (tmp_path / "out").exists()


def test_the_names_of_the_parts_are_known() -> None:
    assert set(sets.PARTS) <= set(PARTS)
