"""What answers tell the browser to forbid."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode

INLINE = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def security_headers(scripts: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    """The headers of every answer; `scripts` are the CSP hashes of inline scripts that may run."""
    return (
        ("Content-Security-Policy", content_security_policy(scripts)),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
        ("Referrer-Policy", "same-origin"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    )


def content_security_policy(scripts: tuple[str, ...] = ()) -> str:
    """Everything from this server alone, and no script that it did not send.

    blob: is where Streamlit puts a component's module before it imports it, which only a script can do; wasm is the
    viewer's. Inline styles are how Streamlit and plotly write theirs.
    """
    directives = {
        "default-src": "'self'",
        "script-src": " ".join(("'self'", "blob:", "'wasm-unsafe-eval'", *scripts)),
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' blob: data:",
        "font-src": "'self' data:",
        "object-src": "'none'",
        "frame-src": "'none'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def script_hashes(page: str) -> tuple[str, ...]:
    """The CSP hashes of a page's inline scripts."""
    digests = (hashlib.sha256(script.encode()).digest() for script in INLINE.findall(page))
    return tuple(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)
