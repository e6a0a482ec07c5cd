"""Likely bleeds that no reader has opened in time reach somebody: by mail and other messages, or a signed webhook."""
