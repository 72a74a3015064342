"""How messages leave: one file for each kind of destination."""
