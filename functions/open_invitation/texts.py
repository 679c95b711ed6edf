"""Every text of the page, in one language. A second language is a second `Texts`, and a choice between both."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """The page in one of its states. Names in braces are replaced: app, customer, data and platform."""

    title: str
    paragraphs: tuple[str, ...]
    button: str = ""


@dataclass(frozen=True, slots=True)
class Texts:
    language: str
    ready: State
    choice: State
    connected: State
    expired: State
    revoked: State
    unknown: State
    unknown_platform: State
    unavailable: State
    also_connected: str
    """Added if a platform is connected, and another one can be chosen."""
    connector: str
    """Added if the platform runs on the person's own computer."""
    platforms: str
    """Label of the list of platforms."""
    data: Mapping[str, str]
    """What is shared, by the platform's source type."""
    other_data: str


ENGLISH = Texts(
    language="en",
    ready=State(
        "Connect {platform}",
        (
            "{app} asks for access to the {data} of {customer}.",
            "On the next page, which Codat provides for {app}, you sign in to {platform} and decide about the access.",
            "You can withdraw the access in {platform} at any time.",
        ),
        "Continue to {platform}",
    ),
    choice=State(
        "Which software do you use?",
        (
            "{app} asks for access to the data of {customer}.",
            "On the next page, which Codat provides for {app}, you sign in there and decide about the access.",
            "You can withdraw the access in your software at any time.",
        ),
    ),
    connected=State(
        "{platform} is connected",
        ("{customer} shares its data with {app}. There is nothing left to do: you can close this page.",),
    ),
    expired=State("This invitation has expired", ("Ask {app} for a new one.",)),
    revoked=State("This invitation was withdrawn", ("If you still want to connect, ask {app} for a new one.",)),
    unknown=State(
        "This invitation doesn't exist",
        ("Check that you opened the whole address. If it still doesn't work, ask {app} for a new invitation.",),
    ),
    unknown_platform=State("This software is not available any more", ("Ask {app} for a new invitation.",)),
    unavailable=State(
        "Please try again in a moment",
        ("The connection can't be made right now. Your invitation stays as it is.",),
        "Try again",
    ),
    also_connected="{platform} is connected. You can connect other software too.",
    connector=(
        "{platform} runs on your own computer, and the next page has you install a connector there. Open this page on "
        "that computer."
    ),
    platforms="Available software",
    data={
        "Accounting": "accounting data",
        "Banking": "bank accounts and transactions",
        "Commerce": "orders, products and payments",
        "Expense": "expenses",
    },
    other_data="data",
)
