"""The one place where capacity is taken and given back."""
