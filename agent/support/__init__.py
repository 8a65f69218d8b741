"""The support bundle: one small file for whoever helps, without keys, subscribers or places.

What goes in is chosen by name (allow-lists); every text is scrubbed besides, because a log may hold anything.
"""
