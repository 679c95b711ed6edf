#!/usr/bin/env bash
# Deploy .aws-sam/build to an environment of samconfig.toml: tools/deploy.sh ENVIRONMENT. It stops before a change set
# that would replace or delete data.
set -euo pipefail

output=$(mktemp)
trap 'rm -f "$output"' EXIT
.sam/bin/sam deploy --config-env "$1" --no-confirm-changeset --no-execute-changeset --no-fail-on-empty-changeset \
    --no-progressbar | tee "$output"
change_set=$(grep -Eo 'arn:[^ ]+:changeSet/[^ ]+' "$output" | tail -n 1) || true
if [ -z "$change_set" ]; then
    # Without this line, SAM CLI's output has changed, and the deployment must not be skipped.
    grep -q 'No changes to deploy' "$output"
    exit
fi

.venv/bin/python -m cli check-change-set --change-set "$change_set"

stack=$(aws cloudformation describe-change-set --change-set-name "$change_set" --query StackId --output text)
status=$(aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].StackStatus' --output text)
if [ "$status" = REVIEW_IN_PROGRESS ]; then operation=create; else operation=update; fi
aws cloudformation execute-change-set --change-set-name "$change_set"
echo "Waiting for the $operation of $stack …"
aws cloudformation wait "stack-$operation-complete" --stack-name "$stack" || {
    aws cloudformation describe-stack-events --stack-name "$stack" --max-items 100 --output table \
        --query "StackEvents[?ends_with(ResourceStatus, 'FAILED')].[LogicalResourceId, ResourceStatusReason]"
    exit 1
} >&2
