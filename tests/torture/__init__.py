"""Gateways under load while everything that can fail fails, and a judge of what they have told."""
