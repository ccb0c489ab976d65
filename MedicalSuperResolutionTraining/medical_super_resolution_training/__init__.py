"""Training of the networks in `medical_super_resolution.networks`, headless."""
