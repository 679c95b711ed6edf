"""A backup, the loss of some items, and their restoration, while callers, webhooks, people and reconciles go on."""

from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.restore import Restoration
from shared.domain.errors import StoreUnavailable
from shared.domain.timestamps import datetime_of
from tests.properties.adversary.ledger import Ledger
from tests.properties.adversary.profiles import ProfileLog
from tests.properties.adversary.world import MAX_LAG, World

MAX_INTERRUPTED_ATTEMPTS = 8
CRASH_ODDS = (0.0, 0.03, 0.1)

Item = dict[str, Any]


class Incident:
    def __init__(self, world: World, ledger: Ledger, profiles: ProfileLog, name: str) -> None:
        """`name` is that of the backup's table."""
        self._world, self._ledger, self._profiles, self._name = world, ledger, profiles, name
        self._backed_up_at = 0
        self._has_backup = self.is_restoring = self.is_over = False
        self._is_interrupted = False
        self._attempts = 0
        self._lost_companies: dict[str, str] = {}

    def back_up(self) -> None:
        """Copy the table as it is at this moment."""
        dynamodb, table = self._world.app.stack.dynamodb, self._world.app.stack.table_name
        described = dynamodb.describe_table(TableName=table)["Table"]
        keys = [each for each in described["AttributeDefinitions"] if each["AttributeName"] in {"pk", "sk"}]
        dynamodb.create_table(
            TableName=self._name,
            KeySchema=described["KeySchema"],
            AttributeDefinitions=keys,
            BillingMode="PAY_PER_REQUEST",
        )
        self._has_backup = True
        for item in dynamodb.scan(TableName=table)["Items"]:
            dynamodb.put_item(TableName=self._name, Item=item)
        self._backed_up_at = self._profiles.now()
        self._world.trace("backed up")

    def lose(self) -> None:
        """Delete items at random: some of a customer's, or everything of several."""
        for _ in range(self._world.random.choice((1, 1, 2, 3))):
            self._lose_some()

    def _lose_some(self) -> None:
        random, items = self._world.random, self._world.items()
        customers = sorted((item for item in items if item["sk"] == "CUSTOMER"), key=lambda item: str(item["pk"]))
        if not customers:
            return
        everything = random.random() < 0.4
        for customer in random.sample(customers, random.randint(1, len(customers)) if everything else 1):
            partition = f"COMPANY#{customer.get('companyId') or customer.get('adoptedCompanyId')}"
            of_company = [item for item in items if item["pk"] == partition]
            pointer = [item for item in of_company if item["sk"] == "COMPANY"]
            connections = [item for item in of_company if item["sk"].startswith("CONNECTION#")]
            choices = [[customer], pointer, of_company]
            if connections:
                choices.append([random.choice(connections)])
            self._lose(customer, [customer, *of_company] if everything else random.choice(choices))

    def _lose(self, customer: Item, lost: list[Item]) -> None:
        dynamodb, table = self._world.app.stack.dynamodb, self._world.app.stack.table_name
        for item in lost:
            key: Any = {name: {"S": item[name]} for name in ("pk", "sk")}
            dynamodb.delete_item(TableName=table, Key=key)
            self._note(item, has_backup="Item" in dynamodb.get_item(TableName=self._name, Key=key))
            self._world.trace(f"lost {item}")
        if lost:
            self._world.losses += 1
            self._world.lost |= {customer["customerId"], customer.get("companyId") or customer["pk"]}
        self._world.counts["items lost"] += len(lost)

    def _note(self, item: Item, *, has_backup: bool) -> None:
        ledger, kind = self._ledger, item["sk"].partition("#")[0]
        if kind == "CUSTOMER":
            self._profiles.lose(item["customerId"], self._backed_up_at)
            if "companyId" in item:
                self._lost_companies[item["companyId"]] = item["customerId"]
            elif "adoptedCompanyId" in item:
                ledger.lost_adoptions.add(item["adoptedCompanyId"])
            else:
                ledger.lost_creations.add(item["customerId"])
        elif kind == "CREATING":
            ledger.lost_leases.add(item["companyId"])
        elif kind == "CONNECTION":
            if not has_backup:
                ledger.lost_without_backup.add(item["connectionId"])
            created_at = item.get("createdAt")
            if created_at and self._world.now() < datetime_of(created_at) + timedelta(seconds=MAX_LAG):
                ledger.lost_unlisted.add(item["connectionId"])

    def restore(self) -> None:
        """Start the operator's command. It may be interrupted at any request to DynamoDB."""
        world, table = self._world, self._world.app.stack.table_name

        def work() -> None:
            completed = False
            try:
                Restoration(table, self._name, concurrency=1, now=lambda: world.now().timestamp()).run()
                completed = True
            except (ClientError, BotoCoreError, StoreUnavailable):
                world.counts["restores failed"] += 1
            finally:
                self._is_interrupted = not completed
                if completed:
                    self._end()

        self.is_restoring, self._is_interrupted = True, False
        self._attempts += 1
        world.counts["restore attempts"] += 1
        task = world.scheduler.spawn("restore", work)
        task.crash_odds = world.random.choice(CRASH_ODDS) if self._attempts < MAX_INTERRUPTED_ATTEMPTS else 0.0

    def resume(self) -> None:
        """Repeat the command if it was interrupted."""
        if self._is_interrupted:
            self.restore()

    def _end(self) -> None:
        for company_id, customer_id in self._lost_companies.items():
            pointer = [item for item in self._world.items(f"COMPANY#{company_id}") if item["sk"] == "COMPANY"]
            customer = self._world.items(f"CUSTOMER#{customer_id}")
            has_ended = any("ended" in item for item in pointer)
            if not has_ended and [item.get("companyId") for item in customer] != [company_id]:
                self._ledger.unrestored.add(company_id)
        self._world.trace(f"restored, except {self._ledger.unrestored}")
        self._world.lost.clear()
        self.is_restoring, self.is_over = False, True
        self._world.counts["restores"] += 1
        self._world.counts["unrestored"] += len(self._ledger.unrestored)
        self._world.reconcile(adopt_ours=True)

    def delete_backup(self) -> None:
        if self._has_backup:
            self._world.app.stack.dynamodb.delete_table(TableName=self._name)
