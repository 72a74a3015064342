"""Secrets at rest: needed again in clear to sign, so encrypted rather than hashed."""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class DecryptionFailed(Exception):
    """The stored bytes were not made with this key (was NOTIFIER_SECRET_KEY changed?)."""


CACHED = 4096
"""Decrypted texts that are kept: a busy destination's secret is needed for each message."""


class Cipher:
    """Encrypts and decrypts short texts with a key derived from NOTIFIER_SECRET_KEY."""

    def __init__(self, secret_key: str) -> None:
        derived = HKDF(SHA256(), 32, salt=None, info=b"notifier/secrets/v1").derive(secret_key.encode())
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))
        # a changed secret has another token, so what is cached is never out of date
        self._decrypt = lru_cache(maxsize=CACHED)(self._fernet.decrypt)

    def encrypt(self, text: str) -> bytes:
        """Return `text` encrypted and authenticated."""
        return self._fernet.encrypt(text.encode())

    def decrypt(self, token: bytes) -> str:
        """Return the text. Raises DecryptionFailed if it was encrypted with another key."""
        try:
            return self._decrypt(token).decode()
        except InvalidToken as error:
            raise DecryptionFailed("encrypted with another NOTIFIER_SECRET_KEY") from error
