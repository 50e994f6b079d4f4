"""What the tests of templates share: templates, an oracle that knows nothing of grammars, and cut molecules."""

import random
import re

import numpy as np
import torch
from decoding.chemistry.molecular import molecule_scripts
from rdkit import Chem

from grammar_rae import chem
from grammar_rae.decoding import Template

TEMPLATES = [
    "c1cc([*:1])ccc1C(=O)N[*:2]",  # in the middle of the text, on a ring and at its end
    "n1([*:1])cccc1[*:2]",  # an aromatic nitrogen
    "c1cc2c(cc1[*:3])n([*:1])c(=O)n2[*:2]",  # two of them, rings open around the points
    "N[C@@H](C[*:1])C(=O)N[*:2]",
    "N[C@@]([*:1])(F)C(=O)[*:2]",  # a stereo centre whose neighbour is the hole
    "C[N+](C)([*:1])[*:2]",  # charges
    "[O-]C(=O)C([*:1])[N+]([*:2])([*:3])C",
    "CC1([*:1])CC1([*:2])[*:3]",  # several points on one atom
    "[*:1]c1ccncc1",  # begun with a point
    "C(/[*:1])=C/C(=O)[*:2]",
    "C1CC2(CCN([*:1])CC2)CN1C(=O)[*:2]",
    "O=S(=O)(N[*:1])c1ccc([*:2])cc1",
    "CC(=O)[*:1] | 1: max-heavy-atoms=3 elements=CN",
    "C1CCN([*:1])CC1[*:2] | 1: ring-sizes=5,6 max-heavy-atoms=8 | 2: ring-sizes=",
    "C1CN([*:1])CC([*:2])([*:3])C1 | 1: optional | 2: elements=O optional | 3: closed",
    "n1([*:1])ccnc1[*:2] | 1: closed | 2: elements=CNO",
    "C[C@H](O[*:1])[*:2] | 2: closed",
]


def scripts(constraint, seed):
    """Logits to draw with, and those that favour what costs most."""
    rules = constraint.rules
    return molecule_scripts(rules, seed, torch.from_numpy(np.where(rules.usable, rules.cost, 0)).float())


def contains(text, template):
    """Whether a molecule is the template, grown at its points alone, each within its limits."""
    mol = Chem.MolFromSmiles(text)
    if mol is None:
        return False
    spec = Template.parse(template)
    points = dict(spec.points)
    optional = [label for label, point in points.items() if point.optional]
    closed = [label for label, point in points.items() if point.closed]
    return any(
        _fits(mol, match, core, points)
        for chosen in range(2 ** len(optional))
        for core in [_core(spec.smiles, {*closed, *(o for i, o in enumerate(optional) if chosen >> i & 1)})]
        for match in mol.GetSubstructMatches(_query(core), uniquify=False, maxMatches=5000)
    )


def _core(smiles, empty):
    core = Chem.RWMol(Chem.MolFromSmiles(smiles))
    for atom in core.GetAtoms():
        if atom.GetAtomicNum() == 0 and atom.GetAtomMapNum() in empty:
            atom.SetAtomicNum(1)
            atom.SetAtomMapNum(0)
    return Chem.RemoveHs(core.GetMol())


def _query(core):
    settings = Chem.AdjustQueryParameters.NoAdjustments()
    settings.makeDummiesQueries = True
    return Chem.AdjustQueryProperties(core, settings)


def _fits(mol, match, core, points):
    kept = {match[atom.GetIdx()] for atom in core.GetAtoms() if atom.GetAtomicNum()}
    for atom in core.GetAtoms():
        found = mol.GetAtomWithIdx(match[atom.GetIdx()])
        if atom.GetAtomicNum():
            ask = (Chem.Atom.GetDegree, Chem.Atom.GetFormalCharge, Chem.Atom.GetTotalNumHs, Chem.Atom.GetIsotope)
            if any(one(atom) != one(found) for one in ask):
                return False
        elif not _grows_within(mol, found.GetIdx(), kept, points.get(atom.GetAtomMapNum())):
            return False
    return True


def _grows_within(mol, first, kept, point):
    """Whether what hangs at a point touches the template by one bond, and keeps the point's limits."""
    grown, waiting, bonds = {first}, [first], 0
    while waiting:
        for other in mol.GetAtomWithIdx(waiting.pop()).GetNeighbors():
            if other.GetIdx() in kept:
                bonds += 1
            elif other.GetIdx() not in grown:
                grown.add(other.GetIdx())
                waiting.append(other.GetIdx())
    if bonds != 1 or point is None:
        return bonds == 1
    heavy = [mol.GetAtomWithIdx(i) for i in grown if mol.GetAtomWithIdx(i).GetAtomicNum() > 1]
    sizes = {len(ring) for ring in Chem.GetSSSR(mol) if grown & set(ring)}
    return (
        (point.max_heavy_atoms is None or len(heavy) <= point.max_heavy_atoms)
        and (point.elements is None or {atom.GetSymbol() for atom in heavy} <= point.element_set)
        and (point.ring_sizes is None or sizes <= set(point.ring_sizes))
    )


_PIECE = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|.")


def cut(smiles, chance):
    """A template that is cut out of a molecule, and the molecule's text in the template's order; None for no place.

    Branches, and perhaps the end of the chain, are cut off where a single bond without a mark leads to them.
    """
    pieces = _PIECE.findall(smiles)
    places = [(a, b) for a, b in _parts(pieces) if chance.random() < 0.5]
    text, grown, at = "", [], 0
    for a, b in sorted(places):
        if a < at:
            continue
        grown.append("".join(pieces[a:b]))
        text += "".join(pieces[at:a]) + f"[*:{len(grown)}]"
        at = b
    text += "".join(pieces[at:])
    if not grown:
        return None
    written = chem.kekule_as_written(text)
    for label, part in enumerate(grown, 1):
        written = written.replace(f"[*:{label}]", part)
    return text, written


def _parts(pieces):
    """Where branches begin and end, and the ends of chains, without rings that lead outside."""
    opened = []
    spans = []
    for at, piece in enumerate(pieces):
        if piece == "(":
            opened.append(at)
        elif piece == ")":
            spans.append((opened.pop() + 1, at))
    depth = 0
    for at, piece in enumerate(pieces):
        depth += (piece == "(") - (piece == ")")
        if depth == 0 and at and pieces[at - 1] not in "=#/\\-.(%":
            spans.append((at, len(pieces)))
    for a, b in spans:
        part = pieces[a:b]
        numbers = [piece for piece in part if piece.isdigit() or piece[0] == "%"]
        if part[0][0].isalpha() | (part[0][0] == "[") and all(numbers.count(n) % 2 == 0 for n in set(numbers)):
            yield a, b


def some_cut_molecules(smiles, seed):
    """(Template, text) of each molecule that can be cut."""
    chance = random.Random(seed)
    for text in smiles:
        found = cut(chem.kekule(text), chance)
        if found is not None:
            yield found
