"""The province's own certificate authority: one folder, an encrypted key, an index that only grows."""
