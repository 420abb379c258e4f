#!/bin/sh
# Judges examples/traffic.jsonl with the shipped rules and stays up, so that metrics can be looked at. Ctrl-C ends it.
# State, keys and records lie below the build folder and are new each time: refguard remembers what it has judged.
set -eu
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
program="${1:-$target/release/refguard}"
REFGUARD_RUN="$target/run"
rm -rf "$REFGUARD_RUN"
mkdir -p "$REFGUARD_RUN"
export REFGUARD_STATE__PATH="$REFGUARD_RUN/state"
export REFGUARD_STATE__KEY_FILE="$REFGUARD_RUN/state.key"
export REFGUARD_RECORDS__URL="sqlite:$REFGUARD_RUN/refguard.db"
export REFGUARD_HTTP__ADMIN_TOKEN_FILE="$REFGUARD_RUN/admin.token"
unset REFGUARD_RUN
{
    echo "refguard judges a day of example traffic (examples/traffic.jsonl) by the rules in rules/."
    echo "Each line below is a verdict. Only what was stopped or flagged: make run | grep -v '\"verdict\":\"allow\"'"
    echo "Ask for one more: sh examples/ask.sh (the API is on http://127.0.0.1:8080)"
    echo "Metrics: http://127.0.0.1:9464/metrics   health: http://127.0.0.1:9464/readyz   Ctrl-C ends it."
} >&2
exec "$program" run --config examples/refguard.yaml --linger
