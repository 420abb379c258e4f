//! The `cel` crate's interpreter as an oracle: made-up expressions, and a table of where we mean to differ.

use std::collections::HashMap;

use cel::{Context, Program, Value};
use refguard::ruleset::cel::fuzz::{DemoFacts, demo_scope, source};
use refguard::ruleset::cel::{Position, ReadTable, Scope, Wanted, compile};

use crate::random::Random;

const EXPRESSIONS: usize = 12_000;

/// What one side says: a bool, an error when it runs, or a refusal when it is loaded.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Is(bool),
    Fault,
    Refused,
}

fn ours(text: &str, scope: &Scope) -> Answer {
    let mut reads = ReadTable::default();
    match compile(&source(text), scope, &mut reads, Position::Condition, Wanted::Bool) {
        Ok(compiled) => compiled.test(&DemoFacts { reads: &reads }).map_or(Answer::Fault, Answer::Is),
        Err(_) => Answer::Refused,
    }
}

fn theirs(text: &str, context: &Context<'_, '_>) -> Answer {
    match Program::compile(text) {
        Ok(program) => match program.execute(context) {
            Ok(Value::Bool(value)) => Answer::Is(value),
            _ => Answer::Fault,
        },
        Err(_) => Answer::Refused,
    }
}

/// The facts of the demonstration as the interpreter's variables.
fn context() -> Context<'static, 'static> {
    let mut context = Context::default();
    let event: HashMap<String, Value> = HashMap::from([
        ("amount_minor".to_owned(), Value::Int(1250)),
        ("rating".to_owned(), Value::Float(8.5)),
        ("channel".to_owned(), Value::from("web")),
        ("type".to_owned(), Value::from("login.succeeded")),
    ]);
    context.add_variable_from_value("event", event);
    context.add_variable_from_value("logins", 5i64);
    context.add_variable_from_value("spend", 99.5f64);
    context.add_variable_from_value("burst", true);
    context
}

/// Makes expressions of a wanted type, mostly well typed.
struct Maker {
    random: Random,
    variables: usize,
}

