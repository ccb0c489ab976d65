"""Whole workflows: a run, its export, ablation, reproduction."""
