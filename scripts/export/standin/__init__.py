"""A package of its own, so that no other module of this name on the path is taken for it."""
