"""Ten thousand companies with three connections each are still read fast."""

import time

import httpx

from local.codat.server import CodatServer
from local.codat.state import CompanyChange

COMPANIES = 10_000
BATCH = 50
# Generous: a busy machine shall not fail it, a walk over everyone in each query would.
SECONDS = 10.0


def test_ten_thousand_companies_read_in_batches_and_pages(api: httpx.Client, codat: CodatServer) -> None:
    for number in range(COMPANIES):
        company = codat.state.create_company(
            CompanyChange(name=f"Company {number}", tags={"uid": f"customer-{number}"})
        )
        for key in ("qhyg", "gbol", "dfxm"):
            codat.state.create_connection(company.id, key)
    start = time.monotonic()

    batches = 0
    for first in range(0, COMPANIES, BATCH):
        tags = "||".join(f"uid=customer-{number}" for number in range(first, first + BATCH))
        batches += len(api.get("/companies", params={"tags": tags}).json()["results"])
    pages = sum(
        len(api.get("/companies", params={"page": page, "pageSize": 5_000}).json()["results"]) for page in (1, 2)
    )

    assert batches == pages == COMPANIES
    assert time.monotonic() - start < SECONDS
