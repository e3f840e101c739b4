"""What the clients of the older service send."""
