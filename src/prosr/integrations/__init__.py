"""prosr inside other programs: spandrel's readers, and ComfyUI."""
