"""The benchmarks: on files so small that only their bookkeeping can be wrong."""

import json
import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import grammar_rae
from benchmarks import constraints, decoding, noise, profile, text, training
from benchmarks.__main__ import app
from benchmarks.original import OriginalDecoding
from benchmarks.rows import figures
from grammar_rae import chem
from grammar_rae.codecs import GrammarCodec
from grammar_rae.datasets import pad_tokens, read_texts
from grammar_rae.decoding import Chemistry, Draws, GrammarConstraint, decode, decode_all
from grammar_rae.errors import InputError, UnknownNameError
from grammar_rae.evaluation import provenance
from grammar_rae.grammar import read_grammar
from grammar_rae.nets.sequence import GRUDecoder
from grammar_rae.resources import bundled_file


@pytest.fixture(scope="module")
def molecules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 molecules, a header and a row that RDKit refuses."""
    rows = [row for _, row in islice(read_texts(bundled_file("data/moses_sample.smi.gz")), 120)]
    path = tmp_path_factory.mktemp("data") / "molecules.smi"
    path.write_text("smiles\n" + "\n".join(rows) + "\nC1CC\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(molecules: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    """A toy's training, and its row of figures."""
    folder = tmp_path_factory.mktemp("run")
    row = training.run(
        molecules, molecules, folder, recipe="tiny", epochs=2, samples=50, test_rows=30, progress=False, jobs=1
    )
    return folder, row


@pytest.mark.slow
def test_text(molecules: Path) -> None:
    rows = text.run(molecules, agreement=3)
    by_figure = {(row["figure"], row["grammar"]): row for row in rows}
    for grammar in ("smiles", "zinc"):
        assert by_figure["speed", grammar]["ratio"] > 0
        agreement = by_figure["agreement", grammar]
        assert agreement["identical"] == agreement["texts"] == 3
        trip = by_figure["round trip", grammar]
        # The header and the broken ring are read, and rejected, and nothing else is.
        assert (trip["read"], trip["encoded"], trip["rejected"], trip["lost"]) == (122, 120, 2, 0)
        assert trip["same"] == 120
        assert trip["mean_tokens"] < trip["most_tokens"]
        decoded = by_figure["random decoding", grammar]
        assert decoded["complete"] == decoded["draws"] >= 10_000
    assert by_figure["agreement", "expressions"]["identical"] == 3


def test_training(run: tuple[Path, dict[str, object]]) -> None:
    _, row = run
    assert row["held_out"] == 30
    assert row["samples"] == 50
    assert 0 <= float(str(row["raw_validity"])) <= 1
    assert 0 <= float(str(row["reconstruction"])) <= 1
    assert row["epochs"] == 2
    assert float(str(row["peak_megabytes"])) > 50


def test_profile(run: tuple[Path, dict[str, object]]) -> None:
    folder, _ = run
    *phases, step = profile.run(folder / "data", "tiny", steps=2)
    assert [row["phase"] for row in phases] == [
        "batch from disk",
        "encoder",
        "decoder",
        "likelihood",
        "backward",
        "optimizer",
    ]
    assert sum(row["milliseconds"] for row in phases) == pytest.approx(step["milliseconds"])
    assert sum(row["share"] for row in phases) == pytest.approx(1)


@pytest.fixture(scope="module")
def forms() -> list[str]:
    """60 molecules in Kekulé form."""
    return [chem.kekule(row) for _, row in islice(read_texts(bundled_file("data/moses_sample.smi.gz")), 60)]


@pytest.fixture(scope="module")
def codec(forms: list[str]) -> GrammarCodec:
    return GrammarCodec.learn(forms, n_macros=60, form="kekule")


def tokens_of(codec: GrammarCodec, forms: list[str]) -> torch.Tensor:
    batch = codec.encode_batch(forms, prepared=True)
    return torch.from_numpy(pad_tokens(batch.tokens, batch.offsets, np.arange(len(forms))))


def bare(grammar: str) -> GrammarCodec:
    return GrammarCodec(table=read_grammar(grammar))


