"""How good models are, and how honest: measures, checks, tables and figures. `evaluation.study` runs them all."""
