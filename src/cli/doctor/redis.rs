//! How Redis is set, as far as this user may look, and which hubs it counts.

use std::collections::BTreeMap;

use redis::Value;

use super::{
    clock,
    finding::{Finding, Report},
};
use crate::{
    broker::{Commands, Names},
    config::Settings,
    model::Timestamp,
};

const CHECK: &str = "redis";

/// What Redis keeps for a subscriber by default: at once, and for a minute. Hubs are made for it.
const HARD: u64 = 32 << 20;
const SOFT: u64 = 8 << 20;

/// Looks at every server. Gives the hubs that Redis counts, if it was asked for any and answered.
pub(super) async fn examine(settings: &Settings, report: &mut Report) -> anyhow::Result<Option<Vec<String>>> {
    let Some(options) = settings.redis_options()? else {
        report.add(Finding::ok(CHECK, "none: a hub by itself"));
        return Ok(None);
    };
    let commands = Commands::new(&options.address, &options.commands)?;
    if let Err(error) = commands.ping().await {
        report.add(Finding::error(
            CHECK,
            format!("it cannot be reached: {error}"),
            "Agents that publish over Redis are not heard; hubs hear of each other's commits a few seconds late.",
            "Is it running, and are address, user and password right? broker.url or --broker says where it is.",
        ));
        return Ok(None);
    }
    examine_settings(&commands, report).await;
    Ok(examine_members(&commands, &options.prefix, settings, report).await)
}

/// What `CONFIG GET` gives of each server for this name. Nothing if that is not allowed.
async fn config(commands: &Commands, name: &str) -> Option<Vec<String>> {
    let answers = commands.ask_all(redis::cmd("CONFIG").arg("GET").arg(name)).await.ok()?;
    let value = |answer: Value| redis::from_redis_value::<BTreeMap<String, String>>(answer).ok()?.into_values().next();
    answers.into_iter().map(value).collect()
}

async fn examine_settings(commands: &Commands, report: &mut Report) {
    let Some(buffers) = config(commands, "client-output-buffer-limit").await else {
        let advice = "To have it looked at: let its user do `CONFIG GET` (+config|get), or look yourself (docs/redis.md, settings of the server).";
        report.add(Finding::unknown(CHECK, "its settings may not be looked at by this user", advice));
        return;
    };
    let mut fine = true;
    for limits in &buffers {
        if let Some(finding) = judge_buffers(limits) {
            fine = false;
            report.add(finding);
        }
    }
    for name in ["timeout", "maxmemory-policy"] {
        let memory = config(commands, "maxmemory").await.unwrap_or_default();
        for (place, value) in config(commands, name).await.unwrap_or_default().into_iter().enumerate() {
            let bounded = memory.get(place).is_some_and(|most| most != "0");
            if let Some(finding) = judge_setting(name, &value, bounded) {
                fine = false;
                report.add(finding);
            }
        }
    }
    if fine {
        report.add(Finding::ok(
            CHECK,
            format!("{} servers, output buffers, timeout and memory policy as they should be", buffers.len()),
        ));
    }
}

/// `pubsub HARD SOFT SECONDS` among the classes of clients.
fn judge_buffers(limits: &str) -> Option<Finding> {
    let words: Vec<&str> = limits.split_whitespace().collect();
    let place = words.iter().position(|word| *word == "pubsub")?;
    let number = |offset: usize| words.get(place + offset).and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
    let (hard, soft) = (number(1), number(2));
    let said = format!("client-output-buffer-limit pubsub is {hard} {soft} {}", number(3));
    if hard == 0 && soft == 0 {
        return Some(Finding::warning(
            CHECK,
            said,
            "A subscriber that does not read may take all of Redis's memory.",
            "Set it to the default: CONFIG SET client-output-buffer-limit \"pubsub 33554432 8388608 60\".",
        ));
    }
    ((hard != 0 && hard < HARD) || (soft != 0 && soft < SOFT)).then(|| {
        Finding::warning(
            CHECK,
            said,
            "Redis cuts hubs off sooner than they are made for: under load they reconnect, read from the store, and hear agents late.",
            "Set it to the default or more: CONFIG SET client-output-buffer-limit \"pubsub 33554432 8388608 60\", and in redis.conf.",
        )
    })
}

/// A setting by itself; whether memory is bounded decides about the policy.
fn judge_setting(name: &str, value: &str, bounded: bool) -> Option<Finding> {
    match (name, value) {
        ("timeout", value) if value != "0" => Some(Finding::warning(
            CHECK,
            format!("timeout is {value}"),
            "Connections on which nothing is said for so long are closed: hubs and agents make them again and again.",
            "Set it to 0.",
        )),
        ("maxmemory-policy", policy) if bounded && policy != "noeviction" => Some(Finding::warning(
            CHECK,
            format!("maxmemory is set and maxmemory-policy is {policy}"),
            "When memory is short Redis throws keys away, also the one with the hubs that it counts: tasks change hands for nothing.",
            "Give Tasklight a Redis without eviction (noeviction): it keeps one small key.",
        )),
        _ => None,
    }
}

