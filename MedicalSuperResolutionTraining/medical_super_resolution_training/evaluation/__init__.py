"""Evaluation of models: measures, checks, tables and figures. `evaluation.study` runs them all."""
