"""Enlarging pictures of any size with any network, in bounded memory."""
