//! Quotas in a checkpoint: programs go by name, since classes are numbered by the configuration.
//!
//! How far the meters of events are is kept; what keys and bytes are taken is counted anew from the tables. A program that
//! had no quota when its keys were made has them not counted for one that it gets later.

use super::{Quotas, class_of};
use crate::engine::policy::Policy;
use crate::state::{Broken, ByteReader, ByteWriter, Class, ClassMap, Meter};

impl Quotas {
    pub(in crate::engine) fn store(&self, writer: &mut ByteWriter) {
        writer.count(self.of.len());
        for (of, meter) in self.of.iter().zip(&self.meters) {
            // No program has an empty name: it is that of those that are not configured.
            writer.text(of.program.as_deref().unwrap_or_default());
            writer.byte(u8::from(meter.is_some()));
            meter.iter().for_each(|meter| meter.store(writer));
        }
    }

    /// Answers what each class is now.
    pub(in crate::engine) fn restore(
        &mut self,
        policy: &Policy,
        reader: &mut ByteReader<'_>,
    ) -> Result<ClassMap, Broken> {
        let mut classes = [Class::NONE; 256];
        let written = reader.count(2)?;
        if written >= classes.len() {
            return Err(Broken("there are more quotas than can be"));
        }
        for class in &mut classes[1..=written] {
            *class = class_of(policy, reader.text()?);
            let place = usize::from(class.0).checked_sub(1);
            let meter = place.and_then(|place| self.meters.get_mut(place)).and_then(Option::as_mut);
            if reader.flag()? {
                match meter {
                    Some(meter) => meter.restore(reader)?,
                    None => Meter::new(1, 1).restore(reader)?,
                }
            }
        }
        Ok(classes)
    }
}
