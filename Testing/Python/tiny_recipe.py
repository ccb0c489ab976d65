"""Settings of a training that is over within seconds: lines of a recipe, and what ``--set`` takes."""

TINY = (
    "warm_up_steps = 1",
    "batch_size = 1",
    "patch_slices = 4",
    "patch_in_plane = 16",
    "factors = [2.0]",
    "factor_weights = [1.0]",
    "any_factor_weight = 0.0",
    "thick_in_plane_fraction = 0.0",
    "generator_config = {channels = 4, blocks = 1, pairs = 1, gate_channels = 2, kernel_hidden = 4}",
)
