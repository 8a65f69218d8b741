"""What the endpoint decides, without HTTP: a request goes in, a certificate or a refusal comes out."""

import threading
from collections.abc import Callable
from typing import NamedTuple

from provisioning.authority.folder import Authority, NotSigned
from provisioning.authority.index import Issued
from provisioning.authority.requests import RequestRefused, SigningRequest, read_request
from provisioning.enrolment.tokens import Tokens
from provisioning.whole_files import only_user_of

LOCK_WAIT_S = 20.0


class Refused(Exception):
    """The request gets no certificate; word is what the gateway is told."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class Presented(NamedTuple):
    """A client certificate that TLS has verified: the name in it, and its serial in hex."""

    name: str
    serial: str


class Desk:
    """Signs what it may. is_site says whether a gateway_id is in the list and in use."""

    def __init__(self, authority: Authority, is_site: Callable[[str], bool]) -> None:
        self._authority = authority
        self._is_site = is_site
        self._lock = threading.Lock()

    def sign(self, pem: bytes, *, token: str | None, presented: Presented | None) -> tuple[str, bytes]:
        """Return (gateway_id, certificate as PEM); raises Refused, SinyalError for a busy or bad folder."""
        try:
            request = read_request(pem)
        except RequestRefused:
            raise Refused("request") from None
        folder = self._authority.folder
        with self._lock, only_user_of(folder, wait_s=LOCK_WAIT_S):
            authority = self._authority.afresh()
            shown = None
            if token is not None:
                # First the token: without one nobody learns which names there are.
                if not Tokens(folder).take(token, request.common_name, request.key_sha256):
                    raise Refused("token")
            else:
                shown = self._require_presented(authority, request, presented)
            if not self._is_site(request.common_name):
                raise Refused("request")
            # A new key that only waits at the gateway must not cost it the old one: the answer may be lost on
            # its way. Who shows a certificate for the new key has it in use; then the old one is withdrawn.
            in_use = shown is None or shown.key_sha256 == request.key_sha256
            confirms = shown is not None and in_use and authority.has_other_key(request)
            try:
                signed = authority.sign(
                    request,
                    kind="gateway",
                    replace=True,
                    renew=shown is not None and not confirms,
                    keep_others=not in_use,
                )
            except NotSigned:
                raise Refused("other_key") from None
            return request.common_name, signed.pem

    def _require_presented(
        self, authority: Authority, request: SigningRequest, presented: Presented | None
    ) -> Issued:
        if presented is None:
            raise Refused("token")
        for each in authority.index.of(presented.name):
            is_it = each.kind == "gateway" and int(each.serial, 16) == int(presented.serial, 16)
            if is_it and presented.name == request.common_name and each.is_good(authority.now()):
                return each
        raise Refused("certificate")
