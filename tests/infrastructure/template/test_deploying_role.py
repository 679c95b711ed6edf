"""The documented policy of the deploying role, against what CloudFormation calls for each type of resource."""

import json
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest

from tests.e2e.artifact.make import ROOT
from tests.infrastructure.template.deployed import as_list, properties

POLICY = json.loads((ROOT / "docs/deploying-role.json").read_text())
ALLOWED = [action for statement in POLICY["Statement"] for action in as_list(statement["Action"])]

# The actions to create, read, change and delete a resource, with the properties that the template uses, as the schemas
# of CloudFormation's registry list them: `aws cloudformation describe-type --type RESOURCE --type-name TYPE`.
NEEDED = {
    "AWS::ApiGatewayV2::Api": "apigateway:POST apigateway:GET apigateway:PATCH apigateway:PUT apigateway:DELETE",
    "AWS::ApiGatewayV2::ApiMapping": "apigateway:POST apigateway:GET apigateway:PATCH apigateway:DELETE",
    "AWS::ApiGatewayV2::DomainName": "apigateway:POST apigateway:GET apigateway:PATCH apigateway:DELETE",
    "AWS::ApiGatewayV2::Stage": "apigateway:POST apigateway:TagResource logs:CreateLogDelivery logs:GetLogDelivery"
    " logs:UpdateLogDelivery logs:DeleteLogDelivery logs:ListLogDeliveries logs:PutResourcePolicy"
    " logs:DescribeResourcePolicies logs:DescribeLogGroups",
    "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm cloudwatch:DescribeAlarms cloudwatch:DeleteAlarms"
    " cloudwatch:TagResource cloudwatch:UntagResource cloudwatch:ListTagsForResource",
    "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard cloudwatch:GetDashboard cloudwatch:DeleteDashboards",
    "AWS::CodeDeploy::Application": "codedeploy:CreateApplication codedeploy:GetApplication"
    " codedeploy:DeleteApplication codedeploy:TagResource codedeploy:ListTagsForResource",
    "AWS::CodeDeploy::DeploymentGroup": "codedeploy:CreateDeploymentGroup codedeploy:GetDeploymentGroup"
    " codedeploy:UpdateDeploymentGroup codedeploy:DeleteDeploymentGroup iam:PassRole",
    "AWS::DynamoDB::Table": "dynamodb:CreateTable dynamodb:DescribeTable dynamodb:UpdateTable dynamodb:DeleteTable"
    " dynamodb:DescribeTimeToLive dynamodb:UpdateTimeToLive dynamodb:DescribeContinuousBackups"
    " dynamodb:UpdateContinuousBackups dynamodb:DescribeContributorInsights dynamodb:GetResourcePolicy"
    " dynamodb:DescribeKinesisStreamingDestination dynamodb:TagResource dynamodb:UntagResource"
    " dynamodb:ListTagsOfResource",
    # A connection stores its key in a secret of EventBridge's own, `events!connection/…`.
    "AWS::Events::ApiDestination": "events:CreateApiDestination events:DescribeApiDestination"
    " events:UpdateApiDestination events:DeleteApiDestination",
    "AWS::Events::Connection": "events:CreateConnection events:DescribeConnection events:UpdateConnection"
    " events:DeleteConnection iam:CreateServiceLinkedRole secretsmanager:CreateSecret secretsmanager:GetSecretValue"
    " secretsmanager:PutSecretValue secretsmanager:UpdateSecret secretsmanager:DeleteSecret",
    "AWS::Events::Rule": "events:PutRule events:DescribeRule events:DeleteRule events:PutTargets events:RemoveTargets"
    " events:ListTargetsByRule events:TagResource events:UntagResource events:ListTagsForResource iam:PassRole",
    "AWS::IAM::ManagedPolicy": "iam:CreatePolicy iam:GetPolicy iam:GetPolicyVersion iam:ListPolicyVersions"
    " iam:CreatePolicyVersion iam:DeletePolicyVersion iam:DeletePolicy iam:TagPolicy",
    "AWS::IAM::Policy": "iam:PutRolePolicy iam:GetRolePolicy iam:DeleteRolePolicy",
    "AWS::IAM::Role": "iam:CreateRole iam:GetRole iam:UpdateRole iam:UpdateAssumeRolePolicy iam:DeleteRole iam:TagRole"
    " iam:UntagRole iam:AttachRolePolicy iam:DetachRolePolicy iam:ListAttachedRolePolicies iam:PutRolePolicy"
    " iam:GetRolePolicy iam:DeleteRolePolicy iam:ListRolePolicies iam:PutRolePermissionsBoundary"
    " iam:DeleteRolePermissionsBoundary",
    # CodeDeploy updates an alias for CloudFormation.
    "AWS::Lambda::Alias": "lambda:CreateAlias lambda:GetAlias lambda:UpdateAlias lambda:DeleteAlias"
    " lambda:GetProvisionedConcurrencyConfig codedeploy:CreateDeployment codedeploy:GetDeployment"
    " codedeploy:GetDeploymentConfig codedeploy:RegisterApplicationRevision codedeploy:GetApplicationRevision"
    " codedeploy:StopDeployment",
    "AWS::Lambda::EventSourceMapping": "lambda:CreateEventSourceMapping lambda:GetEventSourceMapping"
    " lambda:UpdateEventSourceMapping lambda:DeleteEventSourceMapping lambda:TagResource",
    "AWS::Lambda::Function": "lambda:CreateFunction lambda:GetFunction lambda:GetFunctionConfiguration"
    " lambda:UpdateFunctionCode lambda:UpdateFunctionConfiguration lambda:DeleteFunction lambda:PutFunctionConcurrency"
    " lambda:DeleteFunctionConcurrency lambda:GetFunctionCodeSigningConfig lambda:GetRuntimeManagementConfig"
    " lambda:GetFunctionRecursionConfig lambda:GetLayerVersion lambda:ListTags lambda:TagResource lambda:UntagResource"
    " iam:PassRole s3:GetObject",
    "AWS::Lambda::LayerVersion": "lambda:PublishLayerVersion lambda:GetLayerVersion lambda:DeleteLayerVersion"
    " s3:GetObject",
    "AWS::Lambda::Permission": "lambda:AddPermission lambda:RemovePermission lambda:GetPolicy",
    "AWS::Lambda::Version": "lambda:PublishVersion lambda:GetFunctionConfiguration lambda:ListVersionsByFunction",
    "AWS::Logs::LogGroup": "logs:CreateLogGroup logs:DescribeLogGroups logs:PutRetentionPolicy logs:DeleteLogGroup"
    " logs:DeleteRetentionPolicy logs:TagResource logs:UntagResource logs:ListTagsForResource",
    "AWS::S3::Bucket": "s3:CreateBucket s3:DeleteBucket s3:PutEncryptionConfiguration s3:GetEncryptionConfiguration"
    " s3:PutBucketOwnershipControls s3:GetBucketOwnershipControls s3:PutBucketPublicAccessBlock"
    " s3:GetBucketPublicAccessBlock s3:PutLifecycleConfiguration s3:GetLifecycleConfiguration s3:PutBucketTagging"
    " s3:GetBucketTagging",
    "AWS::S3::BucketPolicy": "s3:PutBucketPolicy s3:GetBucketPolicy s3:DeleteBucketPolicy",
    "AWS::SQS::Queue": "sqs:CreateQueue sqs:GetQueueAttributes sqs:GetQueueUrl sqs:SetQueueAttributes sqs:DeleteQueue"
    " sqs:TagQueue sqs:UntagQueue sqs:ListQueueTags",
    "AWS::SQS::QueuePolicy": "sqs:SetQueueAttributes",
    "AWS::Scheduler::Schedule": "scheduler:CreateSchedule scheduler:GetSchedule scheduler:UpdateSchedule"
    " scheduler:DeleteSchedule iam:PassRole",
    "AWS::SecretsManager::ResourcePolicy": "secretsmanager:PutResourcePolicy secretsmanager:GetResourcePolicy"
    " secretsmanager:DeleteResourcePolicy secretsmanager:ValidateResourcePolicy",
    "AWS::SecretsManager::Secret": "secretsmanager:CreateSecret secretsmanager:DescribeSecret"
    " secretsmanager:UpdateSecret secretsmanager:DeleteSecret secretsmanager:TagResource secretsmanager:UntagResource"
    " secretsmanager:GetRandomPassword",
}
DEPLOYMENT = (
    "cloudformation:CreateChangeSet cloudformation:DescribeChangeSet cloudformation:ExecuteChangeSet"
    " cloudformation:DeleteChangeSet cloudformation:DescribeStacks cloudformation:DescribeStackEvents"
    " cloudformation:GetTemplateSummary s3:PutObject"
)
REMOVAL = (
    "cloudformation:GetTemplate cloudformation:ListChangeSets cloudformation:DescribeStacks"
    " cloudformation:UpdateTerminationProtection cloudformation:DeleteStack s3:GetObject s3:ListBucket s3:DeleteObject"
)
"""What `sam delete` calls. It deletes its code objects first."""
MAX_CHARACTERS = 6144
"""Of a managed policy, without white space."""


