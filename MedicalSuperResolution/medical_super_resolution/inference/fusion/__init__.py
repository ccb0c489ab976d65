"""Fusion of several thick stacks of one contrast into one isotropic volume."""
