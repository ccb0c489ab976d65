"""Training of the networks in `medical_super_resolution.learning`, headless."""
