//! What is looked after every second beside the calls: tokens, certificates, limits, the rules in force.

use std::sync::Arc;
use std::time::Duration;

use super::Api;
use super::tls::Tls;

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// Every how many rounds the records are told when tokens were used.
const USED_EVERY: u32 = 10;

/// Goes on until it is aborted.
pub(super) async fn keep(api: Arc<Api>, certificates: Vec<Arc<Tls>>) {
    let mut is_away = false;
    for round in (0..=u32::MAX).cycle() {
        api.limits.forget((api.clocks.wall_ms)());
        match api.records.tokens().await {
            Ok(tokens) => {
                api.live.tokens.replace(tokens);
                api.observer.records_reached(true);
                is_away = false;
            }
            // Those of before count until it is back. It is told once.
            Err(error) if !std::mem::replace(&mut is_away, true) => {
                api.observer.records_reached(false);
                tracing::error!(%error, hint = error.hint(), "tokens cannot be read again: those of before count");
            }
            Err(_) => {}
        }
        if round % USED_EVERY == 0 {
            note_used(&api).await;
        }
        for tls in &certificates {
            match tls.look() {
                Ok(true) => tracing::info!("other certificates are in force"),
                Err(error) => {
                    tracing::error!(%error, "certificates cannot be read again: those of before are in force")
                }
                Ok(false) => {}
            }
        }
        api.live.streams.forget().await;
        if let Ok(hash) = api.ask(|engine| engine.rules().hash.clone()).await {
            *api.live.ruleset.lock().expect("no thread panics while it holds a hash") = hash;
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Tells the records when tokens were used.
pub(super) async fn note_used(api: &Api) {
    if let Err(error) = api.records.note_used(&api.live.tokens.used()).await {
        tracing::warn!(%error, "when tokens were used could not be noted");
    }
}
