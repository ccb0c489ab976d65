"""Checks beyond fidelity: lesions, hallucinated structure, calibration, noise."""
