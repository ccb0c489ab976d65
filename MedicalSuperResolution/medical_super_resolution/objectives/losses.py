"""Loss functions of volumes, scores and features.

Volumes are (N, 1, K, J, I): ``sr`` is the output of the generator, ``hr`` the truth. Scores are (N, M), the outputs of
a discriminator before any sigmoid, M for each volume, high for real ones. Every loss is () float32. Zhang et al. (2025)
is DOI 10.1038/s41598-025-05783-7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..physics.autocast import without_autocast


def absolute_error(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean absolute difference (L1)."""
    return functional.l1_loss(sr.float(), hr.float())


def squared_error(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean squared difference: Zhang et al. (2025), eq. 11."""
    return functional.mse_loss(sr.float(), hr.float())


def gradient_error(sr: Tensor, hr: Tensor) -> Tensor:
    """Mean absolute difference of the differences to the next voxel along K, J and I, each axis with equal weight.

    An axis with a single voxel has no differences and does not count.
    """
    return torch.stack([change.abs().mean() for change in _changes(sr.float() - hr.float())]).mean()


def squared_gradient_error(sr: Tensor, hr: Tensor) -> Tensor:
    """As `gradient_error`, but the mean of squares, which gives more weight to the large errors at edges."""
    return torch.stack([change.square().mean() for change in _changes(sr.float() - hr.float())]).mean()


def _changes(difference: Tensor) -> list[Tensor]:
    """(N, C, K, J, I) -> its differences to the next voxel, for each axis that has one."""
    return [difference.diff(dim=axis) for axis in (2, 3, 4) if difference.shape[axis] > 1]


def gradient_difference_variation(sr: Tensor, hr: Tensor) -> Tensor:
    """Total variation of the difference, inside the slices.

    mean over voxels of |d_h hr - d_h sr| + |d_v hr - d_v sr|, with d the difference to the next voxel of the row (h)
    and of the column (v); past the edge it is 0.

    References
    ----------
    .. [1] Super resolution reconstruction of medical images: hybrid attention SRGAN for chest CT (in Chinese), eq. 6.
    """
    difference = sr.float() - hr.float()
    along_rows = difference.diff(dim=4).abs().sum()
    along_columns = difference.diff(dim=3).abs().sum()
    return (along_rows + along_columns) / difference.numel()


def wasserstein_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Mean score of generated minus mean score of real volumes: Zhang et al. (2025), eq. 13."""
    return fake.float().mean() - real.float().mean()


def wasserstein_generator_loss(fake: Tensor) -> Tensor:
    """Negative mean score of generated volumes, the generator's part of `wasserstein_critic_loss`."""
    return -fake.float().mean()


def wasserstein_critic_is_behind(real: Tensor, fake: Tensor, *, margin: float = 0.5, level: float = 0.25) -> bool:
    """Whether to train the critic further before the next step of the generator, by the rule of MedGAN.

    It is not behind while the mean scores of real and generated volumes differ by more than ``margin`` and that of
    generated volumes is below -``level``. The defaults are those of the authors' program.

    References
    ----------
    .. [1] Guo et al. (2023), MedGAN: an adaptive GAN approach for medical image generation.
       DOI 10.1016/j.compbiomed.2023.107119
    """
    real_mean, fake_mean = (float(scores.detach().float().mean()) for scores in (real, fake))
    return not (real_mean - fake_mean > margin and fake_mean < -level)


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mixture: Tensor) -> Tensor:
    """Gradient penalty of a critic, between real and generated volumes: Zhang et al. (2025), eq. 14.

    Mean over samples of (|gradient of the score at the mixture| - 1)^2, with the norm over all voxels of a sample. The
    score of a sample is the mean of its M scores. The usual weight is 10 [1]_.

    Parameters
    ----------
    critic
        Maps volumes to scores; samples must be independent (no batch normalization).
    real, fake
        (N, C, K, J, I).
    mixture
        (N,) float32, share of ``real`` in each sample, drawn uniformly from [0, 1].

    References
    ----------
    .. [1] Gulrajani et al. (2017), Improved training of Wasserstein GANs. arXiv:1704.00028
    """
    share = mixture[:, None, None, None, None]
    between = share * real.detach() + (1 - share) * fake.detach()
    between.requires_grad_()
    with without_autocast(between.device.type):  # a second derivative needs float32
        score = critic(between).mean(dim=1).sum()
        (slope,) = torch.autograd.grad(score, between, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def gan_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross entropy: -log D(real) - log(1 - D(fake)), D the sigmoid of the score.

    References
    ----------
    .. [1] Goodfellow et al. (2014), Generative adversarial networks. arXiv:1406.2661, eq. 1
    """
    return functional.softplus(-real.float()).mean() + functional.softplus(fake.float()).mean()


def gan_generator_loss(fake: Tensor) -> Tensor:
    """-log D(fake), the form whose gradient does not vanish when the discriminator is certain: [1]_, section 3.

    References
    ----------
    .. [1] Goodfellow et al. (2014), Generative adversarial networks. arXiv:1406.2661
    """
    return functional.softplus(-fake.float()).mean()


def hinge_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the critic: scores of real volumes below 1, and of generated ones above -1, are penalized.

    References
    ----------
    .. [1] Lim and Ye (2017), Geometric GAN. arXiv:1705.02894, eq. 12; with spectral normalization as in
       Miyato et al. (2018), arXiv:1802.05957, eq. 16. The generator's loss is `wasserstein_generator_loss`.
    """
    return functional.relu(1 - real.float()).mean() + functional.relu(1 + fake.float()).mean()


def relativistic_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic average loss of the critic.

    -log D(real, fake) - log(1 - D(fake, real)) with D(a, b) = sigmoid(score of a - mean score of b).

    References
    ----------
    .. [1] Wang et al. (2018), ESRGAN, section 3.2. arXiv:1809.00219
    """
    return gan_critic_loss(real.float() - fake.float().mean(), fake.float() - real.float().mean())


def relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """`relativistic_critic_loss` with real and fake exchanged: -log(1 - D(real, fake)) - log D(fake, real)."""
    return relativistic_critic_loss(fake, real)


def paired_relativistic_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log sigmoid(score of the truth - score of the result) at the same place, so that the content cancels.

    References
    ----------
    .. [1] Jolicoeur-Martineau (2018), The relativistic discriminator. arXiv:1807.00734, section 4.1
    """
    return functional.softplus(fake.float() - real.float()).mean()


def paired_relativistic_generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """`paired_relativistic_critic_loss` with real and fake exchanged."""
    return paired_relativistic_critic_loss(fake, real)


def adversarial_feature_loss(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Mean squared difference of a discriminator's features of real and generated volumes, over its stages.

    References
    ----------
    .. [1] Du and Tian (2024), Transformer and GAN based super-resolution reconstruction network for medical images.
       DOI 10.26599/TST.2022.9010071
    """
    pairs = zip(real_features, fake_features, strict=True)
    return torch.stack([squared_error(fake, real.detach()) for real, fake in pairs]).mean()


def discriminator_accuracy(real: Tensor, fake: Tensor, *, zero: float = 0.0) -> float:
    """Share of scores above ``zero`` for real and below it for generated volumes.

    ``zero`` is 0 for losses that fix it. Wasserstein scores have no fixed zero: use the middle between the mean scores
    of earlier real and generated volumes.
    """
    right = torch.cat([(real > zero).flatten(), (fake < zero).flatten()])
    return float(right.float().mean())
