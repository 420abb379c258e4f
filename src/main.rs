//! refguard, the program: arguments in, one library call, an exit code out.

use std::process::ExitCode;

/// Asks the kernel for huge pages: windows are read at random places of gigabytes (docs/decisions/0005).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    refguard::daemon::cli::main(std::env::args_os())
}
