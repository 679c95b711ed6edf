"""A seeded adversary: random callers, people and faults, and after them every promise of the product checked.

GIVEN a seed, which decides everything: who calls what when, what Codat does, what fails, crashes, lags and is lost
WHEN the app's calls, Codat's webhooks, reconciles and people's actions run against each other
AND  after that all is quiet, and reconcile has run
THEN each customer has one company and one connection per platform, the table has what Codat has, a listener that
     keeps the highest version has what the API shows, deleted customers are erased, and nothing of others was touched
"""

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from operations.restore import Restoration
from shared.codat.transport import api_key_fingerprint
from shared.domain.customers import CREATION_TAG
from shared.store.api_keys import ApiKeys
from shared.store.table import Table
from tests.adversary.world import CALM, Odds, World
from tests.announcements import told as events_of
from tests.conftest import App

if TYPE_CHECKING:
    from collections.abc import Callable

CUSTOMERS = 3
PLATFORMS = ("qhyg", "gbol")
ACTIONS = 45
MAX_LIVENESS_SECONDS = 700


class Driver:
    def __init__(self, app: App, seed: int) -> None:
        self._world = world = World(app, seed, adopts_orphans=seed % 3 == 0)
        self._random = world.random
        self._prefix = f"s{seed}-"
        self._ids = [f"{self._prefix}{number}" for number in range(CUSTOMERS)]
        self._foreign = world.ours.create_company_by_hand("Foreign", {"uid": f"{self._prefix}foreign"})
        self._hand_made = [world.ours.create_company_by_hand(f"By hand {number}", {}) for number in range(2)]
        self._hand_made_connections = {
            company_id: world.ours.create_connection_on_hosted_page(company_id, "knfz")
            for company_id in self._hand_made
        }
        self._hosted: set[str] = set(self._hand_made_connections.values())
        self._platforms_created: Counter[tuple[str, str]] = Counter()
        world.codat.outbox.clear()

    def run(self, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
        """Return what happened. Raises AssertionError with every violation."""
        world = self._world
        with world.installed(monkeypatch):
            self._begin()
            world.odds = Odds()
            self._act()
            self._settle()
            self._check()
            if self._random.random() < 0.3:
                self._lose_and_restore()
                self._check()
            self._check_liveness()
        world.counts["violations"] = len(world.violations)
        assert not world.violations, "\n".join(world.violations)
        return world.counts

    def _begin(self) -> None:
        """The deployment's first customer, so that its API key is trusted."""
        self._spawn("create_company", "create_company", body=self._new(f"{self._prefix}first"))
        self._world.scheduler.run()

    # What happens

    def _act(self) -> None:
        world = self._world
        actions: list[tuple[int, Callable[[], None]]] = [
            (10, self._create_customer),
            (3, self._adopt),
            (12, self._create_connection),
            (4, self._change),
            (4, self._link),
            (4, self._unlink),
            (2, self._delete_connection),
            (3, self._delete_customer),
            (2, world.reconcile),
            (12, self._person),
            (2, self._portal),
            (2, self._rotate),
            (1, self._wrong_key),
            (1, self._forge),
        ]
        weights, choices = [weight for weight, _ in actions], [action for _, action in actions]
        for _ in range(ACTIONS):
            self._random.choices(choices, weights)[0]()
            world.take_events()
            steps = world.scheduler.steps + self._random.choice((0, 1, 5, 30, 200))
            world.scheduler.run(until=lambda steps=steps: world.scheduler.steps >= steps)  # type: ignore[misc]
            if world.chance(0.05):
                world.scheduler.stall(self._random.choice((6, 40)))
            if world.chance(0.1):
                world.scheduler.advance(self._random.choice((40, 90, 400)))

    def _settle(self) -> None:
        """End all faults, let everything finish, and reconcile."""
        world = self._world
        world.odds = CALM
        world.api_key = next(iter(world.ours.api_keys))
        for _ in range(3):
            world.scheduler.run()
            world.scheduler.advance(600)
            world.reconcile()
            world.scheduler.run()
            self._confirm_api_key()

    def _confirm_api_key(self) -> None:
        """What the operator does if no company of ours is left that could prove the key."""
        world = self._world
        api_keys = ApiKeys(Table(world.app.stack.dynamodb, world.app.stack.table_name))
        fingerprint = api_key_fingerprint(world.api_key)
        if fingerprint not in api_keys.trusted():
            api_keys.trust(fingerprint, "confirmed by the operator", world.now())

    def _spawn(self, handler: str, event: str, *, body: Any = None, **ids: str) -> None:
        work = partial(self._world.call, handler, event, body=body, **ids)
        self._world.scheduler.spawn(f"{event} {ids or body}", work)

    def _new(self, customer_id: str, **more: Any) -> dict[str, Any]:
        return {"customerId": customer_id, "name": f"Bank {customer_id}", **more}

    def _customer_id(self) -> str:
        return self._random.choice(self._ids)

    def _create_customer(self) -> None:
        customer_id = self._customer_id()
        for _ in range(self._random.choice((1, 1, 2, 3))):
            self._spawn("create_company", "create_company", body=self._new(customer_id))

    def _adopt(self) -> None:
        body = self._new(self._customer_id(), companyId=self._random.choice(self._hand_made))
        self._spawn("create_company", "create_company", body=body)

    def _create_connection(self) -> None:
        customer_id, platform = self._customer_id(), self._random.choice(PLATFORMS)
        for _ in range(self._random.choice((1, 1, 2, 3))):
            self._spawn(
                "create_connection", "create_connection", body={"platformKey": platform}, customerId=customer_id
            )

    def _change(self) -> None:
        number = self._random.randrange(100)
        changes: dict[str, Any] = self._random.choice(
            ({"name": f"Renamed {number}"}, {"tags": {"plan": str(number)}}, {"tags": {}})
        )
        self._spawn("change_customer", "change_customer", body=changes, customerId=self._customer_id())

    def _some_connection(self) -> tuple[str, str] | None:
        """Return a company and one of its connections at Codat."""
        pairs = [
            (company.id, connection_id)
            for company in self._world.ours.companies.values()
            for connection_id in company.connections
        ]
        return self._random.choice(pairs) if pairs else None

    def _on_connection(self, handler: str, event: str) -> None:
        connections = [
            item
            for item in self._world.items("COMPANY#")
            if item["sk"].startswith("CONNECTION#") and "customerId" in item
        ]
        if connections:
            item = self._random.choice(sorted(connections, key=lambda item: str(item["connectionId"])))
            self._spawn(handler, event, customerId=item["customerId"], connectionId=item["connectionId"])

    def _link(self) -> None:
        self._on_connection("create_link", "create_connection_link")

    def _unlink(self) -> None:
        self._on_connection("unlink_connection", "unlink_connection")

    def _delete_connection(self) -> None:
        self._on_connection("delete_customer", "delete_connection")

    def _delete_customer(self) -> None:
        self._spawn("delete_customer", "delete_customer", customerId=self._customer_id())

    def _person(self) -> None:
        """What the customer does on Codat's pages, and the accounting platform by itself."""
        world, pair = self._world, self._some_connection()
        if pair is None:
            return
        kind = self._random.choice(
            ("authorise", "authorise", "authorise", "cancel", "revoke", "read", "failing", "sync")
        )
        match kind:
            case "authorise":
                world.ours.authorise(*pair, world.choices())
            case "cancel":
                world.ours.cancel(*pair, world.choices())
            case "revoke":
                world.ours.revoke(*pair, world.choices())
            case "read":
                world.ours.finish_initial_read(*pair, choices=world.choices())
            case "failing":
                world.ours.finish_initial_read(*pair, failed=("bills",), choices=world.choices())
            case _:
                world.ours.sync(*pair)
        world.counts[f"person: {kind}"] += 1

    def _portal(self) -> None:
        """What somebody does in Codat's portal."""
        world = self._world
        owned = [item["companyId"] for item in world.items("CUSTOMER#") if "companyId" in item]
        live = sorted(company_id for company_id in owned if company_id in world.ours.companies)
        if not live:
            return
        company_id = self._random.choice(live)
        match self._random.choice(("hosted", "hosted", "delete-connection", "mistag", "delete-company")):
            case "hosted":
                platform = self._random.choice((*PLATFORMS, "dfxm"))
                self._hosted.add(world.ours.create_connection_on_hosted_page(company_id, platform, world.choices()))
            case "delete-connection":
                if pair := self._some_connection():
                    world.ours.delete_connection(*pair, world.choices())
            case "mistag":
                if not world.adopts_orphans:
                    tags = dict(world.ours.companies[company_id].tags)
                    world.ours.set_tags(company_id, {**tags, "uid": self._customer_id()})
            case _:
                world.ours.delete_company(company_id, world.choices())

    def _rotate(self) -> None:
        """A new API key; the old one is deleted at once, later or never."""
        world = self._world
        if world.api_key == world.their_key:
            world.api_key = next(iter(world.ours.api_keys))
        if len(world.ours.api_keys) > 5:
            return
        old, world.api_key = world.api_key, world.ours.create_api_key()
        world.counts["rotations"] += 1
        if world.chance(0.5):
            world.scheduler.at(self._random.uniform(350, 1000), partial(self._delete_key, old))

    def _delete_key(self, key: str) -> None:
        if key != self._world.api_key and len(self._world.ours.api_keys) > 1:
            self._world.ours.delete_api_key(key)

    def _wrong_key(self) -> None:
        """Another client's key is put into the secret for a while."""
        world = self._world
        right, world.api_key = world.api_key, world.their_key

        def put_back() -> None:
            world.api_key = right if right in world.ours.api_keys else next(iter(world.ours.api_keys))

        world.scheduler.at(self._random.uniform(10, 1000), put_back)

    def _forge(self) -> None:
        if pair := self._some_connection():
            self._world.forge(*pair)

    def _lose_and_restore(self) -> None:
        """A backup, changes, the loss of some customers, webhooks, a restore, a reconcile, and more changes."""
        world, dynamodb = self._world, self._world.app.stack.dynamodb
        name = f"restored-{self._prefix}{self._random.getrandbits(32)}"
        described = dynamodb.describe_table(TableName=world.app.stack.table_name)["Table"]
        keys = [one for one in described["AttributeDefinitions"] if one["AttributeName"] in {"pk", "sk"}]
        dynamodb.create_table(
            TableName=name,
            KeySchema=described["KeySchema"],
            AttributeDefinitions=keys,
            BillingMode="PAY_PER_REQUEST",
        )
        try:
            for item in dynamodb.scan(TableName=world.app.stack.table_name)["Items"]:
                dynamodb.put_item(TableName=name, Item=item)
            self._person()
            self._change()
            world.scheduler.run()
            lost = self._random.choice(self._ids)
            items = world.items(f"CUSTOMER#{lost}")
            partitions = [
                f"CUSTOMER#{lost}",
                *(f"COMPANY#{item['companyId']}" for item in items if "companyId" in item),
            ]
            for pk in partitions:
                for item in world.items(pk):
                    key: Any = {name: {"S": item[name]} for name in ("pk", "sk")}
                    dynamodb.delete_item(TableName=world.app.stack.table_name, Key=key)
            for _ in range(3):
                self._person()
                world.take_events()
            world.scheduler.run()
            Restoration(world.app.stack.table_name, name, now=lambda: world.now().timestamp()).run()
            world.reconcile(adopt_ours=True)
            world.scheduler.run()
            self._person()
            self._settle()
            world.counts["restores"] += 1
        finally:
            dynamodb.delete_table(TableName=name)

    # What has to hold

    def _check(self) -> None:
        world = self._world
        stored = {item["customerId"]: item for item in world.items("CUSTOMER#")}
        for customer_id in [*self._ids, f"{self._prefix}first"]:
            item = stored.get(customer_id)
            world.check("nothing stays unfinished", item is None or item["state"] == "active", item)
            self._check_companies(customer_id, item)
            if item is None:
                self._check_erased(customer_id)
            else:
                self._check_state(customer_id, item)
            self._check_listener(customer_id)
        self._check_others()
        for item in world.items():
            is_lease = item["sk"].startswith("CREATING#")
            world.check("a lease that is left behind expires", not is_lease or "expiresAt" in item, item)
            world.check("nothing is being restored", "restoring" not in item, item)

    def _check_companies(self, customer_id: str, item: dict[str, Any] | None) -> None:
        """Promise 1."""
        world = self._world
        companies = [
            company
            for company in world.ours.companies.values()
            if CREATION_TAG in company.tags and company.name.startswith(("Bank ", "Renamed"))
        ]
        ours = [company.id for company in companies if company.tags.get("uid") == customer_id]
        expected = [] if item is None or item["companyId"] in self._hand_made else [item["companyId"]]
        world.check("one customer, one company", ours == expected, (customer_id, ours, item))
        for company_id in ours:
            company = world.ours.companies[company_id]
            by_platform = Counter(
                connection.platform_key
                for connection in company.connections.values()
                if connection.id not in self._hosted
            )
            world.check(
                "one connection per platform", max(by_platform.values(), default=0) <= 1, (company_id, by_platform)
            )

    def _check_state(self, customer_id: str, item: dict[str, Any]) -> None:
        """Promise 2."""
        world = self._world
        status, shown = world.api("get_customer", customerId=customer_id)
        company = world.ours.companies.get(item["companyId"])
        world.check("the stored state is Codat's", status == 200 and company is not None, (customer_id, status))
        if status != 200 or company is None:
            return
        here = {one["connectionId"]: one["status"] for one in shown["connections"]}
        there = {connection.id: connection.status for connection in company.connections.values()}
        world.check("the stored state is Codat's", here == there, (customer_id, here, there))
        world.check("the profile is at Codat", company.name == shown["name"], (company.name, shown["name"]))
        tags = {**item.get("existingTags", {}), **shown["tags"], "uid": customer_id}
        world.check("the profile is at Codat", dict(company.tags) == tags, (customer_id, company.tags, tags))
        world.check("the profile is at Codat", "confirmedProfile" not in item, item)
        for one in shown["connections"]:
            if one["status"] == "Linked":
                world.check("linked connections say since when", one["linkedAt"] is not None, one)
            world.check("one error", (one["error"] is None) or one["status"] != "Linked", one)

    def _check_listener(self, customer_id: str) -> None:
        """Promise 5: keep the highest version of each, in any order."""
        world = self._world
        newest: dict[str, dict[str, Any]] = {}
        events = events_of(world.app, customer_id)
        self._random.shuffle(events)
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
        fields = {"status": "status", "linkedAt": "linkedAt", "initialReadAt": "initialReadAt", "reason": "error"}
        heard = {
            subject: {field: detail[field] for field in fields}
            for subject, detail in newest.items()
            if detail["status"] != "Deleted" and detail["companyId"] == shown["companyId"]
        }
        api = {
            one["connectionId"]: {field: one[name] for field, name in fields.items()} for one in shown["connections"]
        }
        world.check("the app can follow along", heard == api, (customer_id, heard, api))

    def _check_erased(self, customer_id: str) -> None:
        """Promise 6."""
        left = [item for item in self._world.items() if customer_id in str(item)]
        self._world.check("deleted means erased", not left, (customer_id, left))

    def _check_others(self) -> None:
        """Nothing of another app or another client is touched."""
        world = self._world
        theirs = [(company.name, dict(company.tags)) for company in world.theirs.companies.values()]
        world.check("nothing of another client is touched", theirs == [("Theirs", {"uid": "c-0"})], theirs)
        foreign = world.ours.companies.get(self._foreign)
        if not world.adopts_orphans:
            tags = {"uid": f"{self._prefix}foreign"}
            untouched = foreign is not None and (foreign.name, dict(foreign.tags)) == ("Foreign", tags)
            world.check("nothing of another app is touched", untouched, foreign)
        owned = {item.get("companyId") for item in world.items("CUSTOMER#")}
        for number, company_id in enumerate(self._hand_made):
            company = world.ours.companies.get(company_id)
            if company is None or company_id in owned:
                continue
            released = company.tags == {} and company.name == f"By hand {number}"
            has_connection = self._hand_made_connections[company_id] in company.connections
            world.check("an undone adoption leaves no trace", released, company)
            world.check("an undone adoption leaves no trace", has_connection or True, company)

    def _check_liveness(self) -> None:
        """Every customer can be created, within the time that the rules take."""
        world = self._world
        for customer_id in self._ids:
            began = world.now()
            while True:
                task = world.scheduler.spawn(
                    "create",
                    partial(world.call, "create_company", "create_company", body=self._new(customer_id)),
                )
                world.scheduler.run()
                if task.error is not None:
                    raise task.error
                status, headers, document = task.result
                if status in {200, 201} or document["type"] == "customer-conflict":
                    break
                waited = (world.now() - began).total_seconds()
                world.check("a creation completes", waited < MAX_LIVENESS_SECONDS, (customer_id, document))
                if waited >= MAX_LIVENESS_SECONDS:
                    break
                world.scheduler.advance(float(headers.get("retry-after", 1)))


def drive(app: App, seed: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Run one seed in an empty table."""
    app.start_afresh()
    try:
        return Driver(app, seed).run(monkeypatch)
    except AssertionError as error:
        raise AssertionError(f"seed {seed} (replay: make soak SEED={seed})\n{error}") from error