/// The hubs, and Redis's clock, which they go by.
async fn examine_members(commands: &Commands, prefix: &str, settings: &Settings, report: &mut Report) -> Option<Vec<String>> {
    let key = Names::new(prefix).nodes();
    let before = Timestamp::now();
    // One script, as hubs send it: whoever may be a hub may send it.
    let script = redis::Script::new("return {redis.call('TIME'), redis.call('HGETALL', KEYS[1])}");
    let answer = commands.eval(&script, &key, &[]).await;
    let after = Timestamp::now();
    let read = answer.map(redis::from_redis_value::<((u64, u64), Vec<String>)>);
    let Ok(Ok(((seconds, micros), pairs))) = read else {
        report.add(Finding::unknown(
            "members",
            "the hubs may not be counted by this user",
            "It needs what a hub needs (docs/redis.md, rights).",
        ));
        return None;
    };
    let now = seconds * 1_000 + micros / 1_000;
    report.add(clock::compare("Redis", before, Timestamp::from_millis(now).unwrap_or_default(), after));
    let (members, findings) = judge_members(&pairs, now, settings);
    findings.into_iter().for_each(|finding| report.add(finding));
    Some(members)
}

/// Fields of the key are `node`, with `MILLIS STANDING` of its last beat, and one that begins with `#`.
fn judge_members(pairs: &[String], now: u64, settings: &Settings) -> (Vec<String>, Vec<Finding>) {
    const CHECK: &str = "members";
    let timeout = u64::try_from(settings.cluster.member_timeout.get().as_millis()).unwrap_or(u64::MAX);
    let (mut alive, mut unable) = (Vec::new(), Vec::new());
    for pair in pairs.chunks_exact(2) {
        let Some((at, standing)) = pair[1].split_once(' ') else { continue };
        let fresh = at.parse::<u64>().is_ok_and(|at| now.saturating_sub(at) <= timeout);
        if !pair[0].starts_with('#') && fresh {
            alive.push(pair[0].clone());
            if standing != "able" {
                unable.push(pair[0].clone());
            }
        }
    }
    let mut findings = Vec::new();
    if alive.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            "Redis counts no hubs",
            "Nobody hears what agents publish over it: the receiver count is 0.",
            "Start a hub. If hubs run, they use another broker.url or broker.prefix, or cannot reach this Redis.",
        ));
    } else if unable.len() == alive.len() {
        findings.push(Finding::error(
            CHECK,
            format!("none of {} hubs takes activities over Redis: {}", alive.len(), unable.join(", ")),
            "Their queues are full, their subscriptions do not deliver, or they are stopping.",
            "See their /readyz: most often the store does not keep up.",
        ));
    } else if !unable.is_empty() {
        findings.push(Finding::warning(
            CHECK,
            format!("{} of {} hubs take nothing over Redis at present: {}", unable.len(), alive.len(), unable.join(", ")),
            "The others take over their tasks.",
            "See their /readyz, unless they are stopping.",
        ));
    } else {
        findings.push(Finding::ok(CHECK, format!("{} hubs: {}", alive.len(), alive.join(", "))));
    }
    (alive, findings)
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Level, *};

    #[test]
    fn buffers_are_judged_by_what_hubs_are_made_for() {
        for (limits, well) in [
            ("normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", true),
            ("normal 0 0 0 pubsub 134217728 33554432 60", true),
            ("pubsub 33554432 0 0", true),
            ("pubsub 1048576 8388608 60", false),
            ("pubsub 33554432 1048576 60", false),
            ("pubsub 0 0 0", false),
            ("normal 0 0 0", true),
        ] {
            assert_eq!(judge_buffers(limits).is_none(), well, "{limits}");
        }
    }

    #[test]
    fn settings_are_judged_one_by_one() {
        for (name, value, bounded, well) in [
            ("timeout", "0", false, true),
            ("timeout", "300", false, false),
            ("maxmemory-policy", "allkeys-lru", false, true),
            ("maxmemory-policy", "allkeys-lru", true, false),
            ("maxmemory-policy", "volatile-ttl", true, false),
            ("maxmemory-policy", "noeviction", true, true),
        ] {
            assert_eq!(judge_setting(name, value, bounded).is_none(), well, "{name} {value} {bounded}");
        }
    }

    #[test]
    fn hubs_are_counted_by_their_last_beat() {
        for (pairs, members, level) in [
            (vec!["#since", "1", "a#1", "99000 able", "b#2", "98000 able"], 2, Level::Ok),
            (vec!["#since", "1", "a#1", "99000 able", "b#2", "1000 able"], 1, Level::Ok),
            (vec!["a#1", "99000 able", "b#2", "98000 unable"], 2, Level::Warning),
            (vec!["a#1", "99000 unable"], 1, Level::Error),
            (vec!["#since", "1"], 0, Level::Warning),
            (vec![], 0, Level::Warning),
        ] {
            let words: Vec<String> = pairs.iter().map(|word| (*word).to_owned()).collect();
            let (alive, findings) = judge_members(&words, 100_000, &Settings::default());
            assert_eq!((alive.len(), findings[0].level), (members, level), "{pairs:?}");
        }
    }
}
