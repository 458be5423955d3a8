"""Measures wan-assets beside what it could be compared with, on one machine and one local server: `make bench`."""
