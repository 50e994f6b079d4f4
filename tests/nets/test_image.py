"""Nets over images: their layers and sizes, their padding, and what they refuse."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from grammar_rae.errors import InputError
from grammar_rae.nets.image import (
    IMAGE_DECODERS,
    IMAGE_ENCODERS,
    PaperDecoder,
    PaperEncoder,
    SmallDecoder,
    SmallEncoder,
)

FEW: dict[str, dict[str, dict[str, Any]]] = {
    "encoder": {"paper": {"channels": (2, 3, 4, 5)}, "small": {"width": 2}},
    "decoder": {"paper": {"start": 5, "channels": (4, 3)}, "small": {"width": 2}},
}


@pytest.fixture(autouse=True)
def own_seed() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def counted(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


# --- every net -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGE_ENCODERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_encoder(name: str, channels: int, size: int) -> None:
    options = FEW["encoder"].get(name, {})
    if name == "paper" and size < 16:
        with pytest.raises(InputError, match=r"received 8 x 8 pixels.*multiples of 16"):
            IMAGE_ENCODERS[name]((channels, size, size), 7, **options)
        return
    net = IMAGE_ENCODERS[name]((channels, size, size), 7, **options)
    h = net(images(3, channels, size, size))
    assert (h.shape, h.dtype) == ((3, 7), torch.float32)
    h.square().sum().backward()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label


@pytest.mark.parametrize("name", IMAGE_DECODERS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_decoder(name: str, channels: int, size: int) -> None:
    net = IMAGE_DECODERS[name]((channels, size, size), 7, **FEW["decoder"].get(name, {}))
    z = torch.randn(3, 7).requires_grad_()
    out = net(z, images(3, channels, size, size))
    assert (out.shape, out.dtype) == ((3, channels, size, size), torch.float32)
    assert (out > 0).all() and (out < 1).all()
    out.square().sum().backward()
    assert z.grad is not None and (z.grad != 0).all()
    for label, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, label
    with torch.no_grad():
        extreme = net.eval()(1e6 * z)
    assert extreme.isfinite().all() and (extreme >= 0).all() and (extreme <= 1).all()


@pytest.mark.parametrize("name", IMAGE_DECODERS)
def test_decoders_do_not_look_at_the_images(name: str) -> None:
    net = IMAGE_DECODERS[name]((1, 16, 16), 3, **FEW["decoder"].get(name, {})).eval()
    z = torch.randn(2, 3)
    assert torch.equal(net(z), net(z, images(2, 1, 16, 16)))


@pytest.mark.parametrize("table", ["encoder", "decoder"])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 30), (1, 20, 32), (1, 0, 0), (1, 1, 1), (3, 7, 7)])
def test_images_of_a_size_that_does_not_fit(table: str, shape: tuple[int, int, int]) -> None:
    nets = {"encoder": IMAGE_ENCODERS, "decoder": IMAGE_DECODERS}[table]
    tried = 0
    for name, make in nets.items():
        if table == "decoder" and name == "paper" and not (shape[1] % 4 or shape[2] % 4 or 0 in shape):
            assert make(shape, 3, **FEW[table][name])(torch.randn(2, 3)).shape == (2, *shape)
            continue
        tried += 1
        with pytest.raises(InputError, match=f"received {shape[1]} x {shape[2]} pixels.*Pad or resize"):
            make(shape, 3, **FEW[table].get(name, {}))
    assert tried


def test_the_paper_nets_take_oblong_images() -> None:
    assert PaperEncoder((3, 32, 64), 5, (2, 3, 4, 5))(images(2, 3, 32, 64)).shape == (2, 5)
    assert PaperDecoder((3, 32, 64), 5, 4, (3, 2))(torch.randn(2, 5)).shape == (2, 3, 32, 64)
    with pytest.raises(InputError, match="squares"):
        SmallEncoder((3, 32, 64), 5)
    with pytest.raises(InputError, match="squares"):
        SmallDecoder((3, 32, 64), 5)


# --- the paper's nets, layer by layer --------------------------------------------------------------------------------

Layer = tuple[str, int, int, int, int]
"""Kind, inputs, outputs, width and stride."""


def layers(net: nn.Sequential) -> list[Layer | str]:
    found: list[Layer | str] = []
    for module in net:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            width, stride = module.kernel_size[0], module.stride[0]
            assert module.kernel_size == (width, width) and module.stride == (stride, stride)
            assert module.dilation == (1, 1) and module.groups == 1 and module.padding_mode == "zeros"
            kind = "conv" if isinstance(module, nn.Conv2d) else "transposed"
            found.append((kind, module.in_channels, module.out_channels, width, stride))
        elif isinstance(module, nn.Linear):
            assert module.bias is not None
            found.append(("dense", module.in_features, module.out_features, 0, 0))
        elif isinstance(module, nn.BatchNorm2d):
            assert module.affine and module.track_running_stats
            found.append(f"norm {module.num_features}")
        elif not isinstance(module, nn.Flatten | nn.Unflatten | nn.ZeroPad2d):
            found.append(type(module).__name__)
    return found


@pytest.mark.parametrize(
    ("shape", "latent", "kernel"), [((1, 32, 32), 16, 4), ((3, 32, 32), 128, 4), ((3, 64, 64), 64, 5)]
)
def test_layers_of_the_papers_encoder(shape: tuple[int, int, int], latent: int, kernel: int) -> None:
    with torch.device("meta"):
        net = PaperEncoder(shape, latent, kernel=kernel)
    expected: list[Layer | str] = []
    for before, after in ((shape[0], 128), (128, 256), (256, 512), (512, 1024)):
        expected += [("conv", before, after, kernel, 2), f"norm {after}", "ReLU"]
    flat = 1024 * (shape[1] // 16) ** 2
    assert layers(net) == [*expected, ("dense", flat, latent, 0, 0)]
    kernels = kernel**2 * (shape[0] * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
    assert counted(net) == kernels + 2 * (128 + 256 + 512 + 1024) + flat * latent + latent
    assert net(torch.zeros(2, *shape, device="meta")).shape == (2, latent)


@pytest.mark.parametrize(("shape", "latent"), [((1, 32, 32), 16), ((3, 32, 32), 128)])
def test_layers_of_the_papers_decoder(shape: tuple[int, int, int], latent: int) -> None:
    with torch.device("meta"):
        net = PaperDecoder(shape, latent)
    assert layers(net) == [
        ("dense", latent, 8 * 8 * 1024, 0, 0),
        *(("transposed", 1024, 512, 4, 2), "norm 512", "ReLU"),
        *(("transposed", 512, 256, 4, 2), "norm 256", "ReLU"),
        *(("transposed", 256, shape[0], 4, 1), "Sigmoid"),
    ]
    kernels = 16 * (1024 * 512 + 512 * 256 + 256 * shape[0])
    assert counted(net) == kernels + 2 * (512 + 256) + shape[0] + (latent + 1) * 8 * 8 * 1024
    assert net(torch.zeros(2, latent, device="meta")).shape == (2, *shape)


def test_layers_of_the_papers_decoder_of_faces() -> None:
    with torch.device("meta"):
        net = PaperDecoder((3, 64, 64), 64, kernel=5, channels=(512, 256, 128))
    assert layers(net) == [
        ("dense", 64, 8 * 8 * 1024, 0, 0),
        *(("transposed", 1024, 512, 5, 2), "norm 512", "ReLU"),
        *(("transposed", 512, 256, 5, 2), "norm 256", "ReLU"),
        *(("transposed", 256, 128, 5, 2), "norm 128", "ReLU"),
        *(("transposed", 128, 3, 5, 1), "Sigmoid"),
    ]
    kernels = 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    assert counted(net) == kernels + 2 * (512 + 256 + 128) + 3 + 65 * 8 * 8 * 1024
    assert net(torch.zeros(2, 64, device="meta")).shape == (2, 3, 64, 64)


def test_layers_of_the_small_nets() -> None:
    encoder, decoder = SmallEncoder((3, 32, 32), 7, width=4), SmallDecoder((3, 32, 32), 7, width=4)
    assert layers(encoder) == [
        *(("conv", 3, 4, 4, 2), "norm 4", "ReLU"),
        *(("conv", 4, 8, 4, 2), "norm 8", "ReLU"),
        *(("conv", 8, 16, 4, 2), "norm 16", "ReLU"),
        ("dense", 16 * 16, 7, 0, 0),
    ]
    assert layers(decoder) == [
        *(("dense", 7, 16 * 16, 0, 0), "norm 16", "ReLU"),
        *(("transposed", 16, 8, 4, 2), "norm 8", "ReLU"),
        *(("transposed", 8, 4, 4, 2), "norm 4", "ReLU"),
        *(("transposed", 4, 3, 4, 2), "Sigmoid"),
    ]
    assert decoder[-2].bias is not None


# --- padding ---------------------------------------------------------------------------------------------------------


def padded_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's "SAME": as much at the front as at the back, and where that is odd, one more at the back."""
    sides: list[int] = []
    for size in (x.shape[3], x.shape[2]):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides += [total // 2, total - total // 2]
    return nn.functional.pad(x, sides)


def convolved_same(x: Tensor, weight: Tensor, stride: int) -> Tensor:
    return nn.functional.conv2d(padded_same(x, weight.shape[-1], stride), weight, stride=stride)


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 32, 16)])
def test_convolutions_of_the_encoder_are_padded_as_same(kernel: int, shape: tuple[int, int, int]) -> None:
    net = PaperEncoder(shape, 3, (4,), kernel=kernel)
    modules = list(net)
    (end,) = (index for index, module in enumerate(modules) if isinstance(module, nn.Conv2d))
    x, weight = images(2, *shape), modules[end].weight
    torch.testing.assert_close(nn.Sequential(*modules[: end + 1])(x), convolved_same(x, weight, 2))


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("stride", [2, 1])
def test_transposed_convolutions_of_the_decoder_are_transposes(kernel: int, stride: int) -> None:
    """<conv(x), y> = <x, transposed(y)> for the convolution padded as "SAME", which is what TensorFlow means."""
    net = PaperDecoder((3, 16, 16), 2, 5, (4,), kernel=kernel).double()
    modules = list(net)
    first, last = (index for index, module in enumerate(modules) if isinstance(module, nn.ConvTranspose2d))
    begin, end = (first, first + 2) if stride == 2 else (last, len(net) - 1)
    # What cuts off a row, where something does, but not the normalisation.
    part = [module for module in modules[begin:end] if not isinstance(module, nn.BatchNorm2d)]
    transposed: Any = part[0]
    if transposed.bias is not None:
        nn.init.zeros_(transposed.bias)
    y = torch.randn(2, transposed.in_channels, 16 // stride, 16 // stride, dtype=torch.float64)
    x = torch.randn(2, transposed.out_channels, 16, 16, dtype=torch.float64)
    onward = convolved_same(x, transposed.weight, stride)
    assert onward.shape == y.shape
    back = nn.Sequential(*part)(y)
    assert back.shape == x.shape
    torch.testing.assert_close((onward * y).sum(), (x * back).sum())


def test_channels_may_be_a_list() -> None:
    """As JSON gives them."""
    assert layers(PaperEncoder((1, 16, 16), 3, [2, 3, 4, 5])) == layers(PaperEncoder((1, 16, 16), 3, (2, 3, 4, 5)))
    assert layers(PaperDecoder((1, 16, 16), 3, 5, [4, 3])) == layers(PaperDecoder((1, 16, 16), 3, 5, (4, 3)))