impl Maker {
    fn bool(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.random.pick(&["true", "false", "burst"]).to_owned();
        }
        let depth = depth - 1;
        match self.random.below(19) {
            0 => format!("({} && {})", self.bool(depth), self.bool(depth)),
            1 => format!("({} || {})", self.bool(depth), self.bool(depth)),
            2 => format!("!({})", self.bool(depth)),
            3 => format!("({} ? {} : {})", self.bool(depth), self.bool(depth), self.bool(depth)),
            4 | 5 => self.compared(|maker| maker.int(depth)),
            6 => self.compared(|maker| maker.double(depth)),
            7 => self.compared(|maker| maker.uint(depth)),
            8 => self.compared(|maker| maker.text(depth)),
            9 => format!("({} in {})", self.int(depth), self.list(depth)),
            10 => format!("({} in [\"web\", {}])", self.text(depth), self.text(depth)),
            11 => {
                let function = self.random.pick(&["contains", "startsWith", "endsWith"]);
                format!("{}.{function}({})", self.text(depth), self.text(depth))
            }
            12 => {
                let quantity = self.random.pick(&["all", "exists", "exists_one"]);
                let range = self.list(depth);
                self.with_variable(|maker, name| format!("{range}.{quantity}({name}, {})", maker.about(name, depth)))
            }
            13 => self.equal(|maker| maker.list(depth)),
            14 => self.equal(|maker| maker.map(depth)),
            15 => self.compared(|maker| maker.timestamp(depth)),
            16 => self.compared(|maker| maker.duration(depth)),
            17 => {
                let pattern =
                    self.random.pick(&["", "^w", "b$", "[a-z]+\\\\.s", "(log|web)(in)?", "^.{3}$", "é", "\\\\d{2,}"]);
                format!("{}.matches('{pattern}')", self.text(depth))
            }
            _ => format!("({} in {})", self.text(0), self.map(depth)),
        }
    }

    fn compared(&mut self, side: impl Fn(&mut Maker) -> String) -> String {
        let operator = self.random.pick(&["==", "!=", "<", "<=", ">", ">="]);
        format!("({} {operator} {})", side(self), side(self))
    }

    fn equal(&mut self, side: impl Fn(&mut Maker) -> String) -> String {
        let operator = self.random.pick(&["==", "!="]);
        format!("({} {operator} {})", side(self), side(self))
    }

    fn with_variable(&mut self, body: impl Fn(&mut Maker, &str) -> String) -> String {
        self.variables += 1;
        let name = format!("v{}", self.variables);
        let text = body(self, &name);
        self.variables -= 1;
        text
    }

    /// A condition on an int variable.
    fn about(&mut self, name: &str, depth: usize) -> String {
        match self.random.below(4) {
            0 => format!("{name} % 2 == 0"),
            1 => format!("10 / {name} > 2"),
            2 => format!("{name} > {} || {}", self.int(depth), self.bool(depth)),
            _ => format!("{name} + {} != 3", self.int(0)),
        }
    }

    fn int(&mut self, depth: usize) -> String {
        if depth == 0 {
            let leaves = ["0", "1", "-1", "2", "7", "0x10", "9223372036854775807", "-9223372036854775808"];
            return match self.random.below(3) {
                0 => self.random.pick(&["event.amount_minor", "logins"]).to_owned(),
                _ => self.random.pick(&leaves).to_owned(),
            };
        }
        let depth = depth - 1;
        match self.random.below(12) {
            10 => self.part_of_timestamp(depth),
            11 => {
                let part = self.random.pick(&["getHours", "getMinutes", "getSeconds"]);
                format!("{}.{part}()", self.duration(depth))
            }
            0..4 => {
                let operator = self.random.pick(&["+", "-", "*", "/", "%"]);
                // A quotient that is cut is refused where it may have been meant as a share, unless it says so.
                let cut = if operator == "/" { "int" } else { "" };
                format!("{cut}({} {operator} {})", self.int(depth), self.int(depth))
            }
            4 => format!("-({})", self.int(depth)),
            5 => format!("size({})", self.text(depth)),
            6 => format!("{}.size()", self.list(depth)),
            7 => format!("int({})", self.double(depth)),
            8 => format!("{}[{}]", self.list(depth), self.random.below(4)),
            _ => format!("({} ? {} : {})", self.bool(depth), self.int(depth), self.int(depth)),
        }
    }

    fn part_of_timestamp(&mut self, depth: usize) -> String {
        let parts = [
            "getFullYear",
            "getMonth",
            "getDate",
            "getDayOfMonth",
            "getDayOfWeek",
            "getDayOfYear",
            "getHours",
            "getMinutes",
            "getSeconds",
            "getMilliseconds",
        ];
        let part = self.random.pick(&parts);
        let zone = self.random.pick(&["", "", "'+05:30'", "'-11:00'", "'UTC'", "'Asia/Riyadh'", "'America/New_York'"]);
        format!("{}.{part}({zone})", self.timestamp(depth))
    }

    fn timestamp(&mut self, depth: usize) -> String {
        if depth == 0 {
            let leaves = [
                "'2026-05-01T10:05:00Z'",
                "'2024-02-29T23:59:59.25Z'",
                "'1969-12-31T23:59:59.999Z'",
                "'0001-01-01T00:00:00Z'",
                "'9999-12-31T23:59:59Z'",
                // Written out as it is, it would be refused.
                "burst ? '2026-02-30T00:00:00Z' : ''",
            ];
            return format!("timestamp({})", self.random.pick(&leaves));
        }
        let depth = depth - 1;
        match self.random.below(3) {
            0 => format!("({} + {})", self.timestamp(depth), self.duration(depth)),
            1 => format!("({} - {})", self.timestamp(depth), self.duration(depth)),
            _ => format!("({} ? {} : {})", self.bool(depth), self.timestamp(depth), self.timestamp(depth)),
        }
    }

    fn duration(&mut self, depth: usize) -> String {
        if depth == 0 {
            let leaves =
                ["'0s'", "'90s'", "'1h30m'", "'1.5s'", "'-36h'", "'250ms'", "'8760h'", "'1us'", "burst ? 'x' : '1s'"];
            return format!("duration({})", self.random.pick(&leaves));
        }
        let depth = depth - 1;
        match self.random.below(4) {
            0 => format!("({} + {})", self.duration(depth), self.duration(depth)),
            1 => format!("({} - {})", self.duration(depth), self.duration(depth)),
            2 => format!("({} - {})", self.timestamp(depth), self.timestamp(depth)),
            _ => format!("({} ? {} : {})", self.bool(depth), self.duration(depth), self.duration(depth)),
        }
    }

    fn uint(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.random.pick(&["0u", "1u", "7u", "0xFFu", "18446744073709551615u"]).to_owned();
        }
        let depth = depth - 1;
        match self.random.below(3) {
            0 => format!("uint({})", self.int(depth)),
            _ => {
                let operator = self.random.pick(&["+", "-", "*", "/", "%"]);
                format!("({} {operator} {})", self.uint(depth), self.uint(depth))
            }
        }
    }

    fn double(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.random.pick(&["0.0", "1.5", "-2.25", "1e10", "event.rating", "spend"]).to_owned();
        }
        let depth = depth - 1;
        match self.random.below(4) {
            0 => format!("double({})", self.int(depth)),
            1 => format!("-({})", self.double(depth)),
            _ => {
                let operator = self.random.pick(&["+", "-", "*", "/"]);
                format!("({} {operator} {})", self.double(depth), self.double(depth))
            }
        }
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 {
            let leaves = ["\"\"", "'web'", "\"wé\\u00e9b\"", "r'a\\b'", "event.channel", "event.type", "'login'"];
            return self.random.pick(&leaves).to_owned();
        }
        let depth = depth - 1;
        match self.random.below(3) {
            0 => format!("({} + {})", self.text(depth), self.text(depth)),
            1 => format!("string({})", self.int(depth)),
            _ => format!("({} ? {} : {})", self.bool(depth), self.text(depth), self.text(depth)),
        }
    }

    /// A list of ints.
    fn list(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.random.pick(&["[1]", "[1, 2, 3]", "[0, 5, -1]", "[logins, 7]"]).to_owned();
        }
        let depth = depth - 1;
        match self.random.below(4) {
            0 => format!("({} + {})", self.list(depth), self.list(depth)),
            1 => {
                let range = self.list(depth);
                self.with_variable(|maker, name| format!("{range}.filter({name}, {})", maker.about(name, depth)))
            }
            2 => {
                let range = self.list(depth);
                self.with_variable(|maker, name| format!("{range}.map({name}, {name} * {})", maker.int(depth)))
            }
            _ => format!("[{}, {}]", self.int(depth), self.int(depth)),
        }
    }

    fn map(&mut self, depth: usize) -> String {
        let depth = depth.saturating_sub(1);
        format!("{{'web': {}, 'k': {}}}", self.int(depth), self.int(depth))
    }
}

