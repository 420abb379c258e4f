//! The other judge: every verdict recounted by definition, by an auditor that shares no code with the engine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use refguard::stream::pipeline::Notice;

use crate::auditor::{Auditor, Expected};
use crate::compare::{compare, compare_held, compare_repeat, is_repeat};
use crate::disk::lock;
use crate::outside::World;
use crate::record::Input;
use crate::world::Fact;

impl Auditor {
    /// What a source says beside events.
    fn notice(&mut self, notice: &Notice) {
        match *notice {
            Notice::Assigned(partition) => drop(self.newest_ms.entry(partition).or_insert(i64::MIN)),
            Notice::Revoked(partition) => drop(self.newest_ms.remove(&partition)),
            Notice::Tick(partition, clock_ms) => {
                if let Some(newest_ms) = self.newest_ms.get_mut(&partition) {
                    *newest_ms = (*newest_ms).max(clock_ms);
                }
            }
        }
        self.watermark_ms = self.watermark_ms.max(self.newest_ms.values().min().copied());
    }
}

/// Recounts the verdicts of a history whose rules are the auditor's. `Err`: the first that is wrong.
pub(crate) fn recount(world: &World) -> Result<(), String> {
    let cluster = lock(&world.cluster);
    let lines: Vec<&str> =
        cluster.outputs[0].iter().map(|line| std::str::from_utf8(line).expect("a verdict is text")).collect();
    let (mut auditor, mut next) = (Auditor::default(), 0);
    for (_, input) in &world.record.inputs {
        let Input::Work(notices, records) = input else { continue };
        notices.iter().for_each(|notice| auditor.notice(notice));
        for (partition, offset) in records {
            let (sent, facts) = (&cluster.sent[*partition as usize], &world.facts[*partition as usize]);
            let Some(fact) = &facts[sent.partition_point(|record| record.offset < *offset)] else { continue };
            let judged = catch_unwind(AssertUnwindSafe(|| judge(&mut auditor, fact, &lines, next)));
            match judged {
                Ok(has_line) => next += usize::from(has_line),
                Err(_) => {
                    let line = lines.get(next).unwrap_or(&"nothing");
                    return Err(format!("verdict {next} is not what a recount gives, of {}: {line}", fact.line()));
                }
            }
        }
    }
    Ok(())
}

/// Compares the next line with what the auditor says; whether there is one.
fn judge(auditor: &mut Auditor, fact: &Fact, lines: &[&str], next: usize) -> bool {
    match auditor.expect(fact, next) {
        Expected::Refused => return false,
        Expected::Repeat(first) => compare_repeat(lines[next], lines[first]),
        Expected::Judged(judged) if judged.late && is_repeat(lines[next]) => {
            // Its name was forgotten, and its hold was not: it is answered by that, and nothing is judged.
            compare_held(lines[next], &lines[..next]);
            auditor.created(fact, &[]);
        }
        Expected::Judged(judged) => {
            let created = compare(lines[next], &judged);
            auditor.created(fact, &created);
        }
    }
    true
}
