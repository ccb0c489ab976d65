"""Several thick stacks of one contrast become one isotropic volume."""
