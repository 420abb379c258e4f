//! A scrape, read by the rules of the text format and of the table of metrics.

use std::collections::{BTreeMap, BTreeSet};

use refguard::daemon::metrics::{Kind, Metric, TABLE};

/// Labels as `name=value`, sorted; a value as it was before it was escaped.
pub(crate) type Labels = BTreeMap<String, String>;

/// A scrape that was read by the rules of the text format and of the table.
pub(crate) struct Scrape {
    /// By name and labels.
    pub(crate) samples: BTreeMap<(String, Labels), f64>,
}

impl Scrape {
    /// Reads a scrape; panics at the first line that is not as it should be.
    pub(crate) fn parse(text: &str) -> Scrape {
        assert!(text.ends_with('\n'), "a scrape ends with a line feed");
        let mut scrape = Scrape { samples: BTreeMap::new() };
        let mut told = BTreeSet::new();
        let mut lines = text.lines();
        let mut current: Option<Metric> = None;
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a name and a help");
                let metric = TABLE.iter().find(|metric| metric.name == name);
                let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
                assert_eq!(help, metric.help);
                assert!(told.insert(name.to_owned()), "{name} stands there twice");
                assert_eq!(lines.next(), Some(format!("# TYPE {name} {}", metric.kind.name()).as_str()));
                current = Some(*metric);
            } else {
                let metric = current.unwrap_or_else(|| panic!("a sample before any help: {line}"));
                scrape.add(&metric, line);
            }
        }
        scrape
    }

    fn add(&mut self, metric: &Metric, line: &str) {
        let (name, labels, value) = sample(line);
        let endings: &[&str] = if metric.kind == Kind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
        let ending = endings.iter().find(|ending| name == format!("{}{ending}", metric.name));
        let ending = ending.unwrap_or_else(|| panic!("{line} stands under {}", metric.name));
        let expected = metric.labels.iter().copied().chain((*ending == "_bucket").then_some("le"));
        assert_eq!(labels.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected.collect(), "{line}");
        assert!(self.samples.insert((name, labels), value).is_none(), "a second {line}");
    }

    /// The value of the sample with these labels, given as `name=value`.
    pub(crate) fn get(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let labels = labels.iter().map(|label| label.split_once('=').expect("name=value"));
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.samples.get(&(format!("refguard_{name}"), labels)).copied()
    }

    /// Samples of a metric: values of its labels in the order of their names, and the value.
    pub(crate) fn of(&self, name: &str) -> Vec<(Vec<&str>, f64)> {
        let name = format!("refguard_{name}");
        let samples = self.samples.iter().filter(|((known, _), _)| *known == name);
        samples.map(|((_, labels), value)| (labels.values().map(String::as_str).collect(), *value)).collect()
    }

    /// The same without what is 0.
    pub(crate) fn counted(&self, name: &str) -> Vec<(Vec<&str>, f64)> {
        self.of(name).into_iter().filter(|(_, value)| *value != 0.0).collect()
    }

    /// The sum over all samples of a metric.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.of(name).iter().map(|(_, value)| value).sum()
    }
}

/// A line of the text format, read character by character.
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a name ends");
    let (name, mut rest) = line.split_at(end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label has a value");
            let mut value = String::new();
            let mut characters = after.char_indices();
            let end = loop {
                match characters.next().expect("a value ends") {
                    (at, '"') => break at + 1,
                    (_, '\\') => value.push(match characters.next().expect("something was escaped").1 {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        other => panic!("\\{other} is no escape: {line}"),
                    }),
                    (_, plain) => value.push(plain),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{label} twice: {line}");
            rest = &after[end..];
            match rest.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                _ => panic!("neither another label nor the end: {line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a blank before the value");
    (name.to_owned(), labels, value.parse().unwrap_or_else(|_| panic!("{value} is no number: {line}")))
}
