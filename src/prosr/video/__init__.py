"""Clips: every frame enlarged, everything else kept. Needs the extra `video` (PyAV)."""
