//! Folders of rules and the tests inside their files, from outside.

use std::fs;

use super::{PACK, answer, done, pack};

#[test]
fn a_folder_of_rules_holds_a_pack_and_what_editors_leave_there_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().to_str().unwrap().to_owned();
    fs::write(folder.path().join("P.YAML"), PACK).unwrap();
    for command in ["check", "test", "eval"] {
        let refused = answer(&[command, "--rules", &rules]);
        assert_eq!(refused.code, Some(1), "{command}: {}", refused.err);
        assert!(refused.err.contains("error[unreadable]: the folder holds no rule pack"), "{}", refused.err);
        assert!(refused.err.contains("hint: packs are files `*.yaml`"), "{}", refused.err);
    }
    pack(folder.path(), PACK);
    std::os::unix::fs::symlink("sara@host.1234:1700000000", folder.path().join(".#pack.yaml")).unwrap();
    let good = done(answer(&["check", "--rules", &rules]));
    assert!(good.err.contains("1 rules, ") && good.err.contains(" 1 tests, 0 failed"), "{}", good.err);
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.yaml")).unwrap();
    let refused = answer(&["check", "--rules", &rules]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("lost.yaml`: No such file"), "the link itself is named: {}", refused.err);
}

/// Who switches a rule off in an emergency need not touch its tests; a test that fails in earnest fails all the same.
#[test]
fn a_test_holds_as_the_modes_are_or_with_every_rule_enforced() {
    let folder = tempfile::tempdir().unwrap();
    let with_mode = |mode: &str| PACK.replace("    score: 20\n", &format!("    score: 20\n    mode: {mode}\n"));
    for (text, how) in [
        (PACK.to_owned(), ""),
        (with_mode("shadow"), " (with every rule enforced)"),
        (with_mode("off"), " (with every rule enforced)"),
        (PACK.replace("pack: small\n", "pack: small\nmode: off\n"), " (with every rule enforced)"),
        (with_mode("shadow").replace("verdict: flag", "verdict: allow"), ""),
    ] {
        let rules = pack(folder.path(), &text);
        let told = done(answer(&["test", "--rules", &rules])).err;
        assert!(told.contains(&format!("ok: small: a login is seen{how}\n1 passed, 0 failed")), "{text}{told}");
        done(answer(&["check", "--rules", &rules]));
    }
    let rules = pack(folder.path(), &with_mode("shadow").replace("verdict: flag", "verdict: hold"));
    let failed = answer(&["test", "--rules", &rules]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.err.contains("expected verdict hold, got allow"), "{}", failed.err);
}

#[test]
fn tests_in_rule_files_run_and_can_fail() {
    let shipped = done(answer(&["test"]));
    assert!(shipped.err.contains("ok: referral: ") && shipped.err.ends_with(" passed, 0 failed\n"), "{}", shipped.err);

    let folder = tempfile::tempdir().unwrap();
    assert_eq!(done(answer(&["test", "--rules", &pack(folder.path(), PACK)])).code, Some(0));
    let rules = pack(folder.path(), &PACK.replace("verdict: flag", "verdict: block"));
    for command in ["test", "check"] {
        let failed = answer(&[command, "--rules", &rules]);
        assert_eq!(failed.code, Some(1), "{command}");
        assert!(
            failed.err.contains(&format!("{rules}/pack.yaml:9:11: error[test]: a login is seen\n")),
            "{}",
            failed.err
        );
    }
}
