"""Losses, penalties, update rules, activations, architectures. One entry each, all about it in the entry."""
