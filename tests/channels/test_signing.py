"""Signing secrets, as Standard Webhooks has them."""

from notifier.channels import signing


def test_secrets_differ_and_have_the_standard_form() -> None:
    secrets = {signing.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(secret.startswith("whsec_") for secret in secrets)