#[test]
fn made_up_expressions_give_what_the_interpreter_gives() {
    let (scope, context) = (demo_scope(), context());
    let mut maker = Maker { random: Random::new(20_260_501), variables: 0 };
    let mut counts = [0usize; 3];
    for number in 0..EXPRESSIONS {
        let text = maker.bool(1 + number % 3);
        let (our, their) = (ours(&text, &scope), theirs(&text, &context));
        assert_eq!(our, their, "expression {number}, ours and theirs: {text}");
        counts[match our {
            Answer::Is(true) => 0,
            Answer::Is(false) => 1,
            Answer::Fault | Answer::Refused => 2,
        }] += 1;
    }
    assert!(counts.iter().all(|count| *count > EXPRESSIONS / 50), "every outcome is frequent: {counts:?}");
}

/// Where we mean to differ: the expression, our answer, theirs, and why.
const DIFFERENCES: &[(&str, Answer, Answer, &str)] = &[
    (
        "timestamp('2026-03-29T01:30:00+02:00').getHours() == 23",
        Answer::Is(true),
        Answer::Is(false),
        "the parts of a timestamp are those of UTC where no zone is named, as the specification says",
    ),
    ("event.label == ''", Answer::Is(true), Answer::Fault, "an absent field of an event is empty, not an error"),
    (
        "has(event.result) && event.result == 'result'",
        Answer::Is(true),
        Answer::Is(false),
        "our event has every field but `label`",
    ),
    ("'a' == 1", Answer::Refused, Answer::Is(false), "a type clash is told when the rule is loaded"),
    ("event.amount > 5", Answer::Refused, Answer::Fault, "a misspelt field is told when the rule is loaded"),
    ("unknown_name || true", Answer::Refused, Answer::Is(true), "an unknown name is told when the rule is loaded"),
    (
        "burst || duration('1d') > duration('2h')",
        Answer::Refused,
        Answer::Is(true),
        "what is no span of time is told when the rule is loaded",
    ),
    ("'1' in [1, 2]", Answer::Refused, Answer::Is(false), "a type clash in `in` is told when the rule is loaded"),
    ("(true ? 1 : 'a') == 1", Answer::Refused, Answer::Is(true), "both sides of a choice have one type"),
    ("ratio(1, 0) == 0.0", Answer::Is(true), Answer::Fault, "a function of ours"),
    ("optional.of(1).hasValue()", Answer::Refused, Answer::Is(true), "optional values are not supported"),
];

#[test]
fn intended_differences_do_differ() {
    let (scope, context) = (demo_scope(), context());
    for (text, our, their, reason) in DIFFERENCES {
        assert_ne!(our, their, "{text}: {reason}");
        assert_eq!((&ours(text, &scope), &theirs(text, &context)), (our, their), "{text}: {reason}");
    }
}
