//! refguard, the program: arguments in, one library call, an exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    refguard::daemon::cli::main(std::env::args_os())
}
