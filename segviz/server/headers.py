"""The security headers of every answer."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def security_headers(scripts: tuple[str, ...] = (), ancestors: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    """The headers of every answer.

    Args:
        scripts: the CSP hashes of the inline scripts that may run.
        ancestors: the sites whose pages may show the app in a frame, as origins; none by default.
    """
    deny = () if ancestors else (("X-Frame-Options", "DENY"),)  # that header cannot name other sites
    return (
        *deny,
        ("Content-Security-Policy", content_security_policy(scripts, ancestors)),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
        ("Referrer-Policy", "same-origin"),
        ("X-Content-Type-Options", "nosniff"),
    )


def content_security_policy(scripts: tuple[str, ...] = (), ancestors: tuple[str, ...] = ()) -> str:
    """A policy that allows content from this server alone, and only scripts that it sent.

    Streamlit imports a component's module from a blob: URL, which only a script can create; the viewer uses wasm;
    Streamlit and plotly write inline styles.
    """
    directives = {
        "default-src": "'self'",
        "script-src": " ".join(("'self'", "blob:", "'wasm-unsafe-eval'", *scripts)),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' blob: data:",
        "font-src": "'self' data:",
        "object-src": "'none'",
        "frame-src": "'none'",
        "frame-ancestors": " ".join(ancestors) or "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def script_hashes(page: str) -> tuple[str, ...]:
    """The CSP hashes of a page's inline scripts."""
    digests = (hashlib.sha256(script.encode()).digest() for script in INLINE.findall(page))
    return tuple(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)
