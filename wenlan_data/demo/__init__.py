"""A small site and a folder made of photographs that installed packages ship, to try the whole flow on."""
