#!/bin/sh
# Judges examples/traffic.jsonl with the shipped rules and stays up, so that metrics can be looked at. Ctrl-C ends it.
set -eu
cd "$(dirname "$0")/.."
program="${CARGO_TARGET_DIR:-target}/release/refguard"
{
    echo "refguard judges a day of example traffic (examples/traffic.jsonl) by the rules in rules/."
    echo "Each line below is a verdict. Only what was stopped or flagged: make run | grep -v '\"verdict\":\"allow\"'"
    echo "Ask for one more: sh examples/ask.sh (the API is on http://127.0.0.1:8080)"
    echo "Metrics: http://127.0.0.1:9464/metrics   health: http://127.0.0.1:9464/readyz   Ctrl-C ends it."
} >&2
exec "$program" run --config examples/refguard.yaml --linger