class TestOriginal:
    """The rival's algorithm; what it completes is what ours gives."""

    @pytest.mark.parametrize("grammar", ["expressions", "zinc"])
    def test_what_it_completes_is_of_the_grammar(self, grammar: str) -> None:
        codec, chance = bare(grammar), np.random.default_rng(0)
        original = OriginalDecoding(codec.rules)
        logits = chance.normal(size=(60, 40, codec.rules.size))
        one_by_one = [original.decode(row, chance) for row in logits]
        for drawn in (one_by_one, original.decode_batch(logits, chance)):
            complete = [row for row in drawn if row is not None]
            assert 5 < len(complete) < 60
            for row in complete:
                assert codec.encode_text(codec.decode(row)).tolist() == row

    def test_it_draws_from_the_masked_softmax(self) -> None:
        codec, chance = bare("expressions"), np.random.default_rng(0)
        original = OriginalDecoding(codec.rules)
        position = chance.normal(size=codec.rules.size)
        weights = np.exp(position) * codec.rules.lhs_mask[codec.rules.start]
        logits = np.broadcast_to(position, (3000, 1, len(position)))
        # One position does not suffice for an expression, but for the first choice; that one is looked at.
        original.pushed = [[] for _ in original.pushed]
        for drawn in ([original.decode(row, chance) for row in logits], original.decode_batch(logits, chance)):
            counts = np.bincount([row[0] for row in drawn if row is not None], minlength=len(position))
            assert counts / 3000 == pytest.approx(weights / weights.sum(), abs=0.03)

    @pytest.mark.parametrize("grammar", ["expressions", "zinc"])
    def test_peaked_logits_give_what_ours_gives(self, grammar: str) -> None:
        codec, chance = bare(grammar), np.random.default_rng(1)
        logits = 1e4 * chance.normal(size=(200, 40, codec.rules.size)).astype(np.float32)
        original = OriginalDecoding(codec.rules)
        theirs = original.decode_batch(logits, chance)
        assert theirs == [original.decode(row, chance) for row in logits]
        ours = decode_all(torch.from_numpy(logits), GrammarConstraint(codec.rules))
        complete = [index for index, row in enumerate(theirs) if row is not None]
        assert len(complete) > 20
        for index in complete:
            assert ours[index][ours[index] >= 0].tolist() == theirs[index]


class TestFirstRefusal:
    def test_the_grammar_refuses_no_real_molecule(self, codec: GrammarCodec, forms: list[str]) -> None:
        tokens = tokens_of(codec, forms)
        refusal = constraints.first_refusal(GrammarConstraint(codec.rules), tokens, tokens.shape[1])
        assert refusal.tolist() == [-1] * len(forms)

    def test_where_a_row_goes_wrong(self, codec: GrammarCodec, forms: list[str]) -> None:
        rules = codec.rules
        tokens = tokens_of(codec, forms)[:6]
        lengths = (tokens >= 0).sum(1).tolist()
        expected = [-1] * 6
        # Another left-hand side in the middle; an end before the end; a code after it.
        tokens[1, 3] = int(np.flatnonzero(rules.lhs != rules.lhs[tokens[1, 3]])[0])
        expected[1] = 3
        tokens[2, lengths[2] - 1] = -1
        expected[2] = lengths[2] - 1
        tokens = torch.nn.functional.pad(tokens, (0, 1), value=-1)
        tokens[4, lengths[4]] = 0
        expected[4] = lengths[4]
        refusal = constraints.first_refusal(GrammarConstraint(rules), tokens, tokens.shape[1])
        assert refusal.tolist() == expected

    def test_a_limit_that_is_too_small(self, codec: GrammarCodec, forms: list[str]) -> None:
        tokens = tokens_of(codec, forms)
        lengths = (tokens >= 0).sum(1)
        limit = int(lengths.median())
        refusal = constraints.first_refusal(GrammarConstraint(codec.rules), tokens, limit)
        assert ((refusal >= 0) == (lengths > limit)).all()

    def test_a_refusal_after_the_candidates(self, codec: GrammarCodec, forms: list[str]) -> None:
        class Whim(GrammarConstraint):
            """Refuses what its candidates hold."""

            def refuses(self, state: Any, choice: torch.Tensor) -> torch.Tensor:
                assert bool(self.candidates(state).gather(1, choice.unsqueeze(1)).all())
                return torch.ones_like(choice, dtype=torch.bool)

        tokens = tokens_of(codec, forms[:2])
        tokens[1] = tokens[0]
        refusal = constraints.first_refusal(Whim(codec.rules), tokens, tokens.shape[1])
        assert refusal.tolist() == [0, 0]

    def test_the_figures(self, codec: GrammarCodec, forms: list[str]) -> None:
        class Whim(GrammarConstraint):
            """Refuses whatever ends a molecule."""

            def refuses(self, state: Any, choice: torch.Tensor) -> torch.Tensor:
                return (state.height == 1) & torch.from_numpy(self.rules.arity)[choice].eq(0)

        lengths = np.diff(codec.encode_batch(forms, prepared=True).offsets)
        limit = int(np.median(lengths))
        row = constraints.real_molecules(codec, GrammarConstraint(codec.rules), iter(forms), limit)
        assert (row["molecules"], row["left_out"]) == ((lengths <= limit).sum(), (lengths > limit).sum())
        assert (row["refused"], row["examples"]) == (0, [])
        row = constraints.real_molecules(codec, Whim(codec.rules), forms, limit)
        assert row["refused"] == row["molecules"]
        assert len(row["examples"]) == min(20, row["refused"])
        assert row["examples"][0].split(" at step ")[0] in forms


