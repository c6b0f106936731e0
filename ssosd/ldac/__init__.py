"""Read and write FITS-LDAC, the catalogue format that SExtractor and SCAMP exchange.

A file holds one pair of tables per chip: ``LDAC_IMHEAD`` (one row: the image's header as text) and
``LDAC_OBJECTS`` (one row per detection); see the SExtractor manual, "Output catalog". Header text of
``.head`` and ``.ahead`` files is read here, too.
"""

from ssosd.ldac.catalogue import LdacChip, ldac_bytes, objects_frame, read_ldac, write_ldac
from ssosd.ldac.text import header_from_text, headers_from_text

__all__ = (
    "LdacChip",
    "header_from_text",
    "headers_from_text",
    "ldac_bytes",
    "objects_frame",
    "read_ldac",
    "write_ldac",
)
