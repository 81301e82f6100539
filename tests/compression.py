"""One body in every content coding that the gateway can take off."""

import gzip
import zlib


def compressed(body: bytes) -> dict[str | None, bytes]:
    """Return the body under each coding name; None and identity are plain."""
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return {
        None: body,
        "identity": body,
        "gzip": gzip.compress(body, 1),
        "x-gzip": gzip.compress(body, 9),
        "deflate": zlib.compress(body, 1),
        "Deflate": raw.compress(body) + raw.flush(),
    }
