"""A web service and its page: a server that never decodes a picture, and worker processes."""
