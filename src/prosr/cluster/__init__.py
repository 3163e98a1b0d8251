"""Batches on a cluster: entries of any store, enlarged by Ray Data, known from a ledger."""
