"""A seeded adversary: random calls, people's actions and faults, followed by a check of every promise.

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

from shared.codat.transport import api_key_fingerprint
from shared.store.api_keys import ApiKeys
from shared.store.table import Table
from tests.conftest import App
from tests.properties.adversary.checks import Checks
from tests.properties.adversary.incident import Incident
from tests.properties.adversary.ledger import HandMade, Ledger
from tests.properties.adversary.profiles import CallResult, ProfileLog
from tests.properties.adversary.scheduler import Task
from tests.properties.adversary.world import CALM, REJECTED_NAME, Odds, World

if TYPE_CHECKING:
    from collections.abc import Callable

PLATFORMS = ("qhyg", "gbol")
ACTIONS = 45
MAX_LIVENESS_SECONDS = 700
DISTORTED_SHARE = 0.3


class Driver:
    def __init__(self, app: App, seed: int) -> None:
        self._world = world = World(app, seed, adopts_orphans=seed % 3 == 0)
        self._random = world.random
        self._prefix = prefix = f"s{seed}-"
        # Two differ in case only, which Codat's tag filter may ignore.
        self._ids = [f"{prefix}0", f"{prefix}a", f"{prefix}A"]
        adoptable = [self._hand_made(f"By hand {number}", {}) for number in range(2)]
        orphans = [
            self._hand_made("Foreign", {"uid": f"{prefix}foreign"}),
            self._hand_made("Older", {"uid": f"{prefix}a", "app": "another"}),
        ]
        customer_ids = [*self._ids, f"{prefix}first", f"{prefix}foreign"]
        self._ledger = Ledger(customer_ids, adoptable, orphans)
        world.adoptable |= {company.id for company in adoptable}
        self._ledger.hosted |= {company.connection_id for company in self._ledger.hand_made}
        self._profiles = ProfileLog()
        self._checks = Checks(world, self._ledger, self._profiles)
        name = f"restored-{prefix}{self._random.getrandbits(32)}"
        self._incident = Incident(world, self._ledger, self._profiles, name)
        self._has_incident, self._has_distortions = seed % 2 == 0, seed % 5 in {1, 2}
        world.codat.outbox.clear()

    def _hand_made(self, name: str, tags: dict[str, str]) -> HandMade:
        ours = self._world.ours
        company_id = ours.create_company_by_hand(name, tags)
        return HandMade(company_id, name, tags, ours.create_connection_on_hosted_page(company_id, "knfz"))

    def run(self, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
        """Return what happened. Raises AssertionError with every violation."""
        world = self._world
        with world.installed(monkeypatch):
            self._begin()
            world.odds = Odds()
            try:
                self._act()
                self._settle()
            finally:
                self._incident.delete_backup()
            self._checks.check_all()
            self._check_liveness()
        world.counts["violations"] = len(world.violations)
        assert not world.violations, "\n".join(world.violations)
        return world.counts

    def _begin(self) -> None:
        """The deployment's first customer, so that its API key is trusted."""
        self._create(f"{self._prefix}first")
        self._world.scheduler.run()

    # What happens

    def _act(self) -> None:
        world = self._world
        actions: list[tuple[int, Callable[[], None]]] = [
            (10, self._create_customer),
            (3, self._adopt),
            (12, self._create_connection),
            (6, self._change),
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
        plan = self._plan()
        for number in range(ACTIONS):
            for event in plan.get(number, []):
                event()
            if world.chance(0.3):
                self._incident.resume()
            self._random.choices(choices, weights)[0]()
            world.take_events()
            # Few steps, so that much happens during a restore.
            number_of_steps = self._random.choice((0, 1, 5) if self._incident.is_restoring else (0, 1, 5, 30, 200))
            steps = world.scheduler.steps + number_of_steps
            world.scheduler.run(until=lambda steps=steps: world.scheduler.steps >= steps)  # type: ignore[misc]
            if world.chance(0.05):
                world.scheduler.stall(self._random.choice((6, 40)))
            if world.chance(0.1):
                world.scheduler.advance(self._random.choice((40, 90, 400)))

    def _plan(self) -> "dict[int, list[Callable[[], None]]]":
        """Return what happens once, by the number of the action that it precedes."""
        plan: dict[int, list[Callable[[], None]]] = {}
        if self._has_incident:
            backup = self._random.randint(5, 20)
            loss = backup + self._random.randint(1, 10)
            plan[backup], plan[loss] = [self._incident.back_up], [self._incident.lose]
            plan[loss + self._random.randint(1, 6)] = [self._incident.restore]
        if self._has_distortions:
            begin, end = sorted(self._random.sample(range(5, ACTIONS + 15), 2))
            plan.setdefault(begin, []).append(partial(self._world.distort, DISTORTED_SHARE))
            plan.setdefault(end, []).append(partial(self._world.distort, 0.0))
        return plan

    def _settle(self) -> None:
        """End all faults, let everything finish, and reconcile."""
        world = self._world
        world.odds = CALM
        world.api_key = next(iter(world.ours.api_keys))
        world.scheduler.run()
        while self._incident.is_restoring:
            self._incident.resume()
            world.scheduler.run()
        if world.codat.distort is not None:
            self._confirm_api_key()
            self._reconcile()
            self._checks.check_visible()
            world.counts["pages with distorted documents"] += 1
            world.distort(0.0)
        for _ in range(3):
            world.scheduler.run()
            world.scheduler.advance(600)
            self._reconcile()
            self._confirm_api_key()

    def _reconcile(self) -> None:
        self._world.reconcile(adopt_ours=self._incident.is_over)
        self._world.scheduler.run()

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

    def _customer_id(self) -> str:
        lost = [customer_id for customer_id in self._ids if customer_id in self._world.lost]
        return self._random.choice(lost if lost and self._world.chance(0.5) else self._ids)

    def _create(self, customer_id: str, **more: str) -> Task:
        """Start a creation, or an adoption, and return its task."""
        body = {"customerId": customer_id, "name": f"Bank {customer_id}", **more}
        profile: dict[str, Any] = {"name": body["name"], "description": None, "tags": {}}
        work = partial(self._world.call, "create_company", "create_company", body=body)
        return self._spawn_write(f"create_company {body}", customer_id, profile, work)

    def _spawn_write(
        self, name: str, customer_id: str, profile: dict[str, Any], call: "Callable[[], CallResult]"
    ) -> Task:
        def work() -> CallResult:
            write, result = self._profiles.begin(customer_id, profile), None
            try:
                result = call()
            finally:
                self._profiles.end(write, result)
            if result[0] in {200, 201} and self._profiles.is_alone(write) and not write.was_lost:
                holds = profile.items() <= result[2].items()
                self._world.check("an acknowledged profile is shown", holds, (profile, result[2]))
            return result

        return self._world.scheduler.spawn(name, work)

    def _create_customer(self) -> None:
        customer_id = self._customer_id()
        for _ in range(self._random.choice((1, 1, 2, 3))):
            self._create(customer_id)

    def _adopt(self) -> None:
        self._create(self._customer_id(), companyId=self._random.choice(self._ledger.adoptable).id)

    def _create_connection(self) -> None:
        customer_id, platform = self._customer_id(), self._random.choice(PLATFORMS)
        for _ in range(self._random.choice((1, 1, 2, 3))):
            self._spawn(
                "create_connection", "create_connection", body={"platformKey": platform}, customerId=customer_id
            )

    def _change(self) -> None:
        customer_id, number = self._customer_id(), self._random.randrange(100)
        text = f"{customer_id} {number}"
        changes: dict[str, Any] = self._random.choice(
            (
                {"name": f"Renamed {text}"},
                {"name": f"Renamed {text}", "tags": {"plan": text}},
                {"name": f"{REJECTED_NAME} {text}"},
                {"name": f"{REJECTED_NAME} {text}", "tags": {"plan": text}},
                {"description": f"About {text}"},
                {"description": None},
                {"tags": {"plan": text}},
                {"tags": {}},
            )
        )
        call = partial(self._world.call, "change_customer", "change_customer", body=changes, customerId=customer_id)
        self._spawn_write(f"change_customer {customer_id} {changes}", customer_id, changes, call)

    def _some_connection(self) -> tuple[str, str] | None:
        """Return a company and one of its connections at Codat."""
        pairs = [
            (company.id, connection_id)
            for company in self._world.ours.companies.values()
            for connection_id in company.connections
        ]
        return self._random.choice(pairs) if pairs else None

    def _on_connection(self, handler: str, event: str) -> str | None:
        """Call about a stored connection, and return its id."""
        connections = [
            item
            for item in self._world.items("COMPANY#")
            if item["sk"].startswith("CONNECTION#") and "customerId" in item
        ]
        if not connections:
            return None
        item = self._random.choice(sorted(connections, key=lambda item: str(item["connectionId"])))
        self._spawn(handler, event, customerId=item["customerId"], connectionId=item["connectionId"])
        return str(item["connectionId"])

    def _link(self) -> None:
        self._on_connection("create_link", "create_connection_link")

    def _unlink(self) -> None:
        self._on_connection("unlink_connection", "unlink_connection")

    def _delete_connection(self) -> None:
        if connection_id := self._on_connection("delete_customer", "delete_connection"):
            self._ledger.deleted_by_app.add(connection_id)

    def _delete_customer(self) -> None:
        customer_id = self._customer_id()
        self._ledger.deleted_by_app.add(customer_id)
        self._spawn("delete_customer", "delete_customer", customerId=customer_id)

    def _person(self) -> None:
        """Act as the customer on Codat's pages, or as the accounting platform."""
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
        """Act as a person in Codat's portal."""
        world = self._world
        owned = [item["companyId"] for item in world.items("CUSTOMER#") if "companyId" in item]
        live = sorted(company_id for company_id in owned if company_id in world.ours.companies)
        if not live:
            return
        company_id = self._random.choice(live)
        match self._random.choice(("hosted", "hosted", "delete-connection", "mistag", "delete-company")):
            case "hosted":
                platform = self._random.choice((*PLATFORMS, "dfxm"))
                hosted = world.ours.create_connection_on_hosted_page(company_id, platform, world.choices())
                self._ledger.hosted.add(hosted)
            case "delete-connection":
                if pair := self._some_connection():
                    self._ledger.deleted_by_people.add(pair[1])
                    world.ours.delete_connection(*pair, world.choices())
            case "mistag":
                # A lost customer's company would be adopted for the wrong customer.
                if not world.adopts_orphans and not self._has_incident:
                    tags = dict(world.ours.companies[company_id].tags)
                    world.ours.set_tags(company_id, {**tags, "uid": self._customer_id()})
            case _:
                self._ledger.deleted_by_people.add(company_id)
                world.ours.delete_company(company_id, world.choices())

    def _rotate(self) -> None:
        """Rotate the API key. The old key may be deleted later."""
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

    # What has to hold at the end

    def _check_liveness(self) -> None:
        """Every customer can be created, within the time that the rules take."""
        world = self._world
        for customer_id in self._ids:
            began = world.now()
            while True:
                task = self._create(customer_id)
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
