"""Tests of bringing old data in."""
