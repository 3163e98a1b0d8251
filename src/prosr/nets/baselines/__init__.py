"""The systems that ProSR is compared with, one file each."""
