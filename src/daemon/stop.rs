//! What the process is asked from outside: SIGTERM and SIGINT end it after what was read, SIGHUP has the rules read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// How often a flag is looked at by those who only wait for it.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What was asked for.
#[derive(Debug)]
pub struct Asked {
    /// The end. A second request ends the process at once.
    pub stop: Arc<AtomicBool>,
    /// The rules, again; whoever answers takes it back.
    pub reload: Arc<AtomicBool>,
}

/// Flags that are set once a signal asks for something.
///
/// # Errors
///
/// If the system refuses the handlers.
pub fn on_signal() -> std::io::Result<Asked> {
    let (stop, reload) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (stops, reloads) = (Arc::clone(&stop), Arc::clone(&reload));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt, mut hangup) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {
                        reloads.store(true, Ordering::Release);
                        continue;
                    }
                }
                if stops.swap(true, Ordering::AcqRel) {
                    force();
                }
            }
        });
    })?;
    Ok(Asked { stop, reload })
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
