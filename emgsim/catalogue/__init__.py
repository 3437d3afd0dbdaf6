"""The catalogue: muscles as data, with units and sources."""
