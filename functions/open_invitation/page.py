"""The page of an invitation: HTML and CSS in one document, without a script."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from urllib.parse import urlsplit

from functions.open_invitation.texts import ENGLISH, State
from shared.domain.platforms import Platform
from shared.services.invitations import OpenedInvitation

TEXTS = ENGLISH

_STYLE = """
:root { color-scheme: light dark; --page: #f3f5f8; --card: #fff; --text: #1a1f2b; --quiet: #4a5468; --line: #8a93a5; }
@media (prefers-color-scheme: dark) {
  :root { --page: #12151c; --card: #1b202b; --text: #eef1f6; --quiet: #b4bccb; --line: #727c90; }
}
* { box-sizing: border-box; }
body { margin: 0; padding: 1rem; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }
.card { max-width: 30rem; margin: 0 auto; padding: 1.5rem; background: var(--card); border-radius: .75rem;
  border-top: .25rem solid ACCENT; overflow-wrap: anywhere; }
.app { font-weight: 600; color: var(--quiet); }
.app img { display: block; max-width: 100%; max-height: 3rem; }
h1 { margin: 1rem 0 .5rem; font-size: 1.5rem; line-height: 1.25; }
p { margin: .5rem 0; }
form { margin: 1.5rem 0 .5rem; }
ul { list-style: none; margin: 0; padding: 0; }
li + li { margin-top: .5rem; }
button { display: flex; gap: .75rem; align-items: center; width: 100%; min-height: 3rem; padding: .5rem 1rem;
  font: inherit; font-weight: 600; color: var(--text); background: transparent; border: 1px solid var(--line);
  border-radius: .5rem; cursor: pointer; }
button.main { justify-content: center; color: ON_ACCENT; background: ACCENT; border-color: ACCENT; }
button:hover { border-color: var(--text); }
button:focus-visible { outline: 3px solid var(--text); outline-offset: 2px; }
button img { width: 2rem; height: 2rem; object-fit: contain; background: #fff; border-radius: .25rem; }
@media (min-width: 40rem) { body { padding: 10vh 1rem 1rem; } .card { padding: 2rem; } }
"""


@dataclass(frozen=True, slots=True)
class Design:
    """How the page looks in this deployment."""

    app_name: str
    accent_color: str
    """`#rrggbb`"""
    logo_url: str = field(default="", repr=False)
    """A `data:` or `https:` URL, or empty."""
    shows_platform_logos: bool = False
    form_targets: Sequence[str] = ("https:",)
    """Where Codat's link may lead: a browser applies the policy to each redirect that follows the form. Codat's link
    page redirects to the platform's own, whose address only Codat knows."""

    @property
    def style(self) -> str:
        return _STYLE.replace("ON_ACCENT", _readable_on(self.accent_color)).replace("ACCENT", self.accent_color)


@dataclass(frozen=True, slots=True)
class Page:
    """A page with its policy: a Content-Security-Policy that allows what the page contains, and nothing else."""

    html: str = field(repr=False)
    policy: str


def invitation_page(opened: OpenedInvitation, design: Design) -> Page:
    """Return the page of an open invitation."""
    names = {"app": design.app_name, "customer": opened.customer_name}
    linked = {**names, "platform": opened.linked_platform or ""}
    if not opened.platforms:
        return _page(TEXTS.connected, linked, design)
    if len(opened.platforms) > 1:
        state, form = TEXTS.choice, _choice_form(opened.platforms, design)
    else:
        [platform] = opened.platforms
        names |= {"platform": platform.name, "data": TEXTS.data.get(platform.source_type, TEXTS.other_data)}
        state, form = TEXTS.ready, _ready_form(platform, names, design)
    if opened.linked_platform is not None:
        form = f"{_paragraph(TEXTS.also_connected, linked)}\n{form}"
    return _page(state, names, design, form, logos=_logos(opened.platforms, design))


def _choice_form(platforms: Iterable[Platform], design: Design) -> str:
    rows = "\n".join(f"<li>{_button(each, each.name, design)}</li>" for each in platforms)
    return f'<form method="post">\n<ul aria-label="{escape(TEXTS.platforms)}">\n{rows}\n</ul>\n</form>'


def _ready_form(platform: Platform, names: Mapping[str, str], design: Design) -> str:
    button = _button(platform, TEXTS.ready.button.format_map(names), design, css_class="main")
    form = f'<form method="post">\n{button}\n</form>'
    return f"{_paragraph(TEXTS.connector, names)}\n{form}" if platform.needs_connector else form


def problem_page(state: State, design: Design) -> Page:
    """Return the page of an invitation that can't be opened; it contains no data of any customer."""
    form = f'<form method="get">\n<button class="main">{escape(state.button)}</button>\n</form>' if state.button else ""
    return _page(state, {"app": design.app_name}, design, form)


def _page(state: State, names: Mapping[str, str], design: Design, form: str = "", *, logos: Iterable[str] = ()) -> Page:
    title, app_name, style = escape(state.title.format_map(names)), escape(design.app_name), design.style
    logo = f'<img src="{escape(design.logo_url)}" alt="{app_name}">' if design.logo_url else app_name
    paragraphs = "\n".join(_paragraph(text, names) for text in state.paragraphs)
    html = f"""<!doctype html>
<html lang="{TEXTS.language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>{title} · {app_name}</title>
<style>{style}</style>
</head>
<body>
<main class="card">
<div class="app">{logo}</div>
<h1>{title}</h1>
{paragraphs}
{form}
</main>
</body>
</html>
"""
    return Page(html, _policy(style, [design.logo_url, *logos], design.form_targets))


def _policy(style: str, images: Iterable[str], form_targets: Iterable[str]) -> str:
    style_hash = b64encode(sha256(style.encode()).digest()).decode()
    origins = sorted({f"https://{urlsplit(url).netloc}" for url in images if url.startswith("https://")})
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src 'sha256-{style_hash}'",
            f"img-src data: {' '.join(origins)}".rstrip(),
            f"form-action 'self' {' '.join(form_targets)}",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _paragraph(text: str, names: Mapping[str, str]) -> str:
    return f"<p>{escape(text.format_map(names))}</p>"


def _button(platform: Platform, label: str, design: Design, css_class: str = "") -> str:
    logo = "".join(f'<img src="{escape(url)}" alt="">' for url in _logos([platform], design))
    attributes = f' class="{css_class}"' if css_class else ""
    return f'<button{attributes} name="platformKey" value="{escape(platform.key)}">{logo}{escape(label)}</button>'


def _logos(platforms: Iterable[Platform], design: Design) -> list[str]:
    """Return the platforms' logos if the design shows them. Other than https URLs would be blocked by the policy."""
    urls = [platform.logo_url for platform in platforms] if design.shows_platform_logos else []
    return [url for url in urls if url.startswith("https://")]


def _readable_on(color: str) -> str:
    """Return black or white, the one with the higher contrast: it is at least 4.58:1, and WCAG asks for 4.5:1."""
    red, green, blue = (_linear(int(color[start : start + 2], 16) / 255) for start in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000" if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else "#fff"


def _linear(channel: float) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4  # noqa: PLR2004
