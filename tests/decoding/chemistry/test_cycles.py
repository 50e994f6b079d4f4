from functools import cache
from random import Random

import networkx as nx
import numpy as np
import pytest
from derivations import molecules
from hypothesis import given
from hypothesis import strategies as st
from rdkit import Chem

from grammar_rae.decoding.chemistry.cycles import closes_allowed_ring, has_allowed_rings


def written(graph, random, cut=0.0):
    """A graph as a molecule is written: (parent, ring bonds), the atoms in the order of some search.

    A tree bond is written as a ring bond with the probability ``cut``; then ring bonds join fragments, as in ``C1.C1``.
    """
    parent, number, waiting = [], {}, []
    nodes = list(graph)
    random.shuffle(nodes)
    for begin in nodes:
        waiting.append((begin, -1))
        while waiting:
            node, found_from = waiting.pop(random.randrange(len(waiting)) if random.random() < 0.3 else -1)
            if node not in number:
                number[node] = len(parent)
                parent.append(found_from)
                neighbours = list(graph[node])
                random.shuffle(neighbours)
                waiting += [(other, number[node]) for other in neighbours if other not in number]
    tree = {(atom, above) for atom, above in enumerate(parent)}
    rings = [(number[a], number[b]) for a, b in graph.edges]
    rings = [(a, b) for a, b in rings if (a, b) not in tree and (b, a) not in tree]
    for atom, above in enumerate(parent):
        if above >= 0 and random.random() < cut:
            rings.append((atom, above))
            parent[atom] = -1
    random.shuffle(rings)
    return parent, [random.choice([(a, b), (b, a)]) for a, b in rings]


def arrays(parent, rings):
    """The kernels' first five arguments; what lies behind the entries that count would spoil every answer."""
    n, m = len(parent), len(rings)
    parents, ring_a, ring_b = (np.full(length, 31_000, dtype=np.int16) for length in (n + 3, m + 3, m + 3))
    parents[:n] = parent
    ring_a[:m], ring_b[:m] = [a for a, _ in rings], [b for _, b in rings]
    return n, parents, ring_a, ring_b, m


def check(parent, rings, sizes):
    """Both kernels know the smallest rings' sizes (they ask for each and for no other); they change no array."""
    sizes = set(sizes)
    largest = max(sizes, default=0)
    arguments = arrays(parent, rings)
    before = [np.copy(part) for part in arguments]
    deciders = [lambda allowed: has_allowed_rings(*arguments, allowed)]
    if rings:
        n, parents, ring_a, ring_b, m = arguments
        a, b = rings[-1]
        deciders.append(lambda allowed: closes_allowed_ring(n, parents, ring_a, ring_b, m - 1, a, b, allowed))
        deciders.append(lambda allowed: closes_allowed_ring(n, parents, ring_a, ring_b, m - 1, b, a, allowed))
    for decide in deciders:
        refused = {size for size in range(largest + 3) if not decide(np.arange(len(parent) + 1) != size)}
        assert refused == sizes
        exactly = np.isin(np.arange(largest + 1), list(sizes))
        assert decide(exactly)
        assert decide(exactly[:-1]) == (not sizes)
        assert decide(exactly[:0]) == (not sizes)
    assert all(np.array_equal(part, copy) for part, copy in zip(arguments, before, strict=True))


def basis_sizes(graph):
    """By networkx, which is slow on many rings: block by block, for no cycle lies in two."""
    blocks = (graph.subgraph(block) for block in nx.biconnected_components(graph))
    return [len(cycle) for block in blocks for cycle in nx.minimum_cycle_basis(block)]


def sizes_by_sums(parent, rings):
    """The sizes of a minimum cycle basis, picked greedily from all sets of bonds that are even at every atom."""
    bonds = [(atom, above) for atom, above in enumerate(parent) if above >= 0] + rings
    around = [sum(1 << bond for bond, ends in enumerate(bonds) if atom in ends) for atom in range(len(parent))]
    sums = [bits for bits in range(1 << len(bonds)) if all((bits & mask).bit_count() % 2 == 0 for mask in around)]
    sizes, leading = [], {}
    for cycle in sorted(sums, key=int.bit_count):
        rest = cycle
        while rest and rest.bit_length() in leading:
            rest ^= leading[rest.bit_length()]
        if rest:
            leading[rest.bit_length()] = rest
            sizes.append(cycle.bit_count())
    return sizes


@st.composite
def molecules_written(draw, most_atoms, most_rings):
    """Forests with chords; a chord may lie beside another bond, and may join two trees."""
    n = draw(st.integers(2, most_atoms))
    reach = draw(st.sampled_from([1, 2, 4, n]))  # near atoms make long chains, far ones bushes
    above = [draw(st.integers(max(-1, atom - reach), atom - 1)) for atom in range(1, n)]
    pairs = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda pair: pair[0] != pair[1])
    return [-1, *above], draw(st.lists(pairs, max_size=most_rings))


def as_graph(parent, rings):
    graph = nx.Graph(rings)
    graph.add_nodes_from(range(len(parent)))
    graph.add_edges_from((atom, above) for atom, above in enumerate(parent) if above >= 0)
    return graph


@given(molecules_written(most_atoms=7, most_rings=4))
def test_the_smallest_rings_are_the_best_of_all_sums(molecule):
    check(*molecule, sizes_by_sums(*molecule))


