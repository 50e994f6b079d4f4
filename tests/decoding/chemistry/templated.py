"""What the tests of templates share: templates, an oracle that knows nothing of grammars, and cut molecules."""

import random
import re

import numpy as np
import torch
from decoding.chemistry.molecular import molecule_scripts
from rdkit import Chem

from grammar_rae import chem
from grammar_rae.decoding import Template
from grammar_rae.errors import TextError

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

JOINED = [
    "C1CC1[*:1].[*:1]N1CCOCC1",
    "c1cc([*:1])ccc1F.CC(C)[*:1] | 1: max-heavy-atoms=5",  # in the middle; a linker may look like the second piece
    "O=C(O)[C@@H](N)C[*:1].[*:1]c1ccncc1 | 1: elements=CNO",
    "C1CC([*:2])C1[*:1].C([*:1])S(=O)(=O)N[*:3] | 1: ring-sizes=5,6 | 2: max-heavy-atoms=2",  # points on both
    "[*:1]c1ccccc1.C1C([*:1])CN1[*:2]",
    "C[N+](C)(C)[*:1].[O-]C(=O)[*:1]",
    "N1CC2C1C([*:1])C2.[*:1]C1CC1",  # rings open around the linker
    "C([*:1])CCCC[*:1] | rings",
    "O=C(N[*:1])C1CCC([*:1])CC1 | rings | 1: max-heavy-atoms=9 elements=CNO",
    "C1CC1([*:1])[*:1] | rings | 1: ring-sizes=",  # both points on one atom
    "C([*:1])N[*:2].C([*:1])O[*:2] | rings",  # two linkers
    "N[C@@](F)([*:1])CCO[*:1] | rings",
]
"""Pieces that are linked, and rings that are closed through what grows."""


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


def contains_joined(text, template):
    """Whether a molecule has the template's atoms, joined by what grew and by nothing else, within its limits."""
    mol, spec = Chem.MolFromSmiles(text), Template.parse(template)
    if mol is None:
        return False
    core = Chem.MolFromSmiles(spec.smiles)
    kept = [atom.GetIdx() for atom in core.GetAtoms() if atom.GetAtomicNum()]
    hosts = {}
    for atom in core.GetAtoms():
        if atom.GetAtomicNum() == 0:
            hosts.setdefault(atom.GetAtomMapNum(), []).append(atom.GetNeighbors()[0].GetIdx())
    query = Chem.RWMol(core)
    query.BeginBatchEdit()
    for atom in core.GetAtoms():
        if atom.GetAtomicNum() == 0:
            query.RemoveAtom(atom.GetIdx())
    query.CommitBatchEdit()
    query = _or_aromatic(query)
    place = {old: new for new, old in enumerate(kept)}
    bonds = [b for b in core.GetBonds() if b.GetBeginAtomIdx() in place and b.GetEndAtomIdx() in place]
    for match in mol.GetSubstructMatches(query, uniquify=False, maxMatches=5000):
        at = {old: match[new] for old, new in place.items()}
        between = [b for b in mol.GetBonds() if {b.GetBeginAtomIdx(), b.GetEndAtomIdx()} <= set(match)]
        if len(between) == len(bonds) and all(_is_same_atom(core, mol, old, new) for old, new in at.items()):
            found = _groups(mol, set(match))
            if _are_groups(mol, found, {k: sorted(at[h] for h in v) for k, v in hosts.items()}, dict(spec.points)):
                return True
    return False


def _or_aromatic(query):
    """The query, whose bonds may be aromatic, too: a ring that is closed may turn single and double bonds into such."""
    found = Chem.RWMol(query)
    for atom in query.GetAtoms():
        found.ReplaceAtom(atom.GetIdx(), Chem.AtomFromSmarts(f"[#{atom.GetAtomicNum()}]"))
    for bond in query.GetBonds():
        kind = {Chem.BondType.SINGLE: "-,:", Chem.BondType.DOUBLE: "=,:", Chem.BondType.TRIPLE: "#"}
        pattern = Chem.MolFromSmarts(f"*{kind.get(bond.GetBondType(), ':')}*")
        found.ReplaceBond(bond.GetIdx(), pattern.GetBondWithIdx(0))
    return found


def _is_same_atom(core, mol, old, new):
    one, other = core.GetAtomWithIdx(old), mol.GetAtomWithIdx(new)
    ask = (Chem.Atom.GetDegree, Chem.Atom.GetFormalCharge, Chem.Atom.GetTotalNumHs, Chem.Atom.GetIsotope)
    return all(what(one) == what(other) for what in ask)


