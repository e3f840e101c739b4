"""Bringing old data in: what older systems have in their tables, as pools with claims and ledgers."""
