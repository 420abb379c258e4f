#!/bin/sh
# Asks the refguard of `make run` whether a reward may be granted. The first admin token is where refguard left it.
set -eu
cd "$(dirname "$0")/.."
api=${1:-http://127.0.0.1:8080}
token=${2:-${CARGO_TARGET_DIR:-target}/run/admin.token}
curl --silent --show-error --fail-with-body "$api/v1/evaluate" \
    --header "Authorization: Bearer $(cat "$token")" \
    --header 'Content-Type: application/cloudevents+json' \
    --data '{"specversion": "1.0", "id": "ask-'"$(date +%s)"'", "source": "/example-shop", "type": "reward.requested",
             "time": "'"$(date -u +%FT%TZ)"'", "data": {"account_id": "member-0001", "reward_id": "r-1", "reward_kind": "points",
             "amount_minor": 500, "currency": "PTS"}}'
echo
