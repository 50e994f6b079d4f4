"""What every row of every table must do. A new row is tested here without a change to this file."""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import grammar_rae
from grammar_rae import checkpoint, chem
from grammar_rae.autoencoder import Autoencoder
from grammar_rae.codecs import CODECS, FORMS, Codec, codec_from_dict
from grammar_rae.datasets import IMAGE_SETS
from grammar_rae.decoding import CONSTRAINTS, Constraint, ConstraintSpec, Free, decode, parse_spec
from grammar_rae.density import DENSITIES
from grammar_rae.errors import InputError
from grammar_rae.facts import Described, Facts
from grammar_rae.likelihoods import IMAGE_LIKELIHOODS, LIKELIHOODS
from grammar_rae.model import MODELS
from grammar_rae.nets.image import IMAGE_DECODERS, IMAGE_ENCODERS
from grammar_rae.nets.sequence import DECODERS, ENCODERS
from grammar_rae.objectives import OBJECTIVES
from grammar_rae.optimization import STRATEGIES, SURROGATES
from grammar_rae.recipes import (
    ALL_IMAGE_MODELS,
    IMAGE_DATA,
    NETS,
    RECIPES,
    STRUCTURED_MODELS,
    STRUCTURED_PROBLEMS,
    ImageRecipe,
    Parts,
    Recipe,
    TextRecipe,
    build_constraint,
    build_image,
    build_text,
    image_recipe,
    learn_codec,
    training_settings,
)
from grammar_rae.regularizers import REGULARIZERS
from grammar_rae.scores import SCORES, score
from grammar_rae.training import OPTIMIZERS, SCHEDULES
from grammar_rae.training.schedules import schedule

MOLECULES = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "N#CC1CC1", "FC(F)(F)Cl", "CCS"]
# What one score asks for a part of, and is 0 without it.
VALSARTAN = "CCCCC(=O)N(Cc1ccc(cc1)-c1ccccc1-c1nn[nH]n1)C(C(C)C)C(=O)O"
EXPRESSIONS = ["x", "x+1", "sin(x*2)", "exp(x)/3", "(x+1)*x", "2*exp(sin(x))", "3"]

# The rows of these tables are the values of a recipe's axis of this name.
AXES: dict[str, Mapping[str, Any]] = {
    "encoder": ENCODERS,
    "decoder": DECODERS,
    "objective": OBJECTIVES,
    "likelihood": LIKELIHOODS,
    "regularizer": REGULARIZERS,
    "density": DENSITIES,
    "constraint": CONSTRAINTS,
    "codec": CODECS,
}
IMAGE_AXES: dict[str, Mapping[str, Any]] = {
    "encoder": IMAGE_ENCODERS,
    "decoder": IMAGE_DECODERS,
    "objective": OBJECTIVES,
    "likelihood": IMAGE_LIKELIHOODS,
    "regularizer": REGULARIZERS,
}
TABLES: dict[str, Mapping[str, Any]] = {
    **AXES,
    "image encoder": IMAGE_ENCODERS,
    "image decoder": IMAGE_DECODERS,
    "image likelihood": IMAGE_LIKELIHOODS,
    "image model": ALL_IMAGE_MODELS,
    "image set": IMAGE_SETS,
    "image data": IMAGE_DATA,
    "net": NETS,
    "model": MODELS,
    "score": SCORES,
    "strategy": STRATEGIES,
    "surrogate": SURROGATES,
    "structured model": STRUCTURED_MODELS,
    "structured problem": STRUCTURED_PROBLEMS,
    "recipe": RECIPES,
    "schedule": SCHEDULES,
    "optimizer": OPTIMIZERS,
}
TRAINED = [
    (axis, name)
    for axis in ("encoder", "decoder", "objective", "likelihood", "regularizer", "codec")
    for name in AXES[axis]
]

