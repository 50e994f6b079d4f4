"""What notebooks show of a model and of its draws."""

from typing import TYPE_CHECKING, Any

from grammar_rae.codecs import FORMS
from grammar_rae.gallery import facts_table, gallery
from grammar_rae.scores import score

if TYPE_CHECKING:
    from grammar_rae.model.samples import SampleResult

MOST_SHOWN = 24
"""Cards that a notebook shows."""

SHOWN_SCORES = ("logp", "qed", "sa", "weight")
"""What stands under a molecule."""


def show_samples(result: "SampleResult") -> str:
    """Different valid draws as cards, those that are easiest to make first, under the figures of the whole."""
    texts = list(dict.fromkeys(result.valid_texts))[:MOST_SHOWN]
    values: dict[str, Any] = {}
    if result.are_molecules:
        values = {name: column.tolist() for name, column in score(texts, SHOWN_SCORES).items()}
        order = sorted(range(len(texts)), key=lambda i: values["sa"][i])
        texts = [texts[i] for i in order]
        values = {name: [column[i] for i in order] for name, column in values.items()}
    facts = {
        "texts": len(result),
        "decoded for them": result.attempts,
        "raw validity": f"{result.validity:.1%}",
        "different": f"{result.uniqueness:.1%}",
        **({"of the valid, as asked": f"{result.hit_rate:.1%}"} if result.properties or result.where else {}),
        "shown": len(texts),
    }
    kind = "molecules" if result.are_molecules else "text"
    title = f"Samples under {result.constraint}, seed {result.seed}"
    return "".join([facts_table(facts, title), gallery(texts, values, kind=kind)])


def show_model(model: Any) -> str:
    """A trained model's card: what it is of, how it was trained, its last figures and its knobs."""
    recipe = model.recipe_
    facts: dict[str, Any] = {"recipe": f"{recipe.name}: {recipe.description}"}
    codec = getattr(model, "codec", None)
    if codec is not None:
        facts["texts"] = "molecules" if FORMS[codec.form].molecules else "texts"
        facts["tokens"] = f"{codec.rules.size:,}, at most {codec.max_length} in a text"
    known = getattr(model, "known_", None)
    if known is not None:
        facts["trained on"] = f"{known.rows:,} rows"
    facts["latent dimensions"] = recipe.latent
    start = getattr(model, "start_", None)
    if start:
        facts["begun with"] = f"the model {start['recipe']}"
    rows = model.history.rows
    if rows:
        facts["trained for"] = f"{rows[-1]['seconds']:,.0f} s, {rows[-1]['step']:,} steps"
    for name, label in (("validation_loss", "validation loss"), ("validation_exact", "steps all right, validation")):
        found = [row[name] for row in rows if row.get(name) is not None]
        if found:
            facts[label] = found[-1]
    facts["density"] = recipe.density
    knobs = {"temperature": "temperature", "top_p": "top-p", "smoothing": "smoothing", "constraint": "constraint"}
    facts |= {label: getattr(recipe, name) for name, label in knobs.items() if hasattr(recipe, name)}
    if echo := getattr(recipe, "echo", ()):
        facts["told as codes read"] = ", ".join(echo)
    ranges = getattr(model, "property_ranges_", None) or {}
    if ranges:
        facts["may be asked for"] = ", ".join(f"{name} {low:.3g} to {high:.3g}" for name, (low, high) in ranges.items())
    return "".join([facts_table(facts, type(model).__name__)])


class ShownMixin:
    """How a notebook shows a model."""

    def _repr_html_(self) -> str:
        return self._repr_mimebundle_().get("text/html", "")

    def _repr_mimebundle_(self, **choices: Any) -> dict[str, str]:
        """What a notebook shows: the card of a trained model; until then, scikit-learn's view of its parameters."""
        if not hasattr(self, "fitted_"):
            bundle: dict[str, str] = super()._repr_mimebundle_(**choices)  # type: ignore[misc]
            return bundle
        return {"text/plain": repr(self), "text/html": show_model(self)}
