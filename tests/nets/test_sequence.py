"""Nets over tokens: padding changes nothing, order counts, and decoding step by step is teacher forcing."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from grammar_rae.errors import InputError
from grammar_rae.grammar import Rules
from grammar_rae.nets.grammar_vae import GrammarVAEDecoder, GrammarVAEEncoder, OneHotConvolution
from grammar_rae.nets.sequence import DECODERS, ENCODERS, ConvEncoder, DecoderState, GRUDecoder, GRUEncoder

# What each rule writes of three terminals, of which nothing writes the last.
WRITTEN = np.array([[1, 0, 0], [0, 0, 0], [0, 2, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]])
RULES = Rules.build([0, 0, 1, 1, 1, 2], [[1, 0], [], [2], [], [1, 2], []], 3, 0, WRITTEN)
LONGEST = 12
H = 5
D = 4

# The grammar VAE's convolutions are wider than these tokens are long.
FEW: dict[str, dict[str, Any]] = {"grammar-vae": {"channels": [3, 4], "widths": [2, 3], "dense": 32}}

DECODER_OPTIONS: dict[str, dict[str, Any]] = {"tally": {"tally": True}, "layers": {"layers": 2}, "rank": {"rank": 3}}
EACH_DECODER = [*DECODERS, *(f"gru {option}" for option in DECODER_OPTIONS)]

lengths = st.lists(st.integers(1, LONGEST), min_size=1, max_size=6)


def rows_of(lengths: list[int], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(RULES.size, (length,), generator=generator) for length in lengths]


def padded(rows: list[Tensor], extra: int = 0) -> Tensor:
    width = max(len(row) for row in rows) + extra
    return torch.stack([nn.functional.pad(row, (0, width - len(row)), value=-1) for row in rows])


def encoder(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(3)
    return ENCODERS[name](RULES, H, LONGEST, **(FEW.get(name, {}) | options))


def decoder(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(4)
    name, *chosen = name.split()
    for option in chosen:
        options = DECODER_OPTIONS[option] | options
    return DECODERS[name](RULES, D, LONGEST, **options)


def steps(net: Any, z: Tensor, tokens: Tensor) -> Tensor:
    """The logits of every step, decoded one by one."""
    lhs = torch.from_numpy(RULES.lhs)[tokens.clamp(min=0)]
    state, previous, logits = net.begin(z), None, []
    for t in range(tokens.shape[1]):
        out, state = net.step(state, previous, lhs[:, t])
        logits.append(out)
        previous = tokens[:, t].clamp(min=0)
    return torch.stack(logits, dim=1)


# --- encoders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=30)
@given(lengths=lengths, extra=st.integers(0, 3))
def test_encoder_ignores_padding_and_company(name: str, lengths: list[int], extra: int) -> None:
    net, rows = encoder(name), rows_of(lengths)
    extra = min(extra, LONGEST - max(lengths))
    together = net(padded(rows, extra))
    assert together.shape == (len(rows), H)
    for row, h in zip(rows, together, strict=True):
        torch.testing.assert_close(net(row.unsqueeze(0))[0], h, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize(("one", "other"), [(0, 1), (4, 5), (0, 9), (3, 8)])
def test_encoder_knows_the_order(name: str, one: int, other: int) -> None:
    tokens = torch.zeros(1, 10, dtype=torch.int64)
    tokens[0, one] = 2
    swapped = torch.zeros(1, 10, dtype=torch.int64)
    swapped[0, other] = 2
    net = encoder(name)
    assert (net(tokens) - net(swapped)).abs().max() > 1e-4


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_tells_a_prefix_from_the_whole(name: str) -> None:
    net, row = encoder(name), rows_of([6])[0]
    assert (net(row[None, :5]) - net(row[None])).abs().max() > 1e-4


@pytest.mark.parametrize("name", ENCODERS)
def test_gradients_reach_every_part_of_the_encoder_but_the_padding(name: str) -> None:
    net = encoder(name)
    net(padded(rows_of([LONGEST, 2, 7]))).square().sum().backward()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label
    if isinstance(net, GrammarVAEEncoder):
        return  # to which padding is a token like others
    embedding: Any = net.embedding
    assert embedding.weight[-1].eq(0).all()
    assert embedding.weight.grad[-1].eq(0).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_in_bfloat16(name: str) -> None:
    net, tokens = encoder(name), padded(rows_of([LONGEST, 2, 7]))
    exact = net(tokens)
    assert exact.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = net(tokens)
    assert (rounded.float() - exact).norm() < 0.05 * exact.norm()
    rounded.float().sum().backward()
    assert {parameter.grad.dtype for parameter in net.parameters() if parameter.grad is not None} == {torch.float32}


def test_sizes_of_the_encoders() -> None:
    conv = ConvEncoder(RULES, H, LONGEST, embedding=3, channels=7, widths=(1, 5))
    assert [layer.kernel_size for layer in conv.convolutions] == [(1,), (5,)]
    assert conv.dense.in_features == 7 * LONGEST
    gru = GRUEncoder(RULES, H, LONGEST, embedding=3, hidden=6)
    assert (gru.onward.input_size, gru.onward.hidden_size, gru.dense.in_features) == (3, 6, 12)


def test_convolutions_keep_the_length() -> None:
    with pytest.raises(InputError, match="must be odd"):
        ConvEncoder(RULES, H, LONGEST, widths=(3, 4))


@pytest.mark.parametrize("name", ["conv", "grammar-vae"])
def test_more_positions_than_weights(name: str) -> None:
    net = encoder(name)
    net(padded(rows_of([LONGEST])))
    with pytest.raises(InputError, match=f"{LONGEST + 1} tokens; expected at most {LONGEST}"):
        net(padded(rows_of([LONGEST + 1])))


def test_the_backward_gru_reads_each_row_from_its_own_end() -> None:
    net = GRUEncoder(RULES, H, LONGEST, embedding=3, hidden=6)
    row = rows_of([5])[0]
    x = net.embedding(row.flip(0).unsqueeze(0))
    _, onward = net.onward(net.embedding(row.unsqueeze(0)))
    _, back = net.back(x)
    expected = net.dense(torch.cat([onward[0], back[0]], dim=-1))
    torch.testing.assert_close(net(padded([row, rows_of([9])[0]]))[:1], expected)


# --- decoders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EACH_DECODER)
@settings(max_examples=30)
@given(lengths=lengths)
def test_step_by_step_is_teacher_forcing(name: str, lengths: list[int]) -> None:
    net, tokens = decoder(name), padded(rows_of(lengths))
    z = torch.randn(len(lengths), D, generator=torch.Generator().manual_seed(1))
    forced = net(z, tokens)
    assert forced.shape == (*tokens.shape, RULES.size)
    torch.testing.assert_close(steps(net, z, tokens), forced, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", EACH_DECODER)
@settings(max_examples=30)
@given(lengths=lengths)
def test_decoder_ignores_padding_and_company(name: str, lengths: list[int]) -> None:
    net, rows = decoder(name), rows_of(lengths)
    z = torch.randn(len(rows), D, generator=torch.Generator().manual_seed(1))
    together = net(z, padded(rows, extra=2))
    for i, row in enumerate(rows):
        alone = net(z[i : i + 1], row.unsqueeze(0))[0]
        torch.testing.assert_close(together[i, : len(row)], alone, atol=1e-5, rtol=1e-5)


def test_decoder_sees_the_past_the_left_hand_side_and_z_only() -> None:
    net, z = decoder("gru"), torch.ones(1, D)
    tokens = torch.tensor([[0, 2, 0, 3, 1]])
    same_lhs, other_lhs = tokens.clone(), tokens.clone()
    same_lhs[0, 2], other_lhs[0, 2] = 1, 5
    base = net(z, tokens)
    changed = (net(z, same_lhs) - base).abs().amax(dim=2)[0] > 1e-6
    assert changed.tolist() == [False, False, False, True, True]
    changed = (net(z, other_lhs) - base).abs().amax(dim=2)[0] > 1e-6
    assert changed.tolist() == [False, False, True, True, True]
    assert ((net(-z, tokens) - base).abs().amax(dim=2) > 1e-6).all()


@pytest.mark.parametrize("name", EACH_DECODER)
def test_gradients_reach_z_and_every_part_of_the_decoder(name: str) -> None:
    net, z = decoder(name), torch.ones(2, D, requires_grad=True)
    net(z, padded(rows_of([LONGEST, 3]))).square().sum().backward()
    assert z.grad is not None and (z.grad != 0).all()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label


@pytest.mark.parametrize("name", EACH_DECODER)
def test_decoder_in_bfloat16(name: str) -> None:
    net, tokens, z = decoder(name), padded(rows_of([LONGEST, 3])), torch.ones(2, D)
    exact = net(z, tokens)
    assert exact.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        forced, stepped = net(z, tokens), steps(net, z, tokens)
    for rounded in (forced, stepped):
        assert (rounded.float() - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("name", EACH_DECODER)
def test_a_state_is_cut_to_rows(name: str) -> None:
    net: Any = decoder(name)
    z, lhs, keep = torch.randn(4, D), torch.tensor([0, 1, 2, 0]), torch.tensor([3, 1])
    _, state = net.step(net.begin(z), None, lhs)
    whole, _ = net.step(state, torch.tensor([0, 1, 2, 3]), lhs)
    part, _ = net.step(state.rows(keep), torch.tensor([3, 1]), lhs[keep])
    torch.testing.assert_close(part, whole[keep])


def test_the_tally_is_what_was_written_so_far() -> None:
    net: Any = decoder("gru tally")
    seen: list[Tensor] = []
    net.from_tally.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    tokens = torch.tensor([[0, 2, 3, 2, -1], [5, 5, 5, 5, 5]])
    net(torch.ones(2, D), tokens)
    counts = [[[0, 0], [1, 0], [1, 2], [2, 3], [2, 5]], [[0, 0], [0, 1], [0, 2], [0, 3], [0, 4]]]
    counted = torch.tensor(counts, dtype=torch.float32)
    assert torch.equal(seen[0], torch.cat([counted / 8, counted % 2], dim=-1))
    # A ring's number that was written twice is closed: the same as never, but for the size of the molecule.
    with torch.no_grad():
        net.from_tally.weight[:, :2] = 0
    nothing_told = torch.zeros(1, 0)
    assert net._read(torch.tensor([4]), torch.tensor([0]), torch.tensor([[2.0, 4.0]]), nothing_told).equal(
        net._read(torch.tensor([4]), torch.tensor([0]), torch.zeros(1, 2), nothing_told)
    )


def test_sizes_of_the_decoder() -> None:
    net = GRUDecoder(RULES, D, LONGEST, embedding=3, hidden=6, context=2)
    state = net.begin(torch.zeros(2, D))
    assert isinstance(state, DecoderState)
    assert (state.hidden.shape, state.context.shape) == ((2, 6), (2, 2))
    assert net.gru.input_size == 3 + 2


def test_z_reaches_both_the_first_state_and_every_step() -> None:
    net = GRUDecoder(RULES, D, LONGEST)
    net(torch.ones(1, D), torch.tensor([[0, 2]])).square().sum().backward()
    assert net.from_latent.weight.grad is not None
    assert (net.from_latent.weight.grad != 0).all()


def test_tables_are_no_part_of_the_saved_weights() -> None:
    assert not {"lhs", "written"} & GRUDecoder(RULES, D, LONGEST, tally=True).state_dict().keys()


# --- the nets of the grammar VAE -------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(width=st.integers(1, 5), channels=st.integers(1, 4), extra=st.integers(0, 4), seed=st.integers(0, 99))
def test_a_convolution_over_looked_up_columns_is_that_of_one_hot_vectors(
    width: int, channels: int, extra: int, seed: int
) -> None:
    tokens = torch.randint(RULES.size + 1, (3, width + extra), generator=torch.Generator().manual_seed(seed))
    net, dense = OneHotConvolution(RULES.size, channels, width), nn.Conv1d(RULES.size + 1, channels, width)
    with torch.no_grad():
        # Conv1d's kernel is (C, R + 1, width), the looked-up one (R + 1, width, C).
        dense.weight.copy_(net.columns.unflatten(1, (width, channels)).permute(2, 0, 1))
        dense.bias.copy_(net.bias)  # type: ignore[union-attr]
    one_hot = nn.functional.one_hot(tokens, RULES.size + 1).float().transpose(1, 2)
    torch.testing.assert_close(net(tokens), dense(one_hot))


def test_the_original_sizes() -> None:
    rules = Rules.build([0] * 76, [[]] * 76, 1, 0)
    net = GrammarVAEEncoder(rules, 2 * 56, 277)
    assert net.dense.in_features == 251 * 10  # 277 - 8 - 8 - 10 positions of 10 channels
    assert (net.dense.out_features, net.outputs.out_features) == (435, 112)
    paper = GrammarVAEDecoder(rules, 56, 277)
    assert (paper.gru.input_size, paper.gru.hidden_size, paper.gru.num_layers) == (56, 501, 3)
    assert paper.logits.out_features == 76


def test_positions_do_not_know_what_was_decided() -> None:
    net, z = decoder("grammar-vae"), torch.ones(1, D)
    tokens, others = torch.tensor([[0, 2, 0, 3, 1]]), torch.tensor([[1, 5, 4, 0, 2]])
    assert torch.equal(net(z, tokens), net(z, others))
    assert not torch.allclose(net(z, tokens), net(-z, tokens))


@pytest.mark.parametrize(
    "options", [{"widths": [2]}, {"channels": [], "widths": []}, {"channels": [3, 4], "widths": [9, 9]}]
)
def test_convolutions_that_do_not_fit(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="do not fit"):
        encoder("grammar-vae", **options)


def test_batch_normalisation_makes_the_scale_of_z_irrelevant() -> None:
    net = decoder("grammar-vae", batch_norm=True)
    z = torch.randn(50, D, generator=torch.Generator().manual_seed(0))
    tokens = torch.zeros(50, 3, dtype=torch.int64)
    torch.testing.assert_close(net(10 * z, tokens), net(z, tokens), atol=1e-4, rtol=1e-3)
    with_norm = [
        layer for layer in encoder("grammar-vae", batch_norm=True).modules() if isinstance(layer, nn.BatchNorm1d)
    ]
    assert [layer.num_features for layer in with_norm] == [3, 4]


# --- what a row is told besides z ------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2])
def test_what_is_told_has_a_path_of_its_own(layers: int) -> None:
    net, tokens = decoder("gru", layers=layers, told=3, told_hidden=7), padded(rows_of([5, 3]))
    z = torch.randn(2, D + 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(steps(net, z, tokens)[0], net(z, tokens)[0], atol=1e-5, rtol=1e-4)
    other = torch.cat([z[:, :D], z[:, D:] + 1], dim=1)
    assert (net(z, tokens) - net(other, tokens)).abs().amax(dim=(1, 2)).min() > 1e-4
    path: Any = net.from_told
    for parameter in path.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(net(z, tokens), net(other, tokens))


def remaining_decoder() -> GRUDecoder:
    """One that is told two properties, their masks and a mark, with contributions of all tokens."""
    net: Any = decoder("gru", told=5, remaining=True)
    net.contributions.copy_(torch.randn(net.contributions.shape, generator=torch.Generator().manual_seed(1)))
    return net


def test_each_step_sees_what_is_left_of_a_told_property() -> None:
    net: Any = remaining_decoder()
    seen: list[Tensor] = []
    net.from_remaining.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    tokens = torch.tensor([[0, 2, 3], [5, 5, -1]])
    z = torch.zeros(2, D + 5)
    z[:, D:] = torch.tensor(
        [[1.5, 0.0, 1, 0, 0], [0.0, -2.0, 0, 1, 0]]
    )  # the first property of one row, the second of the other
    net(z, tokens)
    c = net.contributions
    first = 1.5 - c[RULES.size, 0] - torch.stack([torch.tensor(0.0), c[0, 0], c[0, 0] + c[2, 0]])
    second = -2 - c[RULES.size, 1] - torch.stack([torch.tensor(0.0), c[5, 1], 2 * c[5, 1]])
    nothing = torch.zeros(3)
    left = torch.stack([torch.stack([first, nothing], dim=1), torch.stack([nothing, second], dim=1)])
    torch.testing.assert_close(seen[0], torch.cat([left, torch.tanh(4 * left)], dim=2))


def test_what_is_left_is_the_same_step_by_step_and_in_rows_that_stay() -> None:
    net = remaining_decoder()
    z = torch.randn(4, D + 5, generator=torch.Generator().manual_seed(0))
    z[:, D + 2 : D + 4] = torch.tensor([[1.0, 1], [1, 0], [0, 1], [0, 0]])
    tokens = padded(rows_of([5, 3, 4, 5]))
    stepped, forced = steps(net, z, tokens), net(z, tokens)
    present = tokens >= 0
    torch.testing.assert_close(stepped[present], forced[present], atol=1e-5, rtol=1e-4)


def test_who_is_told_nothing_sees_no_contributions() -> None:
    net = remaining_decoder()
    z, tokens = torch.zeros(2, D + 5), padded(rows_of([5, 3]))
    before = net(z, tokens)
    net.contributions.zero_()
    assert torch.equal(net(z, tokens), before)


def test_nothing_remains_of_what_is_not_told() -> None:
    with pytest.raises(InputError, match="not told"):
        decoder("gru", remaining=True)


def test_contributions_are_saved_with_the_weights() -> None:
    assert "contributions" in remaining_decoder().state_dict()
    assert "contributions" not in GRUDecoder(RULES, D, LONGEST).state_dict()


def test_a_low_rank_is_one_of_the_logits() -> None:
    net, tokens = decoder("gru", rank=2), padded(rows_of([9, 9, 9, 9]))
    logits: Any = net.logits
    out = net(torch.randn(4, D, generator=torch.Generator().manual_seed(0)), tokens) - logits[-1].bias
    assert torch.linalg.matrix_rank(out.flatten(0, 1).detach(), atol=1e-4) <= 2
