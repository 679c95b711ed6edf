"""What a killable process finds done when it is forked: the imports, and botocore's models read."""

import boto3
from aws_lambda_powertools.utilities import parameters  # noqa: F401

import shared.codat.api
import shared.codat.door
import shared.runtime.edge
import shared.runtime.secrets
import shared.store.connections
import shared.store.customers
import shared.store.unreadable  # noqa: F401

for service in ("dynamodb", "secretsmanager"):
    # The default session keeps the models; it must not keep these credentials.
    boto3.client(service, region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x")
