"""How files that hold tables in columns begin."""

PARQUET = b"PAR1"
ARROW_FILE = b"ARROW1"
ARROW_STREAM = b"\xff\xff\xff\xff"


def is_columnar(head: bytes) -> bool:
    """Whether a file that begins like this is Parquet or Arrow."""
    return head.startswith((PARQUET, ARROW_FILE, ARROW_STREAM))
