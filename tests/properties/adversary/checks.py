"""Every promise of the product, checked when all is quiet."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from shared.domain.customers import CREATION_TAG
from shared.store.customers import TOMBSTONE_LIFETIME
from tests.change_events import events_about as events_of
from tests.properties.adversary.codat_double import Company
from tests.properties.adversary.ledger import HandMade, Ledger
from tests.properties.adversary.profiles import ProfileLog
from tests.properties.adversary.world import World

Item = dict[str, Any]

_TOMBSTONE_OF_COMPANY = {"pk", "sk", "companyId", "ended", "expiresAt"}
_UNDONE_ADOPTION = {"pk", "sk", "companyId", "discarded", "expiresAt"}
_PERSONAL = {"customerId", "name", "description", "tags", "reportedError"}


class Checks:
    def __init__(self, world: World, ledger: Ledger, profiles: ProfileLog) -> None:
        self._world, self._ledger, self._profiles = world, ledger, profiles

    def check_all(self) -> None:
        world = self._world
        items = world.items()
        irreparable = {f"COMPANY#{company_id}" for company_id in self._ledger.irreparable}
        stored = {item["customerId"]: item for item in items if item["sk"] == "CUSTOMER"}
        events = {customer_id: events_of(world.app, customer_id) for customer_id in self._ledger.customer_ids}
        for customer_id in self._ledger.customer_ids:
            item = stored.get(customer_id)
            world.check("nothing stays unfinished", item is None or item["state"] == "active", item)
            self._check_companies(customer_id, item)
            if item is None:
                left = [item for item in items if customer_id in str(item) and item["pk"] not in irreparable]
                world.check("deleted means erased", not left, (customer_id, left))
            else:
                self._check_state(customer_id, item)
                self._check_profile(customer_id)
            self._check_listener(customer_id, events[customer_id])
        self._check_partitions(items, stored)
        self._check_hand_made(stored, [event for each in events.values() for event in each])
        theirs = [(company.name, dict(company.tags)) for company in world.theirs.companies.values()]
        world.check("nothing of another client is touched", theirs == [("Theirs", {"uid": "c-0"})], theirs)
        for item in items:
            is_lease = item["sk"].startswith("CREATING#")
            world.check("a lease that is left behind expires", not is_lease or "expiresAt" in item, item)
            world.check("nothing is being restored", "restoring" not in item, item)
            world.check("every webhook is parsed", "webhookId" not in item, item)

    def check_visible(self) -> None:
        """After a reconcile, documents that can't be parsed hide no others."""
        world = self._world
        for item in world.items("CUSTOMER#"):
            if item["state"] == "active" and not world.is_distorted(item["companyId"]):
                self._check_connections(item["customerId"], item["companyId"])

    def _check_companies(self, customer_id: str, item: Item | None) -> None:
        """Promise 1."""
        world, ledger = self._world, self._ledger
        ours = [
            company
            for company in world.ours.companies.values()
            if CREATION_TAG in company.tags and company.tags.get("uid") == customer_id
        ]
        ids = {company.id for company in ours}
        expected = set() if item is None or ledger.is_hand_made(item) else {item.get("companyId")}
        excused = ids if customer_id in ledger.lost_creations else ledger.unrestored
        world.check("one customer, one company", expected <= ids <= expected | excused, (customer_id, ids, item))
        for company in ours:
            if company.id not in ledger.lost_leases:
                self._check_platforms(company)

    def _check_platforms(self, company: Company) -> None:
        by_platform = Counter(
            connection.platform_key
            for connection in company.connections.values()
            if connection.id not in self._ledger.hosted | self._ledger.lost_unlisted
        )
        is_unique = max(by_platform.values(), default=0) <= 1
        self._world.check("one connection per platform", is_unique, (company.id, by_platform))

    def _check_state(self, customer_id: str, item: Item) -> None:
        """Promise 2."""
        world = self._world
        shown = self._check_connections(customer_id, item["companyId"])
        if shown is None:
            return
        company = world.ours.companies[item["companyId"]]
        world.check("the profile is at Codat", company.name == shown["name"], (company.name, shown["name"]))
        descriptions = company.description or None, shown["description"]
        world.check("the profile is at Codat", descriptions[0] == descriptions[1], (customer_id, descriptions))
        tags = {**item.get("existingTags", {}), **shown["tags"], "uid": customer_id}
        world.check("the profile is at Codat", dict(company.tags) == tags, (customer_id, company.tags, tags))
        world.check("the profile is at Codat", "confirmedProfile" not in item, item)
        for connection in shown["connections"]:
            if connection["status"] == "Linked":
                world.check("linked connections have a linkedAt", connection["linkedAt"] is not None, connection)
            world.check(
                "a linked connection has no error",
                not connection["error"] or connection["status"] != "Linked",
                connection,
            )

    def _check_connections(self, customer_id: str, company_id: str) -> Any:
        """Compare the API with Codat, apart from what can't be parsed; return what the API shows, None if it can't."""
        world = self._world
        status, shown = world.api("get_customer", customerId=customer_id)
        company = world.ours.companies.get(company_id)
        world.check("the stored state is Codat's", status == 200 and company is not None, (customer_id, status))
        if status != 200 or company is None:
            return None
        here = {each["connectionId"]: each["status"] for each in shown["connections"]}
        there = {connection.id: connection.status for connection in company.connections.values()}
        differing = dict(here.items() ^ there.items())
        unexplained = [each for each in differing if not world.is_distorted(each)]
        world.check("the stored state is Codat's", not unexplained, (customer_id, here, there))
        return shown

    def _check_profile(self, customer_id: str) -> None:
        """An acknowledged PATCH is in effect, and a rejected PATCH changed nothing."""
        status, shown = self._world.api("get_customer", customerId=customer_id)
        if status != 200:
            return
        for field, values in self._profiles.possible(customer_id, shown["createdAt"]).items():
            holds = shown[field] in values
            self._world.check("an acknowledged profile holds", holds, (customer_id, field, shown[field], values))

    def _check_listener(self, customer_id: str, events: list[Item]) -> None:
        """Promise 5: keep the highest version of each, in any order."""
        world = self._world
        newest: dict[str, Item] = {}
        world.random.shuffle(events)
        for event in events:
            detail = event["detail"]
            subject = detail.get("connectionId", "customer")
            if detail["version"] > newest.get(subject, {}).get("version", 0):
                newest[subject] = {**detail, "type": event["detail-type"]}
        customer = newest.pop("customer", {"type": "customer.deleted", "companyId": None})
        status, shown = world.api("get_customer", customerId=customer_id)
        exists = customer["type"] != "customer.deleted"
        world.check("the app can follow along", exists == (status == 200), (customer_id, customer, status))
        if status != 200:
            return
        world.check("the app can follow along", customer["companyId"] == shown["companyId"], (customer, shown))
        fields = ("status", "linkedAt", "initialReadAt", "error")
        api = {
            connection["connectionId"]: {field: connection[field] for field in fields}
            for connection in shown["connections"]
        }
        received = {
            subject: {field: detail[field] for field in fields}
            for subject, detail in newest.items()
            if detail["status"] != "Deleted"
            and detail["companyId"] == shown["companyId"]
            and (subject in api or not self._is_forgotten(subject, detail["companyId"]))
        }
        world.check("the app can follow along", received == api, (customer_id, received, api))

    def _is_forgotten(self, connection_id: str, company_id: str) -> bool:
        """Return whether the table has lost the connection for good."""
        return connection_id in self._ledger.lost_without_backup or company_id in self._ledger.unrestored

    def _check_partitions(self, items: list[Item], stored: Mapping[str, Item]) -> None:
        """Promise 6: of a company without a customer only tombstones are left, without personal data."""
        owners = {item.get("companyId"): customer_id for customer_id, item in stored.items()}
        partitions: defaultdict[str, list[Item]] = defaultdict(list)
        for item in items:
            kind, _, company_id = item["pk"].partition("#")
            if kind == "COMPANY":
                partitions[company_id].append(item)
        for company_id, partition in partitions.items():
            for item in partition:
                if company_id in owners:
                    is_theirs = item.get("customerId") in {None, owners[company_id]}
                    self._world.check("a company's items name its customer", is_theirs, item)
                elif company_id not in self._ledger.irreparable:
                    self._world.check("deleted means erased", self._may_be_left(item), item)

    def _may_be_left(self, item: Item) -> bool:
        now = self._world.now()
        if not now.timestamp() < item.get("expiresAt", 0) <= (now + TOMBSTONE_LIFETIME).timestamp():
            return False
        if item["sk"] == "COMPANY":
            return item.keys() in (_TOMBSTONE_OF_COMPANY, _UNDONE_ADOPTION)
        is_tombstone = item["sk"].startswith("CONNECTION#") and "tombstone" in item
        return is_tombstone and not _PERSONAL & item.keys()

    def _check_hand_made(self, stored: Mapping[str, Item], events: list[Item]) -> None:
        """What this service did not create is as it was, unless a customer owned it."""
        owners: defaultdict[str, set[str]] = defaultdict(set)
        for event in events:
            owners[event["detail"]["companyId"]].add(event["detail"]["customerId"])
        owned = {item.get("companyId") for item in stored.values()}
        for company in self._ledger.adoptable:
            if company.id not in owned:
                self._check_released(company, owners[company.id])
        for company in self._ledger.orphans:
            if not self._world.adopts_orphans:
                self._world.check("nothing of another app is touched", not owners[company.id], (company, owners))
                self._check_released(company, set())

    def _check_released(self, company: HandMade, former_owners: set[str]) -> None:
        world, ledger = self._world, self._ledger
        present = world.ours.companies.get(company.id)
        if present is None:
            is_explained = company.id in ledger.deleted_by_people or former_owners & ledger.deleted_by_app
            world.check("an undone adoption leaves no trace", is_explained, (company, former_owners))
            return
        if company.id not in ledger.irreparable:
            is_same = (present.name, dict(present.tags)) == (company.name, company.tags)
            world.check("an undone adoption leaves no trace", is_same, (company, present))
        deleted = ledger.deleted_by_people | (ledger.deleted_by_app if former_owners else set())
        expected = {company.connection_id} - deleted
        connections = present.connections.keys()
        is_kept = expected <= connections if former_owners else expected == connections
        world.check("an undone adoption leaves no trace", is_kept, (company, present))
