//! What a hub says of itself.

use std::time::Duration;

use serde_json::Value;

use super::finding::{Finding, Report};

const CHECK: &str = "hub";

/// How long a hub may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the hub whose operator's listener is there.
pub(super) async fn examine(url: &str, report: &mut Report) {
    let place = format!("{}/readyz", url.trim_end_matches('/'));
    match ask(&place).await {
        Ok(said) => report.add(judge(&place, &said)),
        Err(error) => report.add(Finding::error(
            CHECK,
            format!("{place} does not answer: {}", error.without_url()),
            "No hub listens there, or it does nothing any more.",
            "Is it running? Its admin_listen says where it answers; by default only on its own machine.",
        )),
    }
}

async fn ask(place: &str) -> Result<Value, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
    client.get(place).send().await?.json().await
}

fn judge(place: &str, said: &Value) -> Finding {
    let node = said["node"].as_str().unwrap_or(place);
    let bad: Vec<_> = said["checks"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, word)| word.as_str() != Some("ok"))
        .map(|(name, word)| format!("{name} is {}", word.as_str().unwrap_or("not as it should be")))
        .collect();
    if said["ready"] != true {
        let found = format!("{node} is not ready: {}", bad.join(", "));
        return Finding::error(CHECK, found, "It takes nothing new.", "Its log says since when, and why.");
    }
    if said["degraded"] == true {
        let found = format!("{node} is ready, and not whole: {}", bad.join(", "));
        let meaning = "It serves HTTP and viewers; agents that publish over Redis do not reach it, and it does nothing that one node at a time does.";
        return Finding::warning(CHECK, found, meaning, "See what is said of Redis above, and the hub's log.");
    }
    Finding::ok(CHECK, format!("{node} is ready"))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};
    use serde_json::json;

    #[test]
    fn a_hub_is_ready_degraded_or_neither() {
        for (said, level, words) in [
            (json!({"ready": true, "degraded": false, "node": "a", "checks": {"store": "ok"}}), Level::Ok, "a is ready"),
            (
                json!({"ready": true, "degraded": true, "node": "a", "checks": {"broker": "not delivering"}}),
                Level::Warning,
                "broker is not delivering",
            ),
            (
                json!({"ready": false, "node": "a", "checks": {"store": "not answering", "node": "ok"}}),
                Level::Error,
                "store is not answering",
            ),
            (json!("?"), Level::Error, "not ready"),
        ] {
            let finding = judge("http://x/readyz", &said);
            assert!(finding.level == level && finding.found.contains(words), "{said} gave {finding:?}");
        }
    }
}
