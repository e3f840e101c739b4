"""The only code that moves capacity. No domain word in it but in `vocabulary`."""