class TestNoise:
    def test_every_decoding_is_counted(self, codec: GrammarCodec, forms: list[str]) -> None:
        counts = np.bincount(tokens_of(codec, forms).flatten() + 1, minlength=codec.rules.size + 1)[1:]
        rows = noise.random_logits(codec, GrammarConstraint(codec.rules), counts, draws=400)
        assert [row["logits"] for row in rows] == list(noise.LOGITS)
        for row in rows:
            assert row["complete"] == row["draws"] >= 100
            # What the grammar alone lets through is seldom a molecule.
            assert 0 < row["sanitised"] < row["complete"]
            assert 0 < len(row["not_sanitised"]) <= 20
            assert not any(map(chem.is_valid, row["not_sanitised"]))
            assert row["dead_ends"] == row["retries"] == row["steps_thrown_away"] == 0
            assert row["limits"].startswith(f"{codec.rules.shortest}, ")
            assert row["limits"].endswith("277")

    def test_dead_ends_are_counted(self, codec: GrammarCodec) -> None:
        class DeadEnd(GrammarConstraint):
            def candidates(self, state: Any) -> torch.Tensor:
                return super().candidates(state) & (state.left > 8).unsqueeze(1)

        rows = noise.random_logits(codec, DeadEnd(codec.rules), np.ones(codec.rules.size, np.int64), draws=400)
        for row in rows:
            assert row["dead_ends"] > 0
            assert row["complete"] < row["draws"]
            assert row["steps_thrown_away"] > 0
            assert row["dead_end"] == ["a step cannot be decoded: nothing is allowed."]

    def test_the_rarest_tokens_are_preferred(self) -> None:
        bias, scale = noise.LOGITS["adversarial"]
        logits = bias(np.array([5, 0, 100, 1]))
        assert logits.argsort(descending=True).tolist() == [1, 3, 0, 2]
        assert scale == 0

    def test_rows_differ_in_what_they_keep_preferring(self) -> None:
        decoder = noise.NoisyDecoder(torch.zeros(300), 3.0, torch.Generator().manual_seed(0))
        state = decoder.begin(torch.zeros(4, 1))
        steps = [decoder.step(state, None, torch.zeros(4))[0] for _ in range(50)]
        assert torch.stack(steps).std() == pytest.approx(3, rel=0.1)
        kept = torch.stack(steps).mean(0)
        assert kept.std() == pytest.approx(3 / 2**0.5, rel=0.1)
        assert abs(float(torch.corrcoef(kept)[0, 1])) < 0.3
        assert (decoder.rows, decoder.row_steps) == (4, 200)
        assert torch.equal(state.rows(torch.tensor([2])).preference, state.preference[[2]])

    def test_round_trip(self, codec: GrammarCodec) -> None:
        counts = np.ones(codec.rules.size, np.int64)
        row = noise.round_trip(codec, GrammarConstraint(codec.rules), counts, draws=400, limit=6)
        assert row["draws"] >= 400
        assert row["refused"]["the text is too long"] > 0
        assert 0 < row["same"] < row["molecules"] < row["draws"]
        assert row["same"] + row["encoded_but_another"] + sum(row["refused"].values()) == row["molecules"]
        assert row["share_same"] == row["same"] / row["molecules"]


