"""Selections compiled once: an operation becomes Python functions that walk the values and write the answer.

graphql-core asks of every field of every value what it is, which nodes ask for it and how to find it, though the
answers are the same each time. Here that is found out once. What is left is a function for each object that is
selected from: it reads the attributes and checks that they are what they usually are. Resolvers run as they are.

Only the usual is compiled. Whatever else turns up (a value of another class, null where something must be, an
exception) is handed, at that very field, to graphql-core's own executor: errors, where they stand and how far they
make null are its work. An operation that is not understood is left to it as a whole. tests/test_selections.py holds
the two against each other.
"""

from capacity_gateway.selections.operation import Operation
from capacity_gateway.selections.positions import NotCompiled

__all__ = ["NotCompiled", "Operation"]
