"""Tells schemathesis which of our codes are refusals, beside those of Apollo Server that it knows."""

from schemathesis.specs.graphql import validation

from capacity_gateway.dropin.legacy import CODES

validation.CLIENT_ERROR_MARKERS |= set(CODES.values()) - {"BUSY"}  # INTERNAL is a bug
