"""Perceptual features of images, and distances between them.

There are VGG-19, which papers use and others have trained on photographs, EfficientNet-Lite, and the slice encoder of
this project. `perceptual_weights` loads the weights of VGG-19 and of the slice encoder. Zhang et al. (2025) is
DOI 10.1038/s41598-025-05783-7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..physics.pictures import as_slices, as_volumes, perpendicular_cuts

_VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256, 256), (512, 512, 512, 512), (512, 512, 512, 512))
_CUT_EVERY = 4  # voxels
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


class VggFeatures(nn.Module):
    """(N, 1, K, J, I), mostly in [0, 1] -> (N * K, 512, J/16, I/16): VGG-19's last convolution, "5_4".

    Parameters
    ----------
    activated
        Whether to take features after the rectifier (SRGAN; Zhang et al. 2025, eq. 12) or before it (ESRGAN).

    Notes
    -----
    Slices must have at least 16 x 16 voxels. The channel is repeated as red, green and blue, normalized for
    the weights.

    References
    ----------
    .. [1] Simonyan and Zisserman (2015), Very deep convolutional networks. arXiv:1409.1556, configuration E
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, *, activated: bool) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION)[:, None, None], persistent=False)
        layers: list[nn.Module] = []
        inputs = 3
        for widths in _VGG_WIDTHS:
            for width in widths:
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        layers = layers[:-1] if activated else layers[:-2]
        self.features = nn.Sequential(*layers)  # named and numbered as in torchvision's files

    def forward(self, volume: Tensor) -> Tensor:
        return self.features((as_slices(volume) - self.mean) / self.deviation)


def vgg_features(weights: Mapping[str, Tensor], *, activated: bool) -> VggFeatures:
    """`VggFeatures` with given weights, frozen. Weights of further layers are ignored.

    Raises
    ------
    RuntimeError
        A weight is missing or has another shape.
    """
    with torch.device("meta"):
        network = VggFeatures(activated=activated)
    wanted = {name: weights[name].float() for name in network.state_dict() if name in weights}
    network.load_state_dict(wanted, assign=True)
    network.mean = torch.tensor(IMAGENET_MEAN)[:, None, None]
    network.deviation = torch.tensor(IMAGENET_DEVIATION)[:, None, None]
    return network.eval().requires_grad_(False)


def vgg_distance(features: VggFeatures, sr: Tensor, hr: Tensor) -> Tensor:
    """Mean squared difference of the features, () float32: Zhang et al. (2025), eq. 12."""
    return functional.mse_loss(features(sr).float(), features(hr).detach().float())


class EfficientNetFeatures(nn.Module):
    """Pictures (S, 1, rows, columns), mostly in [0, 1] -> features at half, fourth, eighth and sixteenth resolution.

    The outputs of the last blocks at the four resolutions of an EfficientNet. ``network`` is built by the package
    efficientnet-lite-pytorch; layers after these blocks are dropped. The channel is repeated as red, green and blue,
    normalized for the weights.

    References
    ----------
    .. [1] Tan and Le (2019), EfficientNet. arXiv:1905.11946; "Lite" is the same without swish and squeezing
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Any) -> None:  # noqa: ANN401 - of a package without types
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION)[:, None, None])
        blocks = list(network._blocks)  # its only name
        strides = [max(block._depthwise_conv.stride) for block in blocks]
        halved = [number for number, stride in enumerate(strides) if stride > 1]
        self.first = nn.Sequential(network._conv_stem, network._bn0, network._swish)
        ends = halved[:4]  # a block with stride 2 begins the next resolution
        self.resolutions = nn.ModuleList(
            nn.Sequential(*blocks[start:stop]) for start, stop in zip([0, *ends[:-1]], ends, strict=True)
        )
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        found = []
        latest = self.first((pictures - self.mean) / self.deviation)
        for blocks in self.resolutions:
            latest = blocks(latest)
            found.append(latest)
        return found


def cuts_distance(features: EfficientNetFeatures, sr: Tensor, hr: Tensor) -> Tensor:
    """As `perceptual_distance`, of coronal and sagittal cuts, where hallucinated detail is visible.

    Lengths below half of the mean are raised to that.
    """
    distances = []
    cuts = (perpendicular_cuts(volume, every=_CUT_EVERY) for volume in (sr, hr))
    for made, true in zip(*cuts, strict=True):
        pairs = zip(features(made), features(true), strict=True)
        distances += [_unit_distance(one.float(), other.float(), floor=0.5) for one, other in pairs]
    return torch.stack(distances).mean()


@dataclass(frozen=True, kw_only=True)
class SliceEncoderConfig:
    """The size of a `SliceEncoder`.

    Parameters
    ----------
    widths
        Widths of its features at full, half and quarter resolution.
    """

    widths: tuple[int, int, int] = (32, 64, 128)


class SliceEncoder(nn.Module):
    """(N, 1, K, J, I), mostly in [0, 1] -> features of its slices at three scales, (N * K, C, J, I) and coarser.

    It replaces VGG-19 where features of photographs are unsuitable, or where nothing may be downloaded.
    """

    def __init__(self, config: SliceEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList()
        inputs = 1
        for number, width in enumerate(config.widths):
            self.stages.append(
                nn.Sequential(
                    nn.Conv2d(inputs, width, 3, stride=2 if number else 1, padding=1),
                    nn.LeakyReLU(0.2),
                    nn.Conv2d(width, width, 3, padding=1),
                    nn.LeakyReLU(0.2),
                )
            )
            inputs = width

    def forward(self, volume: Tensor) -> list[Tensor]:
        found = []
        latest = as_slices(volume)
        for stage in self.stages:
            latest = stage(latest)
            found.append(latest)
        return found


class SliceRestorer(nn.Module):
    """The pretext task that trains a `SliceEncoder`: restore slices with blur, noise and holes.

    (N, 1, K, J, I) corrupted -> restored, of the same size. Its inputs are the features of all scales.
    """

    def __init__(self, encoder: SliceEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.config.widths[0]
        self.bring = nn.ModuleList(nn.Conv2d(inputs, width, 1) for inputs in encoder.config.widths)
        self.last = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, volume: Tensor) -> Tensor:
        size = volume.shape[-2:]
        scales = zip(self.bring, self.encoder(volume), strict=True)
        projected = [
            functional.interpolate(project(found), size=size, mode="bilinear", align_corners=False)
            for project, found in scales
        ]
        return as_volumes(self.last(torch.stack(projected).sum(dim=0)), volume.shape[2])


def perceptual_distance(encoder: SliceEncoder, sr: Tensor, hr: Tensor) -> Tensor:
    """Perceptual distance of two volumes (N, 1, K, J, I), () float32; 0 for equal ones.

    At each scale and place, the features are normalized to unit length, as in [1]_; the squared distances are averaged
    over places and then over scales. Lengths below a tenth of the mean of the scale are raised to it, so that noise in
    air is not amplified.

    References
    ----------
    .. [1] Zhang et al. (2018), The unreasonable effectiveness of deep features as a perceptual metric.
       arXiv:1801.03924
    """
    pairs = zip(encoder(sr), encoder(hr), strict=True)
    return torch.stack([_unit_distance(made.float(), true.float()) for made, true in pairs]).mean()


def _unit_distance(made: Tensor, true: Tensor, *, floor: float = 0.1) -> Tensor:
    true = true.detach()
    length = true.norm(dim=1, keepdim=True)
    least = floor * length.mean() + 1e-12
    made = made / (made.square().sum(dim=1, keepdim=True) + 1e-12).sqrt().clamp_min(least)
    return (made - true / length.clamp_min(least)).square().sum(dim=1).mean()
