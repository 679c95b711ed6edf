"""The second walk: Codat's companies that carry our tag and are nobody's here."""

from shared.domain.claims import Claim
from shared.domain.customers import Company, Content
from shared.domain.errors import CompanyGone, CreationInProgress, DeletionInProgress
from shared.services.customers import finish_creation
from shared.services.walk import PAGE_SIZE, Found, OneByOne, World, keep_quota


def find_strays(page: int, world: World) -> Found:
    """Of one page of Codat's companies; adopts them where the deployment says so."""
    found = Found()
    companies, _ = world.codat.companies(page, PAGE_SIZE)
    keep_quota(world)
    one_by_one = OneByOne(found)
    for company in companies:
        if company.customer_id is None:
            continue
        ownership = world.customers.ownership(company.company_id)
        if ownership.ended or (ownership.customer_id is not None and not ownership.reserved):
            continue
        found["strays"] += 1
        with one_by_one:
            if world.rules.adopt_strays and _adopted(company, company.customer_id, world):
                found["straysAdopted"] += 1
                found["drift"] += 1
    one_by_one.raise_failures()
    return found


def _adopted(company: Company, customer_id: str, world: World) -> bool:
    """Adopts the company, unless its customer has another one, or somebody is creating it."""
    # Where there are two for one id, the oldest is taken, whichever page shows it first.
    company = (world.codat.companies_of([customer_id]) or [company])[0]
    content = Content(company.name, company.description, {})
    try:
        taken = world.customers.claim(customer_id, content, world.call.terms(), company.company_id, adopted=True)
        if not isinstance(taken, Claim):
            # Two companies for one id: never deleted, only told.
            world.call.telemetry.count("DuplicateCompanies")
            world.call.telemetry.warn(
                "two companies for one customer", customer_id=customer_id, companies=[company.company_id]
            )
            return False
        finish_creation(
            taken,
            call=world.call,
            customers=world.customers,
            connections=world.connections,
            claims=world.claims,
            codat=world.codat,
        )
    except (CreationInProgress, DeletionInProgress, CompanyGone):
        return False
    return True
