"""Scaffolds of real molecules as templates: senseless logits and a model's draws, checked by RDKit alone.

Each scaffold is a molecule's Murcko scaffold with one to four points where its side chains were, written in a random
order. ``TEMPLATES=50 DRAWS=20 pytest -m slow -s tests/campaigns/test_templates.py`` takes fewer of them.
"""

import gzip
import os
import random
import time
from collections import Counter
from functools import cache
from itertools import islice

import numpy as np
import pytest
import torch
from decoding.chemistry.templated import contains, molecule_scripts, some_cut_molecules
from decoding.scripted import by_step, seeded
from derivations import ZINC
from rdkit import Chem
from rdkit.Chem.Scaffolds import MurckoScaffold

import grammar_rae
from grammar_rae.codecs import GrammarCodec
from grammar_rae.decoding import Template, decode, parse_spec
from grammar_rae.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ZINC.is_file(), reason="needs ZINC beside the project")]
N_TEMPLATES, N_DRAWS, N_REAL = (
    int(os.environ.get(name, n)) for name, n in (("TEMPLATES", 200), ("DRAWS", 100), ("REAL", 1000))
)


@cache
def model():
    """The broadest model in the box: with charges and stereo marks."""
    return grammar_rae.load("molecules")


@cache
def rows(every):
    with gzip.open(ZINC, "rt", encoding="utf-8") as lines:
        return [line.split()[0] for line in islice(lines, every // 2, None, every)]


def scaffold_template(smiles, chance):
    """A molecule's scaffold with points in place of some side chains; None for none."""
    mol = Chem.MolFromSmiles(smiles)
    kept = set(mol.GetSubstructMatch(MurckoScaffold.GetScaffoldForMol(mol)))
    bonds = [
        bond.GetIdx()
        for bond in mol.GetBonds()
        if (bond.GetBeginAtomIdx() in kept) != (bond.GetEndAtomIdx() in kept)
        and bond.GetBondType() == Chem.BondType.SINGLE
    ]
    if not kept or not bonds:
        return None
    chosen = chance.sample(bonds, min(len(bonds), chance.randint(1, 4)))
    parts = Chem.GetMolFrags(Chem.FragmentOnBonds(mol, chosen), asMols=True, frags=(found := []))
    part = Chem.RWMol(parts[found[min(kept)]])
    for label, atom in enumerate((a for a in part.GetAtoms() if a.GetAtomicNum() == 0), 1):
        atom.SetIsotope(0)
        atom.SetAtomMapNum(label)
    return Chem.MolToSmiles(part, doRandom=True) if label == len(chosen) else None


def templates():
    chance, found, refused = random.Random(0), [], Counter()
    for smiles in rows(97):
        text = scaffold_template(smiles, chance)
        if text is None:
            continue
        try:
            found.append((text, parse_spec(f"template={text}").bind(model().codec, model().atoms_)))
        except InputError as error:
            refused[error.message] += 1
        if len(found) == N_TEMPLATES:
            break
    print(f"\n{len(found)} templates with", dict(sorted(Counter(t.count("*") for t, _ in found).items())), "points")
    print("refused when bound:", dict(refused) or "none")
    return found


def test_scaffolds():
    """Every draw contains its template, is sanitised, and is done within the limit, whatever asks for it."""
    codec, limit = model().codec, model().codec.max_length
    counts = Counter()
    for index, (template, constraint) in enumerate(templates()):
        rules = constraint.rules
        dearest = torch.from_numpy(np.where(rules.usable, rules.cost, 0)).float()
        scripts = list(molecule_scripts(rules, index, dearest).items())
        each = -(-N_DRAWS // len(scripts))
        for number, (kind, logits) in enumerate(scripts):
            most = (limit, constraint.shortest, constraint.shortest + 8)[(index + number) % 3]
            tokens = decode(by_step(logits), torch.zeros(each, 1), constraint, most, 1.0, seeded(index))
            assert tokens.shape[1] <= most
            texts = codec.decode_batch(tokens.numpy())
            counts[kind] += sum(contains(text, template) for text in texts)
            counts["senseless draws"] += len(texts)
        drawn = model().sample(N_DRAWS, valid_only=False, constraint=f"template={template}", seed=index)
        counts["model"] += sum(contains(text, template) for text in drawn.texts)
        counts["model draws"] += len(drawn.texts)
        counts["different"] += len(set(drawn.valid_texts))
        if index % 20 == 19:
            print(index + 1, "templates:", dict(counts), flush=True)
    print(dict(counts))
    right = sum(counts[kind] for kind, _ in scripts)
    assert right == counts["senseless draws"] and counts["model"] == counts["model draws"]


def test_real_molecules():
    """None that contains a template is refused by it, in the template's order."""
    codec, atoms = model().codec, model().atoms_
    walked = left_out = 0
    refused = []
    for template, text in some_cut_molecules(rows(20), 3):
        batch = codec.encode_batch([text], prepared=True)
        if batch.rejected or len(batch.tokens) > codec.max_length:
            left_out += 1
            continue
        constraint = Template(template).bind(codec, atoms)
        state = constraint.start(1, max(codec.max_length, constraint.shortest))
        for token in batch.tokens.astype(np.int64):
            choice = torch.tensor([token])
            if not constraint.candidates(state)[0, token] or constraint.refuses(state, choice):
                refused.append((template, text))
                break
            state = constraint.advance(state, choice)
        walked += 1
        if walked == N_REAL:
            break
    print(f"\n{walked} molecules walked, {left_out} left out by the codec, refused: {refused or 'none'}")
    assert not refused


def test_orders():
    """Prints what the order of a template's atoms costs: a random one, and the likeliest of it and eight others."""
    kinds = {"random": 0, "likeliest": 8}
    columns = ["log_prob", "sa", "qed"]
    means, taken = {kind: [] for kind in kinds}, 0
    for template, _ in islice(templates(), int(os.environ.get("ORDERS", 50))):
        for kind, orders in kinds.items():
            found = model().decorate(
                template, N_DRAWS, orders=orders, scores=["sa", "qed"], seed=0, max_attempts=N_DRAWS
            )
            means[kind].append(found[columns].mean())
            taken += orders > 0 and found.attrs["report"]["template"] != template
    table = {kind: np.array(rows) for kind, rows in means.items()}
    print(f"\n{len(table['random'])} templates, {N_DRAWS} draws each; another order was taken for {taken}")
    for kind, rows in table.items():
        print(kind, dict(zip(columns, rows.mean(0).round(3), strict=True)))
    gain = table["likeliest"] - table["random"]
    error = gain.std(0) / np.sqrt(len(gain))
    print("difference", dict(zip(columns, gain.mean(0).round(3), strict=True)), "standard error", error.round(3))
    assert np.isfinite(gain).all()


def test_cost():
    """Prints how long draws take under a template, beside chemistry, token by token in the same run."""
    z = torch.randn(1024, model().recipe_.latent, generator=seeded(0)).numpy()
    codec: GrammarCodec = model().codec
    kinds = ["chemistry", "template=c1cc([*:1])ccc1C(=O)N[*:2]", "template=C1CN([*:1])CCN1[*:2]"]
    for kind in kinds:
        model().decode(z[:8], constraint=kind, temperature=1.0, seed=0)
    seconds, tokens = Counter(), Counter()
    for turn in range(int(os.environ.get("TURNS", 3))):
        for kind in kinds:
            began = time.process_time()
            texts = model().decode(z, constraint=kind, temperature=1.0, seed=turn)
            seconds[kind] += time.process_time() - began
            tokens[kind] += len(codec.encode_batch(texts).tokens)
    print()
    for kind in kinds:
        rate = seconds[kind] / tokens[kind] / (seconds[kinds[0]] / tokens[kinds[0]])
        whole = seconds[kind] / seconds[kinds[0]]
        print(f"{kind}: {seconds[kind]:.2f} s, {whole:.2f} of chemistry's; by token {rate:.2f}")
    assert all(tokens[kind] for kind in kinds)
