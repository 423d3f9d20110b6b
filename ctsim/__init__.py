"""ctsim."""
