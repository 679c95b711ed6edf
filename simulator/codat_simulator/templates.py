"""The HTML of the link pages and the page of connected apps. They load no other files."""

from collections.abc import Iterable
from html import escape

from codat_simulator.models import Company, Connection
from codat_simulator.platforms import Platform

_STYLE = """
:root { color-scheme: light dark; --accent: #3b4cca; --line: #8884; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 8vh auto; padding: 0 1.25rem; }
body.wide { max-width: 60rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
button { font: inherit; padding: .6rem 1.1rem; margin: .25rem .5rem .25rem 0; border-radius: .5rem;
  border: 1px solid var(--accent); background: var(--accent); color: #fff; cursor: pointer; }
button.quiet { background: transparent; color: inherit; border-color: var(--line); }
button:focus-visible, a:focus-visible { outline: 3px solid #e8a33d; outline-offset: 2px; }
ul { list-style: none; padding: 0; } li button { width: 100%; text-align: left; }
table { border-collapse: collapse; width: 100%; }
main { overflow-x: auto; }
th, td { text-align: left; padding: .5rem; border-bottom: 1px solid var(--line); }
footer { margin-top: 3rem; font-size: .85rem; opacity: .75; }
"""


def _page(title: str, content: str, *, wide: bool = False) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body{' class="wide"' if wide else ""}>
<main>
<h1>{escape(title)}</h1>
{content}
</main>
<footer>Codat simulator: this page connects to no real accounting platform.</footer>
</body>
</html>
"""


def message(title: str, text: str) -> str:
    return _page(title, f'<p role="status">{escape(text)}</p>')


def choose_platform(company: Company, platforms: Iterable[Platform], action: str) -> str:
    """Return the company's Hosted Link page with the enabled accounting platforms."""
    rows = "\n".join(
        f'<li><button class="quiet" name="platformKey" value="{p.key}">{escape(p.name)}</button></li>'
        for p in platforms
        if p.enabled and p.source_type == "Accounting"
    )
    return _page(
        f"{company.name}: connect your accounting platform",
        f'<form method="post" action="{escape(action)}"><ul>\n{rows}\n</ul></form>',
    )


def authorize(company: Company, connection: Connection, action: str) -> str:
    """Return the connection's link page."""
    platform = escape(connection.platform.name)
    if connection.status == "Linked":
        text = f"{company.name} shares its data already. You can close this page."
        return message(f"{connection.platform.name} is connected", text)
    install = f"<p>{platform} runs on your own computer. With the real Codat, you install a connector there first.</p>"
    return _page(
        f"Connect {connection.platform.name}",
        f"""<p>Authorise access to the accounting data of <strong>{escape(company.name)}</strong> in {platform}.</p>
{install if connection.platform.offline else ""}
<form method="post" action="{escape(action)}">
<button name="action" value="authorize">Authorise</button>
<button name="action" value="cancel" class="quiet">Cancel</button>
</form>""",
    )


def connected_apps(rows: Iterable[tuple[Company, Connection]]) -> str:
    """Return the page on which an accounting platform's user can revoke access."""
    body = "\n".join(
        f"""<tr><td>{escape(company.name)}</td><td>{escape(connection.platform.name)}</td>
<td>{connection.status}</td><td>{_revoke_button(company, connection)}</td></tr>"""
        for company, connection in rows
    )
    if not body:
        return message("Connected apps", "No company has a connection yet.")
    return _page(
        "Connected apps",
        f"""<p>The accounting platforms' view: revoke the access of a linked company here.</p>
<table><thead><tr><th scope="col">Company</th><th scope="col">Platform</th><th scope="col">Status</th>
<th scope="col">Access</th></tr></thead>
<tbody>
{body}
</tbody></table>""",
        wide=True,
    )


def _revoke_button(company: Company, connection: Connection) -> str:
    if connection.status != "Linked":
        return "none"
    label = f"Revoke the access of {company.name} to {connection.platform.name}"
    return f"""<form method="post" action="/platform/companies/{company.id}/connections/{connection.id}">
<button class="quiet" aria-label="{escape(label)}">Revoke</button></form>"""
