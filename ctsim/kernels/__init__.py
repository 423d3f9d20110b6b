"""Kernels: arrays and scalars only, written in place; one file per operation and device."""
