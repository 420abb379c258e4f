//! Open alerts as a checkpoint keeps them: a record each, from which everything that orders them is made again.

use super::Alerts;
use super::alert::{Accounts, Alert, EventName};
use super::grouping::{Open, rule_of};
use crate::event::{Mode, Severity, Verdict};
use crate::state::{Broken, ByteReader, ByteWriter};

/// A segment is closed once it holds as many bytes.
const SEGMENT_BYTES: usize = 256 << 10;

impl Alerts {
    /// What is open, in segments of whole records.
    pub fn stored(&self) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        let mut writer = ByteWriter::default();
        for (number, open) in &self.open {
            writer.word(*number);
            open.store(&mut writer);
            if writer.as_bytes().len() >= SEGMENT_BYTES {
                segments.push(std::mem::take(&mut writer).into_bytes());
            }
        }
        if !writer.as_bytes().is_empty() {
            segments.push(writer.into_bytes());
        }
        segments
    }

    /// Goes on with what was open, where nothing is. Alerts of rules that have gone since are left out, and nothing is told.
    ///
    /// # Errors
    ///
    /// It is not what [`Alerts::stored`] gave; then the alerts are of no more use.
    pub fn restore(&mut self, segments: &[Vec<u8>]) -> Result<(), Broken> {
        for segment in segments {
            let mut reader = ByteReader::new(segment);
            while !reader.is_empty() {
                let number = reader.word()?;
                let open = Open::read(&mut reader)?;
                if number < self.next_number {
                    return Err(Broken("alerts are not in the order in which they opened"));
                }
                self.next_number = number.checked_add(1).ok_or(Broken("an alert has too high a number"))?;
                if rule_of(&self.rules, &open.alert.rule).is_some_and(|rule| rule.mode != Mode::Off) {
                    self.reopen(number, open)?;
                }
            }
        }
        Ok(())
    }

    /// How many alerts a segment has.
    ///
    /// # Errors
    ///
    /// It is not one that [`Alerts::stored`] gave.
    pub fn count_stored(segment: &[u8]) -> Result<u64, Broken> {
        let (mut reader, mut alerts) = (ByteReader::new(segment), 0);
        while !reader.is_empty() {
            reader.word()?;
            Open::read(&mut reader)?;
            alerts += 1;
        }
        Ok(alerts)
    }

    fn reopen(&mut self, number: u64, open: Open) -> Result<(), Broken> {
        if self.numbers.insert(open.key.clone(), number).is_some() {
            return Err(Broken("two open alerts have one key"));
        }
        if open.key.len() > open.share_bytes {
            *self.of_rule.entry(open.key[..open.share_bytes].into()).or_default() += 1;
        }
        self.queue.insert((open.queued_ms, number));
        self.due.extend(open.due_ms.map(|due_ms| (due_ms, number)));
        self.counts.open[open.alert.severity as usize] += 1;
        self.open.insert(number, open);
        Ok(())
    }
}

impl Open {
    fn store(&self, writer: &mut ByteWriter) {
        writer.bytes(&self.key);
        writer.count(self.share_bytes);
        writer.time(self.queued_ms);
        writer.maybe_time(self.due_ms);
        self.alert.store(writer);
    }

    fn read(reader: &mut ByteReader<'_>) -> Result<Open, Broken> {
        let (key, share_bytes): (Box<[u8]>, usize) = (reader.bytes()?.into(), reader.count(0)?);
        if share_bytes > key.len() {
            return Err(Broken("the key of an alert is shorter than its share"));
        }
        let (queued_ms, due_ms) = (reader.time()?, reader.maybe_time()?);
        Ok(Open { alert: Alert::read(reader)?, key, share_bytes, queued_ms, due_ms })
    }
}

impl Alert {
    fn store(&self, writer: &mut ByteWriter) {
        [&*self.id, &*self.program, &*self.rule].into_iter().for_each(|text| writer.text(text));
        writer.bytes(&self.group);
        writer.byte(self.severity as u8);
        writer.byte(self.verdict as u8);
        writer.byte(u8::from(self.observed));
        writer.word(self.count);
        [self.first_seen_ms, self.last_seen_ms, self.as_of_ms].into_iter().for_each(|ms| writer.time(ms));
        self.accounts.store(writer);
        writer.bytes(&self.message);
        writer.bytes(&self.evidence);
        self.first_event.store(writer);
        self.last_event.store(writer);
        writer.word(self.revision);
        writer.word(self.told_count);
        writer.time(self.told_ms);
    }

    fn read(reader: &mut ByteReader<'_>) -> Result<Alert, Broken> {
        let (id, program, rule) = (reader.text()?.to_owned(), reader.text()?.into(), reader.text()?.into());
        let group = reader.bytes()?.into();
        let severity =
            Severity::ALL.get(usize::from(reader.byte()?)).ok_or(Broken("an alert has no known severity"))?;
        let verdict = Verdict::ALL.get(usize::from(reader.byte()?)).ok_or(Broken("an alert has no known verdict"))?;
        Ok(Alert {
            id,
            program,
            rule,
            group,
            severity: *severity,
            verdict: *verdict,
            observed: reader.flag()?,
            count: reader.word()?,
            first_seen_ms: reader.time()?,
            last_seen_ms: reader.time()?,
            as_of_ms: reader.time()?,
            accounts: Accounts::read(reader)?,
            message: reader.bytes()?.to_vec(),
            evidence: reader.bytes()?.to_vec(),
            first_event: EventName::read(reader)?,
            last_event: EventName::read(reader)?,
            revision: reader.word()?,
            told_count: reader.word()?,
            told_ms: reader.time()?,
        })
    }
}

impl EventName {
    fn store(&self, writer: &mut ByteWriter) {
        writer.text(&self.source);
        writer.text(&self.id);
    }

    fn read(reader: &mut ByteReader<'_>) -> Result<EventName, Broken> {
        Ok(EventName { source: reader.text()?.into(), id: reader.text()?.into() })
    }
}

impl Accounts {
    fn store(&self, writer: &mut ByteWriter) {
        writer.count(self.named.len());
        self.named.iter().for_each(|account| writer.text(account));
        writer.count(self.counted.len());
        self.counted.iter().for_each(|hash| writer.word(*hash));
        writer.byte(u8::from(self.more));
    }

    fn read(reader: &mut ByteReader<'_>) -> Result<Accounts, Broken> {
        let named = (0..reader.count(1)?).map(|_| Ok(reader.text()?.into())).collect::<Result<_, Broken>>()?;
        let counted = (0..reader.count(8)?).map(|_| reader.word()).collect::<Result<Vec<u64>, Broken>>()?;
        if !counted.is_sorted() {
            return Err(Broken("the accounts of an alert are not in order"));
        }
        Ok(Accounts { named, counted, more: reader.flag()? })
    }
}
