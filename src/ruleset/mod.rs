//! Rule files: read, checked, compiled into the program that the engine runs.

pub mod cel;
pub mod diagnostic;
pub mod yaml;
