"""Tokens of invitations, and when an invitation is open."""

from base64 import urlsafe_b64decode
from dataclasses import replace
from hashlib import sha256

from hypothesis import given, strategies as st

from shared.domain.invitations import Invitation, hash_of, new_token
from shared.domain.timestamps import timestamp

INVITATION = Invitation(
    invitation_id="1",
    customer_id="acme",
    company_id="company",
    platform_key=None,
    token_hash="",
    created_at=timestamp("2026-11-01T00:00:00Z"),
    expires_at=timestamp("2026-11-08T00:00:00Z"),
)


def test_a_token_has_256_random_bits_and_fits_a_path() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    for token in tokens:
        assert len(urlsafe_b64decode(token + "=")) == 32
        assert token.replace("-", "").replace("_", "").isalnum()
        assert hash_of(token) == sha256(token.encode()).hexdigest()


@given(st.text(st.characters()))
def test_every_text_has_a_hash(text: str) -> None:
    """Also one with a lone surrogate, which JSON can contain."""
    assert len(hash_of(text)) == 64


def test_it_is_open_until_it_expires_or_is_revoked() -> None:
    assert INVITATION.is_open(timestamp("2026-11-07T23:59:59.9999999Z"))
    assert not INVITATION.is_open(INVITATION.expires_at)
    assert not replace(INVITATION, is_revoked=True).is_open(INVITATION.created_at)
