"""Describes a corpus for people and indexes: HTML report, data-set card and Croissant file."""
