"""What is done from points: each action takes a model and gives a layer, by the model's public functions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from grammar_rae.errors import InputError
from grammar_rae.explorer.jobs import Progress
from grammar_rae.explorer.layers import Codes, Layer
from grammar_rae.model.neighbours import tanimoto
from grammar_rae.optimization import Search
from grammar_rae.scores import get_score

MOST_LEADS = 10
"""The most molecules whose analogues are asked for at once."""

_CHUNK = 25


class Watched:
    """The similarity of analogues, which also asks at each batch whether to stop.

    Two of them are equal, so that the model remembers a lead's dial between calls.
    """

    def __init__(self, progress: Progress, lead: int, leads: int) -> None:
        self.progress, self.lead, self.leads = progress, lead, leads

    def __call__(self, lead: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """N similarities to the lead."""
        self.progress.check(self.lead, self.leads if self.leads > 1 else 0, "leads")
        return tanimoto(lead, texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Watched)

    def __hash__(self) -> int:
        return hash(Watched)


def find_analogues(model: Any, leads: Sequence[str], n: int, similarity: float, seed: int, progress: Progress) -> Layer:
    """n analogues of each lead, as like as asked.

    Raises
    ------
    InputError
        For no lead, too many, or a model whose decoder accepts no noise.
    """
    if not 1 <= len(leads) <= MOST_LEADS:
        raise InputError(
            "the analogues of so many molecules cannot be asked for at once",
            received=str(len(leads)),
            expected=f"1 to {MOST_LEADS} selected molecules",
        )
    frames = []
    for index, lead in enumerate(leads):
        if index and progress.stopped:
            break
        watched = Watched(progress, index, len(leads))
        frames.append(model.analogues(lead, n, similarity, measure=watched, changes=False, seed=seed + 1000 * index))
    found = pd.concat(frames, ignore_index=True)
    title = f"Analogues of {_short(leads[0])}" if len(leads) == 1 else f"Analogues of {len(leads)} molecules"
    columns = {"similarity": found["similarity"].round(3).tolist(), "lead": found["lead"].tolist()}
    return _layer(model, title, found["smiles"].tolist(), columns, f"Similarity {similarity:.2f} asked, seed {seed}.")


def draw_around(
    model: Any, centres: Codes, spread: Codes, radius: float, n: int, seed: int, progress: Progress
) -> Layer:
    """Texts of codes near some codes: each a centre with normal noise.

    Parameters
    ----------
    centres
        float32 (K, D), one or more.
    spread
        float32 (M, D): the codes whose standard deviation in each dimension is the unit of the radius.
    radius
        The standard deviation of the noise, in that unit.
    """
    rng = np.random.default_rng(seed)
    scale = radius * spread.std(axis=0)
    found: dict[str, None] = {}
    tried = 0
    while len(found) < n and tried < 20 * n and not progress.stopped:
        progress.check(len(found), n, "molecules")
        chosen = centres[rng.integers(len(centres), size=_CHUNK)]
        z = chosen + scale * rng.standard_normal(chosen.shape)
        decoded = model.decode_batch(z.astype(np.float32), temperature=0.5, seed=seed + tried)
        found |= dict.fromkeys(decoded.valid_texts)
        tried += _CHUNK
    texts = list(found)[:n]
    note = f"Radius {radius:.2f}, seed {seed}: {len(texts)} different texts of {tried} decoded."
    return _layer(model, "Draws around the selection", texts, {}, note)


def find_path(model: Any, a: str, b: str, steps: int, progress: Progress) -> Layer:
    """The texts on the straight line between the codes of two texts, both ends included."""
    progress.check(0, 0, "")
    texts = model.interpolate(a, b, steps=steps)
    title = f"From {_short(a)} to {_short(b)}"
    columns = {"step": list(range(1, len(texts) + 1))}
    return _layer(model, title, texts, columns, f"{steps} points on a straight line; repeated texts are one point.")


def draw_with(model: Any, n: int, seed: int, progress: Progress, title: str, **asked: Any) -> Layer:
    """Draws under a constraint or with properties; what was found until then if a person stops it."""
    found: dict[str, None] = {}
    turn = 0
    while len(found) < n and turn < 4 * -(-n // _CHUNK) and not progress.stopped:
        progress.check(len(found), n, "molecules")
        texts = model.sample(min(_CHUNK, n), seed=seed + turn, **asked).texts
        found |= dict.fromkeys(texts)
        turn += 1
    return _layer(model, title, list(found)[:n], {}, f"Seed {seed}, {len(found)} different texts.")


def draw_template(model: Any, template: str, n: int, seed: int, progress: Progress) -> Layer:
    """Molecules that contain a template and grow at its points."""
    return draw_with(model, n, seed, progress, f"Template {_short(template)}", constraint=f"template={template}")


def draw_told(model: Any, wanted: Mapping[str, float], n: int, seed: int, progress: Progress) -> Layer:
    """Molecules with properties."""
    told = ", ".join(f"{name} {value:.3g}" for name, value in wanted.items())
    return draw_with(model, n, seed, progress, f"Told {told}", properties=dict(wanted))


def optimise(
    model: Any, start: Sequence[str], score: str, budget: int, seed: int, progress: Progress, batch: int = 20
) -> Layer:
    """A search for a score that begins with some texts; what was found until then if a person stops it.

    Raises
    ------
    InputError, DataError
        For a score or a budget that cannot be used.
    """
    if not start:
        raise InputError("a search begins with molecules", received="none selected", remedy="Select one or more.")
    chosen = get_score(score, model.score_constants_)
    direction = "maximize" if chosen.higher_is_better else "minimize"
    progress.check(0, budget, "molecules")
    search = Search(model, {score: direction}, data=list(start), n_initial=max(2, min(20, len(start))), seed=seed)
    accepted = len(search.history())
    if not accepted:
        raise InputError("the model's codec rejects all molecules to begin with", received=_short(start[0]))
    search.tell(search.ask(accepted)[["id"]])
    done, best = 0, _best(search, score)
    while done < budget and not progress.stopped:
        progress.check(done, budget, f"molecules, best {score} {best}")
        asked = search.ask(min(batch, budget - done))
        if not len(asked):
            break
        search.tell(asked[["id"]])
        done, best = done + len(asked), _best(search, score)
    found = search.history().dropna(subset=[score])
    found = found.sort_values(score, ascending=not chosen.higher_is_better, kind="stable")
    columns = {score: found[score].round(4).tolist(), "round": found["batch"].tolist()}
    note = f"{done} molecules evaluated, best {score} {best}, seed {seed}."
    return _layer(model, f"Search for {score}", found["smiles"].tolist(), columns, note)


def _best(search: Search, score: str) -> str:
    found = search.best(1, score)
    return f"{found[score].iloc[0]:.4g}" if len(found) else "none"


def _layer(model: Any, title: str, texts: list[str], columns: Mapping[str, Sequence[Any]], note: str) -> Layer:
    """Texts at their own codes, each once."""
    first = {text: row for row, text in reversed(list(enumerate(texts))) if text}
    rows = sorted(first.values())
    if not rows:
        raise InputError("nothing was found", received=note, remedy="Ask for less, or begin elsewhere.")
    encoded = model.encode([texts[row] for row in rows], errors="skip", unknown="ignore", polish=0)
    kept = [rows[row] for row in encoded.rows]
    if not kept:
        raise InputError("nothing that was found has a code", received=note)
    taken = {name: [values[row] for row in kept] for name, values in columns.items()}
    left = len(rows) - len(kept)
    note += f" {left} left out: the codec rejects them." if left else ""
    return Layer("result", title, [texts[row] for row in kept], encoded.codes, columns=taken, note=note)


def _short(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
