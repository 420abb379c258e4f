//! docs/recovery.md does what it says: its commands, in their order, with real processes and a real cluster.

use super::standby::Pair;
use super::*;

/// The commands of the page, in order.
fn commands() -> Vec<Vec<String>> {
    let page = fs::read_to_string(Path::new(support::program::ROOT).join("docs/recovery.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    let lines: Vec<String> = blocks.flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect();
    lines.iter().map(words).collect()
}

/// The two hosts, and who judges.
struct Hosts<'a> {
    pair: Pair<'a>,
    running: BTreeMap<String, Daemon>,
}

impl Hosts<'_> {
    /// Does what one line says; what is not a daemon must end well.
    fn follow(&mut self, words: &[String]) {
        assert_eq!(words[0], "refguard");
        let file = words.iter().position(|word| word.ends_with(".yaml")).expect("it names a configuration");
        let host = words[file].trim_end_matches(".yaml").to_owned();
        let config = self.pair.config(&host);
        let mut arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        arguments[file - 1] = config.to_str().unwrap();
        if words[1] == "run" {
            let is_standby = arguments.contains(&"--standby");
            let mut daemon = Daemon::start_with(&config, if is_standby { &["--standby"] } else { &[] });
            daemon.said(if is_standby { "follows a checkpoint" } else { "judging" });
            self.running.insert(host, daemon);
            return;
        }
        let answer = answer(&arguments);
        assert_eq!(answer.code, Some(0), "{words:?}: {}", answer.err);
    }

    fn judge(&mut self, count: usize) {
        self.pair.produce(count);
        self.pair.assert_once();
    }
}

#[test]
fn the_page_does_what_it_says() {
    let kafka = Kafka::shared();
    let mut hosts = Hosts { pair: Pair::new(kafka, 2000), running: BTreeMap::new() };
    let commands = commands();
    let [run_a, run_b, back, inspect, verify, export, restore, again] = &commands[..] else {
        panic!("the story of this test is another than that of the page: {commands:#?}")
    };
    hosts.follow(run_a);
    hosts.judge(300);
    hosts.follow(run_b);
    // The first host is gone, with its disk; the other goes on.
    hosts.running.remove("a").unwrap().kill();
    hosts.pair.lose_disk("a");
    hosts.running.get_mut("b").unwrap().said("judging");
    hosts.judge(300);
    hosts.follow(back);
    for look in [inspect, verify, export] {
        hosts.follow(look);
    }
    // A switch on purpose.
    let b = hosts.running.remove("b").unwrap();
    b.terminate();
    assert!(b.ended().0.success());
    hosts.running.get_mut("a").unwrap().said("judging");
    hosts.judge(300);
    // Both are gone, and both disks.
    hosts.running.remove("a").unwrap().kill();
    hosts.pair.lose_disk("a");
    hosts.pair.produce(100);
    hosts.follow(restore);
    hosts.follow(again);
    hosts.judge(100);
    let a = hosts.running.remove("a").unwrap();
    a.terminate();
    assert!(a.ended().0.success());
}
