//! The end of the daemon: SIGTERM and SIGINT set a flag, and what was read is finished.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How often the flag is looked at by those who only wait for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A flag that is set once the process is asked to end. A second request ends it at once.
///
/// # Errors
///
/// If the system refuses the handlers.
pub fn on_signal() -> std::io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if flag.swap(true, Ordering::AcqRel) {
                    force();
                }
            }
        });
    })?;
    Ok(stop)
}

/// Waits for the flag.
pub fn wait(stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        std::thread::park_timeout(LOOK_EVERY);
    }
}

#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "the operator asked twice; uncommitted input is read again"
)]
fn force() -> ! {
    std::process::exit(130);
}
