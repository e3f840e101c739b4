"""Tests of whole processes; a package, so that its conftest and the one above it have names of their own."""
