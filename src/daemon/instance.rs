//! The name under which a state is known to consumer groups: random, made once, kept beside the checkpoints.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::stream::checkpoint::CheckpointError;

/// The file, in the folder of the state.
const FILE: &str = "instance";
/// How many hexadecimal digits it has.
const DIGITS: usize = 16;

/// The name of the state in a folder, which is made if there is none. Who has the folder must own it.
///
/// # Errors
///
/// The system; or the file is not what was written.
pub fn of(folder: &Path) -> Result<String, CheckpointError> {
    let path = folder.join(FILE);
    let failed = |doing: &'static str| {
        let path = path.clone();
        move |source| CheckpointError::Io { doing, path, source }
    };
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().len() == DIGITS && text.trim().bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            return Ok(format!("refguard-{}", text.trim()));
        }
        Ok(_) => {
            return Err(CheckpointError::Damaged { path: path.clone(), detail: "it is no name of a state".to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("reading")(error)),
    }
    let mut random = [0; DIGITS / 2];
    getrandom::fill(&mut random).map_err(|error| failed("writing")(io::Error::other(error)))?;
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let aside = folder.join("instance.new");
    let made = File::create(&aside).and_then(|mut file| {
        file.write_all(digits.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, &path)?;
        File::open(folder)?.sync_all()
    });
    made.map_err(failed("writing"))?;
    Ok(format!("refguard-{digits}"))
}