@given(molecules_written(most_atoms=24, most_rings=9))
def test_the_smallest_rings_are_those_of_networkx(molecule):
    graph = as_graph(*molecule)
    bonds = len(molecule[1]) + sum(above >= 0 for above in molecule[0])
    check(*molecule, basis_sizes(graph) + [2] * (bonds - graph.number_of_edges()))


def spiro(*sizes):
    """Rings in a row, each sharing one atom with the one before."""
    graph, last = nx.Graph(), 0
    for size in sizes:
        ring = [last, *range(len(graph) or 1, (len(graph) or 1) + size - 1)]
        nx.add_cycle(graph, ring)
        last = ring[size // 2]
    return graph


def fused(*sizes):
    """Rings in a row, each sharing one bond with the one before."""
    graph, bond = nx.path_graph(2), (0, 1)
    for size in sizes:
        inner = list(range(len(graph), len(graph) + size - 2))
        nx.add_path(graph, [bond[0], *inner, bond[1]])
        middle = (size - 3) // 2
        bond = (inner[middle], inner[middle + 1]) if len(inner) > middle + 1 else (inner[-1], bond[1])
    return graph


def bridged(*lengths):
    """Two bridgeheads and bridges of some atoms between them: bicyclo[2.2.1]heptane is (2, 2, 1)."""
    graph = nx.Graph()
    for length in lengths:
        inner = range(max(graph, default=1) + 1, max(graph, default=1) + 1 + length)
        nx.add_path(graph, [0, *inner, 1])
    return graph


def subdivided(graph, seed):
    """Up to four atoms on each edge."""
    random, graph = Random(seed), nx.convert_node_labels_to_integers(graph)
    for a, b in list(graph.edges):
        graph.remove_edge(a, b)
        nx.add_path(graph, [a, *range(len(graph), len(graph) + random.choice([0, 0, 1, 2, 4])), b])
    return graph


CUBIC = [subdivided(nx.random_regular_graph(3, 14, seed=seed), seed) for seed in range(5)]
KINDS = {
    "chain": nx.path_graph(6),
    "atom": nx.empty_graph(1),
    "ring": nx.cycle_graph(6),
    "spiro": spiro(5, 3, 6, 4),
    "fused": fused(6, 5, 6, 3, 7, 4),
    "norbornane": bridged(2, 2, 1),
    "propellane": bridged(0, 1, 1, 1),
    "bridges": bridged(6, 4, 4, 3, 2),
    "prismane": nx.circular_ladder_graph(3),
    "cubane": nx.hypercube_graph(3),
    "dodecahedrane": nx.dodecahedral_graph(),
    "adamantane": nx.Graph([(corner, frozenset(e)) for e in nx.complete_graph(4).edges for corner in e]),
    "Petersen": nx.petersen_graph(),
    "Heawood": nx.heawood_graph(),
    "K3,3": nx.complete_bipartite_graph(3, 3),
    "several": nx.disjoint_union_all([nx.cycle_graph(5), nx.path_graph(3), bridged(3, 2, 1), nx.cycle_graph(8)]),
    "linked": nx.barbell_graph(4, 5),
    "ladder": nx.ladder_graph(12),
    **{f"K5 subdivided {seed}": subdivided(nx.complete_graph(5), seed) for seed in range(5)},
    **{f"K3,3 subdivided {seed}": subdivided(nx.complete_bipartite_graph(3, 3), seed) for seed in range(5)},
    **{f"cubic {seed}": graph for seed, graph in enumerate(CUBIC)},
    # More ring bonds than one word of 64 bits holds.
    "many fused": fused(*[6, 5, 7, 3, 4] * 14),
    "many": nx.disjoint_union_all([CUBIC[0], spiro(*[3, 4, 5, 6] * 12), CUBIC[1], nx.cycle_graph(30), CUBIC[2]]),
}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "many fused"])
def test_the_smallest_rings_of_many_kinds_however_written(kind):
    graph, random = KINDS[kind], Random(0)
    sizes = basis_sizes(graph)
    for cut in (0, 0, 0, 0.1, 0.5):
        parent, rings = written(graph, random, cut)
        assert len(parent) == len(graph) and len(as_graph(parent, rings).edges) == len(graph.edges)
        check(parent, rings, sizes)


@pytest.mark.parametrize(
    "kind, sizes",
    [
        ("chain", set()),
        ("fused", {3, 4, 5, 6, 7}),
        ("many fused", {3, 4, 5, 6, 7}),
        ("norbornane", {5}),
        ("propellane", {3}),
        ("prismane", {3, 4}),
        ("cubane", {4}),
        ("adamantane", {6}),
        ("dodecahedrane", {5}),
        ("Heawood", {6}),
        ("several", {5, 6, 8}),
    ],
)
def test_the_smallest_rings_of_well_known_cages(kind, sizes):
    check(*written(KINDS[kind], Random(1)), sizes)


@cache
def real():
    """The bonds of real molecules as graphs, with the sizes of RDKit's smallest set of smallest rings."""
    found = []
    for text in molecules(2_000):
        molecule = Chem.MolFromSmiles(text)
        graph = nx.Graph([(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()])
        graph.add_nodes_from(range(molecule.GetNumAtoms()))
        found.append((graph, [len(ring) for ring in Chem.GetSSSR(molecule)]))
    return found


def test_the_smallest_rings_of_real_molecules_are_those_of_rdkit():
    random = Random(2)
    for graph, sizes in real():
        parent, rings = written(graph, random)
        assert len(rings) == len(sizes)
        check(parent, rings, sizes)
    assert len({size for _, sizes in real() for size in sizes}) > 4
