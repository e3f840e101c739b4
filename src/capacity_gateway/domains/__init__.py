"""What is counted: one thin file for each, none knows another."""
