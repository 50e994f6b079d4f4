"""The masked categorical against sums by hand, likelihoods of pixels against torch.distributions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal

from grammar_rae.grammar import Rules
from grammar_rae.likelihoods import IMAGE_LIKELIHOODS, LearnedGaussian, MaskedBinary, MaskedCategorical, SquaredError

# Rule 5 leaves open nonterminal 3, which nothing completes: it can never be used.
RULES = Rules.build([0, 0, 1, 1, 1, 1, 2], [[1, 0], [], [2], [], [1, 2], [3], []], 4, 0)
SAME = {rule: [r for r in range(RULES.size) if RULES.lhs[r] == RULES.lhs[rule] and r != 5] for rule in range(7)}
USABLE = [0, 1, 2, 3, 4, 6]
TOKENS = torch.tensor([[0, 2, 6, 1], [1, -1, -1, -1]])

derivations = st.lists(st.lists(st.sampled_from(USABLE), max_size=6), min_size=1, max_size=5)


def by_hand(logits: list[list[float]], tokens: list[int]) -> float:
    cost = 0.0
    for row, token in zip(logits, tokens, strict=False):
        if token >= 0:
            cost += math.log(sum(math.exp(row[r]) for r in SAME[token])) - row[token]
    return cost


def padded(rows: list[list[int]]) -> torch.Tensor:
    width = max(map(len, rows))
    filled = [row + [-1] * (width - len(row)) for row in rows]
    return torch.tensor(filled, dtype=torch.int64).reshape(len(rows), width)


def random_logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(*shape, RULES.size, generator=torch.Generator().manual_seed(seed))


@given(rows=derivations, seed=st.integers(0, 2**32))
def test_cost_is_the_log_softmax_over_the_rules_of_the_same_left_hand_side(rows: list[list[int]], seed: int) -> None:
    tokens = padded(rows)
    logits = random_logits(*tokens.shape, seed=seed)
    cost, exact = MaskedCategorical(RULES)(logits, tokens)
    assert cost.shape == exact.shape == (len(rows),)
    expected = [by_hand(a, b) for a, b in zip(logits.tolist(), tokens.tolist(), strict=True)]
    torch.testing.assert_close(cost, torch.tensor(expected), atol=1e-4, rtol=1e-4)
    best = [
        all(row[token] == max(row[r] for r in SAME[token]) for row, token in zip(a, b, strict=True) if token >= 0)
        for a, b in zip(logits.tolist(), tokens.tolist(), strict=True)
    ]
    assert exact.tolist() == best


def test_other_rules_get_no_gradient() -> None:
    logits = random_logits(*TOKENS.shape).requires_grad_()
    cost, _ = MaskedCategorical(RULES)(logits, TOKENS)
    cost.sum().backward()
    assert logits.grad is not None
    for row, steps in enumerate(TOKENS.tolist()):
        for t, token in enumerate(steps):
            touched = {r for r, g in enumerate(logits.grad[row, t].tolist()) if g != 0}
            assert touched == (set() if token < 0 or len(SAME[token]) == 1 else set(SAME[token]))


def test_a_forced_step_costs_nothing() -> None:
    cost, exact = MaskedCategorical(RULES)(random_logits(1, 1), torch.tensor([[6]]))
    assert cost.item() == 0
    assert exact.item()


def test_what_stands_at_padded_positions_does_not_matter() -> None:
    likelihood, logits = MaskedCategorical(RULES), random_logits(*TOKENS.shape)
    cost, exact = likelihood(logits, TOKENS)
    logits[1, 1:] = math.nan
    again, exact_again = likelihood(logits, TOKENS)
    assert again.tolist() == cost.tolist()
    assert exact_again.tolist() == exact.tolist()


def test_exactness_asks_for_every_step() -> None:
    likelihood, logits = MaskedCategorical(RULES), torch.zeros(*TOKENS.shape, RULES.size)
    logits.scatter_(2, TOKENS.clamp(min=0).unsqueeze(2), 1.0)
    # A likelier rule of another left-hand side is no mistake: it could not be chosen there.
    logits[0, 0, 3] = 9.0
    assert likelihood(logits, TOKENS)[1].tolist() == [True, True]
    logits[0, 1, 4] = 2.0
    assert likelihood(logits, TOKENS)[1].tolist() == [False, True]


def test_a_row_of_padding_costs_nothing() -> None:
    cost, exact = MaskedCategorical(RULES)(random_logits(1, 3), torch.full((1, 3), -1))
    assert cost.tolist() == [0]
    assert exact.tolist() == [True]


@pytest.mark.parametrize("row", [MaskedCategorical, MaskedBinary])
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_extreme_logits_stay_finite(scale: float, row: type[MaskedCategorical]) -> None:
    logits = (scale * random_logits(*TOKENS.shape)).requires_grad_()
    cost, _ = row(RULES)(logits, TOKENS)
    cost.sum().backward()
    assert cost.isfinite().all()
    assert logits.grad is not None and logits.grad.isfinite().all()


@given(rows=derivations, seed=st.integers(0, 2**32))
def test_the_binary_cost_is_the_cross_entropy_of_one_hot_vectors(rows: list[list[int]], seed: int) -> None:
    tokens = padded(rows)
    logits = random_logits(*tokens.shape, seed=seed)
    cost, exact = MaskedBinary(RULES)(logits, tokens)
    expected = []
    for steps, row in zip(logits.double(), tokens.tolist(), strict=True):
        total = 0.0
        for step, token in zip(steps, row, strict=True):
            if token >= 0:
                p = torch.softmax(step[SAME[token]], dim=0)
                one_hot = torch.tensor([float(r == token) for r in SAME[token]]).double()
                total += torch.nn.functional.binary_cross_entropy(p, one_hot, reduction="sum").item()
        expected.append(total)
    torch.testing.assert_close(cost, torch.tensor(expected), atol=1e-3, rtol=1e-4)
    assert exact.tolist() == MaskedCategorical(RULES)(logits, tokens)[1].tolist()


def test_rounded_logits_are_summed_in_float32() -> None:
    logits = random_logits(*TOKENS.shape).bfloat16()
    likelihood = MaskedCategorical(RULES)
    cost, _ = likelihood(logits, TOKENS)
    assert cost.dtype == torch.float32
    assert cost.tolist() == likelihood(logits.float(), TOKENS)[0].tolist()


def test_the_table_is_no_part_of_the_saved_weights() -> None:
    assert MaskedCategorical(RULES).state_dict() == {}


# --- pixels ----------------------------------------------------------------------------------------------------------


def pictures(seed: int = 0) -> torch.Tensor:
    """Five images whose pixels are of 256 levels."""
    levels = torch.randint(256, (5, 3, 4, 2), generator=torch.Generator().manual_seed(seed))
    return levels.float() / 255


def decoded(seed: int = 1) -> torch.Tensor:
    return torch.rand(5, 3, 4, 2, generator=torch.Generator().manual_seed(seed))


def learned(scale: float) -> LearnedGaussian:
    likelihood = LearnedGaussian()
    with torch.no_grad():
        likelihood.log_scale.fill_(math.log(scale))
    return likelihood


def test_squared_error_is_that_of_a_gaussian_of_variance_one_half_but_for_a_constant() -> None:
    x, out = pictures(), decoded()
    cost, _ = SquaredError()(out, x)
    assert (cost.shape, cost.dtype) == ((5,), torch.float32)
    surprise = -Normal(out.double(), 0.5**0.5).log_prob(x.double()).flatten(1).sum(1)
    torch.testing.assert_close(cost.double(), surprise - 24 * 0.5 * math.log(math.pi), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 7.0])
def test_learned_gaussian_is_the_negative_log_likelihood(scale: float) -> None:
    x, out = pictures(), decoded()
    cost, _ = learned(scale)(out, x)
    assert (cost.shape, cost.dtype) == ((5,), torch.float32)
    expected = -Normal(out.double(), scale).log_prob(x.double()).flatten(1).sum(1)
    torch.testing.assert_close(cost.double(), expected, atol=1e-5, rtol=1e-5)


def test_the_learned_scale_is_the_root_of_the_mean_square() -> None:
    x, out, likelihood = pictures(), decoded(), LearnedGaussian()
    optimizer = torch.optim.LBFGS(likelihood.parameters(), line_search_fn="strong_wolfe", max_iter=50)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = likelihood(out, x)[0].mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    rms = (out - x).square().mean().sqrt().item()
    assert likelihood.log_scale.exp().item() == pytest.approx(rms, rel=1e-4)
    # There the gradient vanishes, and does so nowhere else.
    for factor, sign in ((0.9, -1), (1.1, 1)):
        other = learned(factor * rms)
        other(out, x)[0].mean().backward()
        assert other.log_scale.grad is not None
        assert math.copysign(1, other.log_scale.grad.item()) == sign


@pytest.mark.parametrize("name", IMAGE_LIKELIHOODS)
def test_exact_images(name: str) -> None:
    likelihood, x = IMAGE_LIKELIHOODS[name](), pictures()
    assert likelihood(x, x)[1].tolist() == [True] * 5
    shift = torch.zeros_like(x)
    shift[1, 2, 3, 1], shift[2, 0, 0, 0] = 0.499 / 255, 0.51 / 255
    shift[3, 1, 1, 1], shift[4] = -0.51 / 255, -0.49 / 255
    assert likelihood(x + shift, x)[1].tolist() == [True, True, False, False, True]
    out = (x + 0.4 / 255 * torch.sign(decoded() - 0.5)).clamp(0, 1)
    assert likelihood(out, x)[1].tolist() == ((255 * out).round() == (255 * x).round()).flatten(1).all(1).tolist()


@pytest.mark.parametrize("name", IMAGE_LIKELIHOODS)
def test_images_of_lower_precision_are_compared_in_float32(name: str) -> None:
    likelihood, x, out = IMAGE_LIKELIHOODS[name](), pictures(), decoded().bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cost, exact = likelihood(out, x)
    assert cost.dtype == torch.float32 and exact.dtype == torch.bool
    torch.testing.assert_close(cost, likelihood(out.float(), x)[0])
    cost.sum().backward()
    assert out.grad is not None and not exact.requires_grad


@pytest.mark.parametrize("name", IMAGE_LIKELIHOODS)
def test_a_pixel_that_is_no_number_is_no_exact_one(name: str) -> None:
    x, out = pictures(), pictures()
    out[1, 0, 0, 0] = math.nan
    cost, exact = IMAGE_LIKELIHOODS[name]()(out, x)
    assert exact.tolist() == [True, False, True, True, True]
    assert cost.isnan().tolist() == [False, True, False, False, False]


def test_the_learned_scale_is_saved() -> None:
    other = LearnedGaussian()
    other.load_state_dict(learned(0.25).state_dict())
    assert torch.equal(other(decoded(), pictures())[0], learned(0.25)(decoded(), pictures())[0])
    assert SquaredError().state_dict() == {}