class TestSpeed:
    @pytest.fixture
    def decoder(self, codec: GrammarCodec) -> GRUDecoder:
        torch.manual_seed(0)
        return GRUDecoder(codec.rules, 8, 64, 16, 32, 16).eval()

    def test_cost(self, codec: GrammarCodec, decoder: GRUDecoder) -> None:
        rule = GrammarConstraint(codec.rules)
        row = decoding.cost(
            decoder, lambda n, generator: torch.randn(n, 8, generator=generator), codec, rule, rule, batch=40, repeats=2
        )
        for name in ("grammar", "constraint"):
            assert 0 < row[f"{name}_share_inside"] < 1
            assert 0 <= row[f"{name}_valid"] <= 1
            valid_rate = row[f"{name}_texts_a_second"] * row[f"{name}_valid"]
            assert row[f"{name}_valid_texts_a_second"] == pytest.approx(valid_rate)
        # The same constraint and seeds: the same choices, so that all three ratios tell the same.
        assert row["grammar_mean_tokens"] == row["constraint_mean_tokens"]
        assert row["ratio_batch"] == pytest.approx(row["ratio_row_step"])
        assert row["ratio_same_choices"] > 0

    def test_a_script_is_followed(self, codec: GrammarCodec, decoder: GRUDecoder, forms: list[str]) -> None:
        script = tokens_of(codec, forms)
        z = torch.randn(len(script), 8, generator=torch.Generator().manual_seed(0))
        replayed = decode(decoding._Replayed(decoder, script), z, GrammarConstraint(codec.rules), 64)
        assert torch.equal(replayed, script)

    def test_what_is_watched_draws_only_where_it_can(self, codec: GrammarCodec) -> None:
        watched = decoding.Watched(GrammarConstraint(codec.rules))
        assert not isinstance(watched, Draws)
        assert watched.allowed(watched.start(10, 20)).shape == (10, codec.rules.size)
        assert watched.seconds > 0
        drawing = decoding.Watched(Chemistry().bind(codec, chem.capacities(chem.ORGANIC)))
        assert isinstance(drawing, Draws)
        before = drawing.seconds
        drawing.draw(drawing.start(10, 20), torch.zeros(10, codec.rules.size), 1.0, torch.Generator())
        assert drawing.seconds > before

    def test_against_the_original(self, forms: list[str]) -> None:
        codec = replace(bare("zinc"), form="kekule")
        rule = GrammarConstraint(codec.rules)
        longest = int(np.diff(codec.encode_batch(forms[:20], prepared=True).offsets).max())
        random, molecules = decoding.against_original(codec, forms[:20], rule, rule, longest - 1, repeats=1)
        assert (random["logits"], molecules["logits"]) == ("random", "molecules")
        for row in (random, molecules):
            assert 0 < row["molecules"] < 20  # the longest is left out
            assert row["grammar_complete"] == row["constraint_complete"] == row["molecules"]
            assert row["original_complete"] <= row["molecules"]
            assert row["original_valid_a_second"] <= row["original_a_second"]
            assert row["grammar_times_original"] == pytest.approx(row["grammar_a_second"] / row["original_a_second"])
            assert row["constraint_times_original_batch"] > 0
        assert molecules["original_valid"] > 0.5 * molecules["molecules"]
        assert molecules["original_batch_valid"] > 0.5 * molecules["molecules"]
        assert random["grammar_valid"] < molecules["grammar_valid"]


