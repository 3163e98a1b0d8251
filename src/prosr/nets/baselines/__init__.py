"""The systems that the paper compares ProSR with, one file each."""
