"""What can be done with each kind, asked in GraphQL."""
