"""The configuration: one TOML file, every value checked, seen as frozen dataclasses.

`sinyal.toml` beside this file is the commented sample and the documentation of every key.
"""