SHAPE = (3, 16, 16)
IMAGES = torch.rand(7, *SHAPE, generator=torch.Generator().manual_seed(0))
# Nets of images are slow at their own sizes.
FEW_CHANNELS: dict[str, dict[str, Any]] = {
    "encoder_options": {"paper": {"channels": [2, 3, 4, 5]}, "small": {"width": 2}},
    "decoder_options": {"paper": {"start": 4}, "small": {"width": 2}},
}


def texts_for(recipe: TextRecipe) -> list[str]:
    return MOLECULES if FORMS[recipe.form].molecules else EXPRESSIONS


def tiny(axis: str, name: str) -> TextRecipe:
    """The smallest recipe, with this row on this axis and the row's own options."""
    chosen: dict[str, Any] = {axis: name}
    if f"{axis}_options" in RECIPES["tiny"].to_dict():
        chosen[f"{axis}_options"] = {}
    return RECIPES["tiny"].replace(**chosen)


def prepared(recipe: TextRecipe) -> tuple[Codec, torch.Tensor]:
    """A codec learned from a few texts, and their codes (B, T)."""
    codec = learn_codec(recipe, texts_for(recipe))
    batch = codec.encode_batch(texts_for(recipe))
    assert not batch.rejected
    rows = [torch.from_numpy(part.astype(np.int64)) for part in np.split(batch.tokens, batch.offsets[1:-1])]
    return codec, torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


def with_facts(codes: torch.Tensor, autoencoder: Autoencoder) -> Described:
    """A batch with facts made up."""
    names, rng = autoencoder.condition.names, np.random.default_rng(0)
    bits = rng.integers(0, 256, (len(codes), 64), dtype=np.uint8)
    facts = Facts.gather(names, rng.normal(size=(len(codes), len(names))), bits)
    autoencoder.condition.adopt(facts)
    return facts.batch(codes, np.arange(len(codes)))


def one_step(autoencoder: Autoencoder, codes: torch.Tensor) -> float:
    """Train one step and return the loss before it."""
    optimizer = torch.optim.SGD(autoencoder.parameters(), lr=1e-3)
    batch = with_facts(codes, autoencoder) if autoencoder.condition.needs_facts else codes
    losses = autoencoder.train()(batch, torch.Generator().manual_seed(0))
    assert all(bool(part.isfinite()) and part.dtype == torch.float32 for part in losses)
    losses.total.backward()
    for part in (autoencoder.encoder, autoencoder.decoder):
        for label, parameter in part.named_parameters():
            gradient = parameter.grad
            assert gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0, label
    optimizer.step()
    return losses.total.item()


