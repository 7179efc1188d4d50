"""Builds and trains on a small site and a folder of photographs that installed packages ship."""
