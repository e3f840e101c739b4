"""Benchmarks: the gateway and what it is compared with, side by side on this machine."""