def tiny_images(recipe: ImageRecipe, **chosen: Any) -> ImageRecipe:
    """A recipe of images with few channels, and with these rows and their own options."""
    for axis in chosen:
        chosen = {f"{axis}_options": {}, **chosen} if hasattr(recipe, f"{axis}_options") else chosen
    recipe = recipe.replace(**chosen)
    few: dict[str, Any] = {}
    for axis in ("encoder", "decoder"):
        options = dict(getattr(recipe, f"{axis}_options"))
        own = FEW_CHANNELS[f"{axis}_options"].get(getattr(recipe, axis), {})
        if "channels" in options:
            own = {**own, "channels": [max(2, count // 128) for count in options["channels"]]}
        few[f"{axis}_options"] = {**options, **own}
    return recipe.replace(**few)


def built(recipe: Recipe) -> tuple[Callable[[Recipe], Parts], torch.Tensor]:
    """What builds such a recipe, after JSON too, and a batch (B, ...) to train on."""
    if isinstance(recipe, ImageRecipe):
        return lambda given: build_image(given, SHAPE), IMAGES  # type: ignore[arg-type]
    assert isinstance(recipe, TextRecipe)
    codec, codes = prepared(recipe)
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    return lambda given: build_text(given, codec if given is recipe else again), codes  # type: ignore[arg-type]


def check_trains_and_saves(recipe: Recipe, folder: Path) -> None:
    make, batch = built(recipe)
    autoencoder, _ = make(recipe)
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    one_step(autoencoder, batch)
    after = autoencoder.eval().state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    checkpoint.save(folder, {"recipe": recipe.to_dict()}, {"weights": after})
    meta, tensors = checkpoint.load(folder)
    again, _ = make(type(recipe).from_dict(meta["recipe"]))
    again.eval().load_state_dict(tensors["weights"])
    assert again.state_dict().keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in again.state_dict().items())
    with torch.no_grad():
        costs = [model(batch, torch.Generator().manual_seed(0)).total.item() for model in (autoencoder, again)]
        assert costs[0] == costs[1]
        z = autoencoder.encode(batch)
        assert z.shape == (len(batch), recipe.latent)
        assert torch.equal(again.encode(batch), z)


# --- every row -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TABLES)
def test_names_are_plain(kind: str) -> None:
    for name in TABLES[kind]:
        assert name == name.strip().lower() and re.fullmatch("([a-z]+:)?[a-z0-9]+([-_ ][a-z0-9]+)*", name)


@pytest.mark.parametrize(("axis", "name"), TRAINED)
def test_trains_and_saves(axis: str, name: str, tmp_path: Path) -> None:
    check_trains_and_saves(tiny(axis, name), tmp_path)


@pytest.mark.parametrize(("axis", "name"), [(axis, name) for axis in IMAGE_AXES for name in IMAGE_AXES[axis]])
def test_trains_and_saves_on_images(axis: str, name: str, tmp_path: Path) -> None:
    check_trains_and_saves(tiny_images(image_recipe("rae"), **{axis: name}), tmp_path)


DESCRIBED = {kind: TABLES[kind] for kind in (*AXES, "image encoder", "image decoder", "image likelihood", "model")}


@pytest.mark.parametrize(("axis", "name"), [(axis, name) for axis in DESCRIBED for name in DESCRIBED[axis]])
def test_says_what_it_is(axis: str, name: str) -> None:
    # Its own words, not those of the class that it is made from.
    assert (DESCRIBED[axis][name].__dict__.get("__doc__") or "").strip()


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name
    assert recipe.description
    assert type(recipe).from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert recipe.tables and all(getattr(recipe, axis) in table for axis, table in recipe.tables.items())
    assert training_settings(recipe).batch_size >= 1
    assert sum(isinstance(recipe, model.recipe_type) for model in MODELS.values()) == 1
    check_trains_and_saves(tiny_images(recipe) if isinstance(recipe, ImageRecipe) else recipe, tmp_path)


# Densities that are nets, made small.
FEW_UNITS: dict[str, dict[str, Any]] = {
    "two-stage": {"hidden": [64], "epochs": 60, "learning_rate": 3e-3},
    "flow": {"transforms": 1, "hidden": [32], "epochs": 20},
    "flow-matching": {"hidden": 32, "blocks": 1, "epochs": 60},
}


@pytest.mark.parametrize("name", DENSITIES)
def test_density(name: str, tmp_path: Path) -> None:
    z = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    options = FEW_UNITS.get(name, {})
    density = DENSITIES[name](3, **options).fit(z, seed=0)
    drawn = density.sample(500, torch.Generator().manual_seed(1))
    assert (drawn.shape, drawn.dtype) == ((500, 3), torch.float32)
    assert (drawn.mean(0).abs() < 0.5).all()
    assert ((drawn.std(0) - 1).abs() < 0.5).all()
    assert not torch.equal(density.sample(500, torch.Generator().manual_seed(2)), drawn)
    # Codes like those that it was fitted on are likelier than others.
    assert density.score_kind in ("log-likelihood", "evidence lower bound")
    near, far = density.score(z[:100], seed=0), density.score(z[:100] + 4, seed=0)
    assert np.isfinite([near, far]).all() and near > far + 5
    checkpoint.save(tmp_path, {}, {"density": density.state_dict()})
    again = DENSITIES[name](3, **options)
    again.load_state_dict(checkpoint.load(tmp_path)[1]["density"])
    assert torch.equal(again.sample(500, torch.Generator().manual_seed(1)), drawn)
    assert again.score(z[:100], seed=0) == near


class RandomDecoder:
    """Logits from nowhere: what any net may come to say."""

    def __init__(self, size: int, scale: float) -> None:
        self.size, self.scale = size, scale
        self.generator = torch.Generator().manual_seed(0)

    def begin(self, z: torch.Tensor) -> "RandomDecoder":
        return self

    def rows(self, keep: torch.Tensor) -> "RandomDecoder":
        return self

    def step(
        self, state: "RandomDecoder", previous: torch.Tensor | None, lhs: torch.Tensor
    ) -> tuple[torch.Tensor, "RandomDecoder"]:
        return self.scale * torch.randn(len(lhs), self.size, generator=self.generator), state


def bound_example(name: str, codec: Codec) -> Constraint[Any] | None:
    """The constraint of a row's own example; None where the row does not serve a codec, as it must say when bound."""
    spec = parse_spec(CONSTRAINTS[name].example)
    assert parse_spec(str(spec)) == spec
    assert repr(through_a_recipe(spec)) == repr(spec)
    try:
        return build_constraint(spec, codec, chem.capacities([*chem.ORGANIC, *codec.encode_batch(MOLECULES).atoms]))
    except InputError as error:
        assert codec.kind != "grammar" and error.remedy, error
        return None


def through_a_recipe(spec: ConstraintSpec) -> ConstraintSpec:
    """The same spec by way of a recipe, as JSON keeps it."""
    recipe = RECIPES["tiny"].replace(constraint=str(spec))
    return parse_spec(TextRecipe.from_dict(json.loads(json.dumps(recipe.to_dict()))).constraint)


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("kind", CODECS)
@pytest.mark.parametrize(("temperature", "scale"), [(0.0, 1.0), (1.0, 1.0), (1.0, 30.0), (5.0, 1e4)])
def test_constraint_gives_texts_of_the_codec(name: str, kind: str, temperature: float, scale: float) -> None:
    recipe = tiny("codec", kind)
    codec, _ = prepared(recipe)
    limit = 20
    constraint = bound_example(name, codec)
    if constraint is None:
        return
    decoder = RandomDecoder(codec.rules.size, scale)
    codes = decode(decoder, torch.zeros(40, 2), constraint, limit, temperature, torch.Generator().manual_seed(0))
    assert codes.shape[1] <= limit
    texts = codec.spell_batch(codes.numpy())
    assert len(texts) == 40
    for text in texts:
        if text is None:
            assert isinstance(constraint, Free)
        else:
            assert codec.decode(codec.encode_text(text)) == text


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("kind", CODECS)
def test_constraint_allows_what_is_real(name: str, kind: str) -> None:
    """All molecules where a constraint names no limit, and some of them where it does."""
    codec, codes = prepared(tiny("codec", kind))
    constraint = bound_example(name, codec)
    if constraint is None:
        return
    written = 0
    for row in codes:
        row = row[row >= 0]
        state = constraint.start(1, len(row) + 20)
        for code in row:
            if not constraint.allowed(state)[0, code]:
                break
            assert not constraint.refuses(state, code[None]).any()
            state = constraint.advance(state, code[None])
        written += not state.alive.any()
    assert written == len(codes) if CONSTRAINTS[name].example == name else 0 < written < len(codes)


@pytest.mark.parametrize("kind", CODECS)
def test_codec(kind: str) -> None:
    codec = learn_codec(tiny("codec", kind), MOLECULES)
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert again.to_dict() == codec.to_dict()
    for text in MOLECULES:
        codes = codec.encode(text)
        assert codec.decode(codes) == codec.prepare(text)
        assert codec.canonical(codec.decode(codes)) == codec.canonical(text)
        assert again.encode(text).tolist() == codes.tolist()
        assert "".join(codec.show(int(code)) for code in codes)


@pytest.mark.parametrize("name", SCORES)
def test_score(name: str) -> None:
    row = SCORES[name]
    assert row.name == name
    assert row.description
    assert isinstance(row.higher_is_better, bool)
    # Of molecules or of expressions; what it cannot say of the others is nan or the worst that there is.
    molecules = [*MOLECULES, VALSARTAN]
    values = score([*molecules, *EXPRESSIONS], [name])[name]
    assert max(len(set(part[np.isfinite(part)].tolist())) for part in (values[:8], values[8:])) > 1


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name: str) -> None:
    one = schedule(name)
    for loss in (3.0, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5):
        one.observe(loss)
    again = schedule(name)
    again.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for progress in (0.0, 0.3, 1.0):
        assert 0 <= one.factor(progress) <= 1
        assert again.factor(progress) == one.factor(progress)
    one.observe(2.5)
    again.observe(2.5)
    assert again.factor(0.5) == one.factor(0.5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name: str) -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = OPTIMIZERS[name]([parameter], lr=0.1)
    parameter.square().sum().backward()
    optimizer.step()
    assert (parameter < 1).all()
    tensors, packed = checkpoint.pack_optimizer(optimizer.state_dict())
    again = OPTIMIZERS[name]([parameter], lr=0.5)
    again.load_state_dict(checkpoint.unpack_optimizer(tensors, json.loads(json.dumps(packed))))
    assert again.param_groups[0]["lr"] == 0.1


# --- changing one axis touches one file ------------------------------------------------------------------------------


SOURCE = Path(grammar_rae.__file__).parent
DEFINED_IN = {
    "encoder": "nets/sequence.py",
    "decoder": "nets/sequence.py",
    "image encoder": "nets/image.py",
    "image decoder": "nets/image.py",
    "objective": "objectives.py",
    "likelihood": "likelihoods.py",
    "image likelihood": "likelihoods.py",
    "regularizer": "regularizers.py",
    "condition": "conditions.py",
    "head": "heads.py",
    "density": "density/__init__.py",
    "constraint": "decoding/specs.py",
    "codec": "codecs/__init__.py",
    "score": "scores/__init__.py",
    "strategy": "optimization/loop.py",
    "surrogate": "optimization/surrogates.py",
    "structured model": "recipes/structured.py",
    "structured problem": "recipes/structured.py",
    "recipe": "recipes/__init__.py",
    "image model": "recipes/images.py",
    "image data": "recipes/images.py",
    "net": "recipes/images.py",
    "image set": "datasets/image_sets.py",
    "model": "model/__init__.py",
    "schedule": "training/schedules.py",
    "optimizer": "training/settings.py",
}


def compared_texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The texts that a module compares something with, and in which line."""
    for node in ast.walk(tree):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        for side in sides:
            parts = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            for part in parts:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, part.value


def forks(tables: Mapping[str, Mapping[str, Any]], read: Callable[[Path], str]) -> list[str]:
    """Where a module other than the table's own asks for a row by its name."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        foreign = {name for kind, table in tables.items() if DEFINED_IN[kind] != place for name in table}
        found += [
            f"{place}:{line}: {text!r}" for line, text in compared_texts(ast.parse(read(path))) if text in foreign
        ]
    return found


def test_no_other_module_asks_for_a_row_by_name() -> None:
    assert forks(TABLES, Path.read_text) == []


def test_such_a_question_would_be_found() -> None:
    code = 'def f(n):\n    if n == "gmm":\n        pass\n    if n in ("x", "rae"):\n        pass\n'
    found = forks(TABLES, lambda path: code if path.name == "widening.py" else "")
    assert found == ["model/widening.py:2: 'gmm'", "model/widening.py:4: 'rae'"]


@pytest.mark.parametrize("kind", TABLES)
def test_tables_lie_where_this_file_says(kind: str) -> None:
    text = (SOURCE / DEFINED_IN[kind]).read_text()
    tables = [
        target.id
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign) and isinstance(target := node.target, ast.Name) and target.id.isupper()
    ]
    name = kind.upper().replace(" ", "_")
    assert {name, name + "S", name.removesuffix("Y") + "IES"} & set(tables)
