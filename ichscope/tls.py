"""TLS (at least 1.2) by the files that a table of settings names."""

from __future__ import annotations

import ssl


def for_serving(certificate: str, key: str, ca: str) -> ssl.SSLContext | None:
    """How callers are answered; None without a certificate of ours.

    Parameters
    ----------
    certificate, key : files by which we show who we are; the key may stand in the certificate's
    ca : file with certificates of which callers must show one that is signed by them; "" where anybody may call

    Raises
    ------
    OSError
        if a file cannot be read, or is none of these
    """
    if not certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca or None)
    context.load_cert_chain(certificate, key or None)
    context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    return context


def for_calling(certificate: str, key: str, ca: str) -> ssl.SSLContext:
    """How others are called: their certificate is checked against `ca`, or the system's where there is none.

    Parameters and errors as of for_serving.
    """
    context = ssl.create_default_context(cafile=ca or None)
    if certificate:
        context.load_cert_chain(certificate, key or None)
    return context
