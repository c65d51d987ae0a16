"""Passwords: salted scrypt hashes, checked in constant time, and generated ones that can be read aloud."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

# 16 MiB and about 50 ms a check.
N, R, P = 2**14, 8, 1
SALT_BYTES, HASH_BYTES = 16, 32
MAX_PASSWORD_CHARS = 1000
# No l, 1, o, 0.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def hashed(password: str) -> str:
    """With a salt of its own, as `scrypt$n$r$p$salt$hash`."""
    salt = secrets.token_bytes(SALT_BYTES)
    return "$".join(("scrypt", str(N), str(R), str(P), _text(salt), _text(_scrypt(password, salt, N, R, P))))


def matches(password: str, kept: str) -> bool:
    """Whether the hash is of that password; a damaged hash is of none."""
    try:
        kind, n, r, p, salt, wanted = kept.split("$")
        if kind != "scrypt" or len(password) > MAX_PASSWORD_CHARS:
            return False
        found = _scrypt(password, base64.b64decode(salt, validate=True), int(n), int(r), int(p))
        return hmac.compare_digest(found, base64.b64decode(wanted, validate=True))
    except (ValueError, binascii.Error):
        return False


def generated() -> str:
    """Four groups of four: 80 bits."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=128 * 1024**2, dklen=HASH_BYTES)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