def _groups(mol, kept):
    """(The hosts, the atoms) of each group of atoms that are not kept."""
    left, found = set(range(mol.GetNumAtoms())) - kept, []
    while left:
        group, waiting, hosts = set(), [min(left)], []
        while waiting:
            one = waiting.pop()
            if one in group:
                continue
            group.add(one)
            for bond in mol.GetAtomWithIdx(one).GetBonds():
                other = bond.GetOtherAtomIdx(one)
                if other in kept:
                    assert bond.GetBondTypeAsDouble() in (1, 1.5)
                    hosts.append(other)
                else:
                    waiting.append(other)
        left -= group
        found.append((sorted(hosts), group))
    return found


def _are_groups(mol, found, hosts, points):
    """Whether there is one group for each point, within its limits."""
    if len(found) != len(hosts):
        return False
    if not hosts:
        return True
    label, wanted = next(iter(hosts.items()))
    others = {key: value for key, value in hosts.items() if key != label}
    for index, (touched, group) in enumerate(found):
        rest = found[:index] + found[index + 1 :]
        fits = touched == wanted and _keeps_limits(mol, group, points.get(label))
        if fits and _are_groups(mol, rest, others, points):
            return True
    return False


def _keeps_limits(mol, group, point):
    if point is None:
        return True
    heavy = [mol.GetAtomWithIdx(i) for i in group if mol.GetAtomWithIdx(i).GetAtomicNum() > 1]
    sizes = {len(ring) for ring in Chem.GetSSSR(mol) if set(ring) <= group}
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


def _spine(pieces):
    """Where an atom of the outermost chain hangs on a single bond without a mark, and the rings that are open there."""
    depth, still_open = 0, set()
    for at, piece in enumerate(pieces):
        if depth == 0 and at and (piece[0].isalpha() or piece[0] == "[") and pieces[at - 1] not in "=#/\\-.(":
            yield at, frozenset(still_open)
        depth += (piece == "(") - (piece == ")")
        if piece.isdigit() or piece[0] == "%":
            still_open ^= {piece}


def _put_in(template, grown, rings=False):
    """The text that a constraint begins with, with what grew in the place of its point's atom."""
    one = chem.spell_template(template, rings=rings)[0]
    pieces = _PIECE.findall(one.text)
    atoms = [at for at, piece in enumerate(pieces) if piece[0].isalpha() or piece[0] == "["]
    at = atoms[dict((label, index) for index, label in one.points)[1]]
    return "".join([*pieces[:at], grown, *pieces[at + 1 :]]), one


def some_linked_molecules(smiles, seed):
    """(Template, text) of molecules that are cut at two places of their outermost chain."""
    chance = random.Random(seed)
    for text in smiles:
        pieces = _PIECE.findall(chem.kekule(text))
        places = [at for at, still_open in _spine(pieces) if not still_open]
        if len(places) < 2:
            continue
        a, b = sorted(chance.sample(places, 2))
        first, linker, second = ("".join(part) for part in (pieces[:a], pieces[a:b], pieces[b:]))
        template = f"{first}[*:1].[*:1]{second}"
        yield template, _put_in(template, linker)[0]


def some_bridged_molecules(smiles, seed):
    """(Template, text) of molecules with a ring that is cut where it begins, and at a place of the outermost chain."""
    chance = random.Random(seed)
    for text in smiles:
        pieces = _PIECE.findall(chem.kekule(text))
        places = [(at, *still_open) for at, still_open in _spine(pieces) if len(still_open) == 1]
        places = [(at, n) for at, n in places if "".join(pieces[at:]).count(n) == 1 and n == "1"]
        if not places:
            continue
        at, number = chance.choice(places)
        opened = max(i for i in range(at) if pieces[i] == number)
        closing = pieces.index(number, at)
        depth_zero = pieces[:opened].count("(") == pieces[:opened].count(")")
        if pieces[closing - 1] in "=#" or pieces[opened - 1] in "=#" or not depth_zero or pieces[opened + 1].isdigit():
            continue
        template = "".join([*pieces[:opened], "([*:1])", *pieces[opened + 1 : at], "[*:1]"])
        try:
            written, one = _put_in(template, "".join(pieces[at:]), rings=True)
        except TextError:  # refused when bound: its ring would begin at a double bond with marked sides
            continue
        if one.awaited == ((1, 1),):
            yield f"{template} | rings", written