def is_allowed(action: str) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in ALLOWED)


def test_the_deploying_role_may_manage_every_resource(template: dict[str, Any]) -> None:
    for kind in {resource["Type"] for resource in template["Resources"].values()}:
        assert [action for action in NEEDED[kind].split() if not is_allowed(action)] == [], kind


@pytest.mark.parametrize("actions", [DEPLOYMENT, REMOVAL], ids=["deploy", "remove"])
def test_it_may_deploy_and_remove_a_stack(actions: str) -> None:
    assert [action for action in actions.split() if not is_allowed(action)] == []


@pytest.mark.parametrize(
    "action",
    ["dynamodb:GetItem", "dynamodb:Scan", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "iam:*"],
)
def test_it_may_not_read_customers_or_codats_secret(action: str) -> None:
    """CloudFormation reads the key of the app's webhook, and stores it in the connection."""
    resources = [
        resource
        for statement in POLICY["Statement"]
        if any(fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        for resource in as_list(statement["Resource"])
    ]
    assert all("AppWebhook" in resource for resource in resources)
    assert not resources or action.startswith("secretsmanager:")


def test_it_passes_roles_to_the_services_that_assume_them(template: dict[str, Any]) -> None:
    trusted = {
        service
        for role in properties(template, "AWS::IAM::Role").values()
        for statement in role["AssumeRolePolicyDocument"]["Statement"]
        for service in as_list(statement["Principal"]["Service"])
    }
    [passing] = [statement for statement in POLICY["Statement"] if "iam:PassRole" in as_list(statement["Action"])]
    assert passing["Resource"] == "arn:aws:iam::*:role/STACK-*"
    assert set(passing["Condition"]["StringEquals"]["iam:PassedToService"]) == trusted


def test_it_attaches_only_the_policies_that_sam_adds(template: dict[str, Any]) -> None:
    """A policy such as AdministratorAccess would turn every role of the stack into an administrator's."""
    added = {
        arn for role in properties(template, "AWS::IAM::Role").values() for arn in role.get("ManagedPolicyArns", ())
    }
    attaching = [statement for statement in POLICY["Statement"] if "iam:AttachRolePolicy" in statement["Action"]]
    [allowed] = [statement["Condition"]["ArnLike"]["iam:PolicyARN"] for statement in attaching]
    assert added
    assert all(any(fnmatchcase(arn, pattern) for pattern in allowed) for arn in added)
    assert not any(fnmatchcase("arn:aws:iam::aws:policy/AdministratorAccess", pattern) for pattern in allowed)


def test_every_action_is_an_operation_of_its_service() -> None:
    """A misspelled action allows nothing. Some services have actions with names of their own."""
    session = botocore.session.get_session()
    for action in ALLOWED:
        service, name = action.split(":")
        if service not in {"apigateway", "s3"} and name != "PassRole" and "LogDeliver" not in name:
            operations = session.get_service_model(service).operation_names
            assert any(fnmatchcase(operation, name) for operation in operations), action


def test_the_policy_fits_and_names_its_resources() -> None:
    """GIVEN the longest name in samconfig.toml THEN the policy can be created. Other stacks stay out of reach."""
    policy = json.dumps(POLICY, separators=(",", ":")).replace("STACK", "codat-customers-staging")
    assert len(policy) <= MAX_CHARACTERS
    everywhere = [statement["Sid"] for statement in POLICY["Statement"] if statement["Resource"] == "*"]
    assert everywhere == ["WithoutNames"]
    assert "codat-customers" not in json.dumps(POLICY)
