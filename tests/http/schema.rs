//! The description that is served is true: schemathesis asks what it allows and what it does not, and compares the answers.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::http::Served;

/// Below the target directory.
const PROGRAM: &str = "tools/schemathesis/bin/schemathesis";
/// What is looked at in each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,unsupported_method,ignored_auth";

#[test]
fn schemathesis_finds_no_answer_outside_the_description() {
    let much = "{calls_per_second: 1000000, burst: 1000000, bytes_per_second: 1GiB}";
    let limits = format!("http: {{limits: {{token: {much}, address: {much}, wrong_tokens_per_minute: 1000000}}}}");
    let served = Served::start(&limits);
    // One that it may revoke by chance is not the one that everything rests on.
    let token = served.token(&json!({"name": "tester", "scopes": ["admin"], "programs": ["*"], "sources": ["*"]}));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies below the target directory");
    let program = target.join(PROGRAM);
    assert!(program.exists(), "{} is missing: run `make setup`", program.display());
    let output = Command::new(program)
        .current_dir(served.folder.path())
        .arg("run")
        .arg(format!("http://{}/openapi.json", served.address))
        .args(["--checks", CHECKS, "--max-examples", "30", "--seed", "7", "--workers", "1", "--no-color"])
        .args(["--phases", "examples,coverage,fuzzing", "--warnings", "off", "--generation-database", "none"])
        // It has no end that could be waited for: tests/http/stream.rs looks at it.
        .args(["--exclude-path", "/v1/decisions/stream"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        // A deadline that passes is 504, as described; here none does.
        .args(["--header", "Refguard-Deadline-Ms: 10000"])
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let asked = served.metric("refguard_evaluate_latency_seconds_count").unwrap_or_default();
    assert!(asked > 10.0, "it asked {asked} times for verdicts that were given: {said}");
}