@pytest.mark.slow
class TestConstraints:
    def test_every_codec(self, molecules: Path) -> None:
        setting = constraints.Setting(molecules, constraint="grammar", draws=800)
        (logits,), (real,), (back,) = (list(constraints.run(setting, [name])) for name in list(constraints.PARTS)[:3])
        assert len(logits) == 16
        assert len(real) == len(back) == 4
        assert {(row["grammar"], row["macros"]) for row in real} == {
            (g, m) for g in ("smiles", "zinc") for m in (512, 0)
        }
        for row in logits:
            assert row["figure"] == "random-logits"
            assert row["complete"] == row["draws"] >= 50
        for row in real:
            assert row["limit"] == (64 if row["macros"] else 277)
            assert (row["molecules"], row["left_out"], row["refused"]) == (120, 0, 0)
        for row in back:
            assert row["same"] > 0

    def test_chemistry(self, molecules: Path) -> None:
        setting = constraints.Setting(molecules, draws=200)
        (logits,), (real,), (back,) = (list(constraints.run(setting, [name])) for name in list(constraints.PARTS)[:3])
        assert all(row["sanitised"] == row["draws"] for row in logits)
        assert all(row["refused"] == row["left_out"] == 0 for row in real)
        assert all(row["molecules"] == row["draws"] for row in back)

    def test_distribution(self, run: tuple[Path, dict[str, object]], molecules: Path) -> None:
        pytest.importorskip("fcd_torch")
        folder, _ = run
        model = grammar_rae.load(folder)
        setting = constraints.Setting(molecules, model=model, reference=molecules, samples=30)
        ((rejected, constrained, training_rows, reference),) = constraints.run(setting, ["distribution"])
        assert rejected["texts"] == "grammar, rejection"
        assert rejected["molecules"] == 30 <= rejected["decoded"]
        assert (constrained["texts"], constrained["decoded"], constrained["raw_validity"]) == ("chemistry", 30, 1)
        assert training_rows["molecules"] == 30
        assert reference["molecules"] in (89, 90)  # one row of the file is no molecule
        assert 0 < training_rows["fcd"] < constrained["fcd"]
        assert math.isclose(sum(reference[f"rings_of_{size}"] for size in ("3", "4", "5", "6", "7", "8+")), 1)

    def test_what_is_missing(self, molecules: Path) -> None:
        setting = constraints.Setting(molecules)
        with pytest.raises(UnknownNameError, match="real-molecules"):
            next(constraints.run(setting, ["real-molecule"]))
        with pytest.raises(InputError, match="--model, --reference"):
            next(constraints.run(setting, ["distribution"]))

    def test_the_command(self, molecules: Path, run: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
        kept = tmp_path / "results.jsonl"
        options = ["--model", str(run[0]), "--constraint", "grammar", "--draws", "160", "--results", str(kept)]
        parts = ["--parts", "real-molecules, random-logits"]
        result = CliRunner().invoke(app, ["constraints", str(molecules), *options, *parts])
        assert result.exit_code == 0, result.output
        rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        assert [row["figure"] for row in rows] == ["real-molecules"] * 4 + ["random-logits"] * 16
        assert {row["constraint"] for row in rows} == {"grammar"}


def test_rows_are_kept_with_the_machine(run: tuple[Path, dict[str, object]], tmp_path: Path) -> None:
    folder, _ = run
    kept = tmp_path / "new" / "results.jsonl"
    arguments = ["profile", str(folder / "data"), "--recipe", "tiny", "--results", str(kept)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    assert [row["phase"] for row in rows][-1] == "step"
    assert all(row["versions"] == provenance().versions and row["seeds"] == [0] and "bfloat16" in row for row in rows)


def test_figures() -> None:
    shown = figures([{"figure": "speed", "ratio": 0.123456, "texts": 12345}, {"figure": "other", "n": True}])
    assert shown.splitlines() == [
        "| figure | value |",
        "|---|---|",
        "| figure | speed |",
        "| ratio | 0.1235 |",
        "| texts | 12,345 |",
        "| | |",
        "| figure | other |",
        "| n | True |",
    ]
