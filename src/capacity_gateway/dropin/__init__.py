"""What the clients of the older event service send, answered by the domains: thin resolvers, one file a matter."""
