"""Secrets at rest."""

import pytest

from notifier.storage.encryption import Cipher, DecryptionFailed

KEY = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("text", ["whsec_abc", "", "ä🌱\x00", "x" * 100_000], ids=lambda text: text[:9])
def test_what_is_encrypted_can_be_read_again(text: str) -> None:
    assert Cipher(KEY).decrypt(Cipher(KEY).encrypt(text)) == text


def test_the_stored_bytes_say_nothing_and_are_never_the_same() -> None:
    cipher = Cipher(KEY)
    first, second = cipher.encrypt("whsec_abc"), cipher.encrypt("whsec_abc")
    assert first != second
    assert b"whsec" not in first


@pytest.mark.parametrize("damaged", [b"", b"x", b"gAAAA", bytes(100)])
def test_damaged_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(DecryptionFailed):
        Cipher(KEY).decrypt(damaged)


def test_another_key_cannot_read_them() -> None:
    with pytest.raises(DecryptionFailed, match="NOTIFIER_SECRET_KEY"):
        Cipher("f" * 32).decrypt(Cipher(KEY).encrypt("whsec_abc"))


def test_a_changed_byte_is_noticed() -> None:
    token = bytearray(Cipher(KEY).encrypt("whsec_abc"))
    token[20] ^= 1
    with pytest.raises(DecryptionFailed):
        Cipher(KEY).decrypt(bytes(token))
