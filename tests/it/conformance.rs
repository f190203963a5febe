//! What every client must do alike: sdk/conformance/scenarios.json, played by the Rust client.

mod matching;
mod stage;

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tasklight::{
    client::{Client, ClientError, Event, Follow, FollowError, ItemResult, Publisher, RedisPublisher, Start},
    config::Settings,
    model::Filter,
};
use tokio::time::{sleep, timeout};

use self::{
    matching::Names,
    stage::{Road, Stage},
};
use crate::{
    harness::{PATIENCE, TestHub},
    services::{prefix, redis_url},
};

/// The wait between tries of a publish that may succeed a little later.
const RETRY: Duration = Duration::from_millis(50);

/// Events that may come at any time.
const CHATTER: [&str; 4] = ["subscribed", "live", "cursor", "reconnecting"];

/// What this client has no helper for.
const CANNOT: &str = "invocation";

/// The scenarios that need it, which the SDKs play. One more or one less is to be looked at here.
const LEFT_OUT: [&str; 2] = ["an invocation that ends well", "invocations that fail or are cancelled say so"];

/// An error as the list has it.
type Failed = Value;

struct Player {
    stage: Stage,
    http: reqwest::Client,
    names: Names,
    task: String,
    road: Option<Road>,
    /// Redis and the prefix, where the hub has one.
    redis: Option<(String, String)>,
    viewers: HashMap<String, Follow>,
}

impl Player {
    async fn prepare(needs: &[&str], number: usize) -> Self {
        let redis = needs.contains(&"redis").then(|| (redis_url(), prefix()));
        let stage = if needs.contains(&"hub") {
            Stage::process()
        } else {
            let hub = TestHub::start_with(|settings: &mut Settings| {
                settings.session.heartbeat = "1s".parse().expect("a duration");
                if let Some((url, prefix)) = &redis {
                    (settings.broker.url, settings.broker.prefix) = (url.clone(), prefix.clone());
                }
            });
            Stage::Here(Box::new(hub.await))
        };
        let road = if needs.contains(&"proxy") { Some(Road::to(stage.address()).await) } else { None };
        let task = format!("conform-{number}");
        let names = Names::new([("task", json!(task))]);
        Self { stage, http: reqwest::Client::new(), names, task, road, redis, viewers: HashMap::new() }
    }

    async fn play(&mut self, step: &Value) -> Result<(), String> {
        let null = Value::Null;
        let expect = step.get("expect").unwrap_or(&null);
        let filled = match step.get("each") {
            Some(each) => self.each(step, each),
            None => without(step, &["expect", "statuses"]).map(|step| self.names.filled(&step)),
        };
        let step_filled = filled.ok_or("a step is an object")?;
        match step["do"].as_str().unwrap_or_default() {
            "request" => self.request(&step_filled, expect).await?,
            "publish" => self.publish(&step_filled, expect).await?,
            "follow" => self.follow(&step_filled, expect).await?,
            "events" => self.events(text(&step_filled, "of")?, expect).await?,
            "cursor" => {
                let cursor = self.viewer(text(&step_filled, "of")?)?.cursor().map(|cursor| cursor.to_string());
                self.names.check(expect, &json!(cursor), "cursor")?;
            }
            "close" => {
                let viewer = self.viewers.remove(text(&step_filled, "of")?).ok_or("no such viewer")?;
                viewer.close().await;
            }
            "cut" => self.road.as_ref().ok_or("no proxy")?.set_open(false),
            "mend" => self.road.as_ref().ok_or("no proxy")?.set_open(true),
            "kill" => self.stage.kill(),
            "stop" => self.stage.stop(),
            "start" => self.stage.start(),
            "trim" => self.stage.trim(step["floor"].as_i64().ok_or("no floor")?).await,
            other => return Err(format!("a verb that this runner does not know: {other}")),
        }
        self.statuses(step.get("statuses")).await
    }

    /// The template of a step, once for each number.
    fn each(&self, step: &Value, each: &Value) -> Option<Value> {
        let (from, to, template) = (each[0].as_u64()?, each[1].as_u64()?, &step["activities"][0]);
        let mut made = without(step, &["expect", "statuses", "each", "activities"])?;
        let one = |i: u64| self.names.with("i", json!(i)).with("hex", json!(format!("{i:012x}"))).filled(template);
        made["activities"] = (from..=to).map(one).collect();
        Some(made)
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let url = format!("http://{}{path}", self.stage.address());
        let answer = self.http.get(url).send().await.map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }

    async fn statuses(&self, wanted: Option<&Value>) -> Result<(), String> {
        let Some(Value::Object(wanted)) = wanted else { return Ok(()) };
        let task = self.get(&format!("/v1/tasks/{}", self.task)).await?;
        let runs = task["invocations"].as_array().ok_or("no invocations")?;
        for (run, status) in wanted {
            let found = runs.iter().find(|found| found["invocationId"] == **run).map(|found| &found["status"]);
            if found != Some(status) {
                return Err(format!("status of {run}: {found:?}, not {status}"));
            }
        }
        Ok(())
    }

    async fn request(&mut self, step: &Value, expect: &Value) -> Result<(), String> {
        let method = text(step, "method")?.parse().map_err(|_| "no such method")?;
        let mut request = self.http.request(method, format!("http://{}{}", self.stage.address(), text(step, "path")?));
        for (name, value) in step["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        request = match (step.get("body"), step.get("text")) {
            (Some(body), _) => request.body(body.to_string()),
            (_, Some(Value::String(body))) => request.body(body.clone()),
            _ => request,
        };
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let body = answer.text().await.map_err(|error| error.to_string())?;
        self.names.check(&expect["status"], &json!(status), "status").map_err(|error| format!("{error}: {body}"))?;
        if let Some(wanted) = expect.get("body") {
            let found = serde_json::from_str(&body).map_err(|error| error.to_string())?;
            self.names.check(wanted, &found, "body")?;
        }
        for (key, there) in [("contains", true), ("lacks", false)] {
            for piece in expect[key].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if body.contains(&self.names.filled_text(piece)) != there {
                    return Err(format!("{key} {piece}: {body}"));
                }
            }
        }
        Ok(())
    }

    async fn publish(&mut self, step: &Value, expect: &Value) -> Result<(), String> {
        let task = step.get("task").and_then(Value::as_str).unwrap_or(&self.task).to_owned();
        let activities: Vec<Bytes> =
            step["activities"].as_array().ok_or("no activities")?.iter().map(|one| one.to_string().into()).collect();
        let found = match self.published(&task, step.get("over").is_some(), &activities).await {
            Ok(results) => results.iter().map(result).collect::<Vec<_>>(),
            Err(failed) => return self.names.check(&expect["error"], &failed, "error"),
        };
        if expect.get("error").is_some() {
            return Err("it was to fail".to_owned());
        }
        if let Some(wanted) = expect.get("results") {
            self.names.check(wanted, &json!(found), "results")?;
        }
        if let (Some(from), Some(to)) = (expect["offsets"][0].as_u64(), expect["offsets"][1].as_u64()) {
            let offsets: Vec<_> = found.iter().filter_map(|one| one["offset"].as_u64()).collect();
            if offsets != (from..=to).collect::<Vec<_>>() {
                return Err(format!("offsets {offsets:?}, not {from} to {to}"));
            }
        }
        if found.len() == activities.len() { Ok(()) } else { Err("not as many results as activities".to_owned()) }
    }

    /// Publishes until it is answered, as long as another try may help.
    async fn published(&self, task: &str, over_redis: bool, activities: &[Bytes]) -> Result<Vec<ItemResult>, Failed> {
        let task = task.parse().map_err(|_| json!({"code": "invalid_task_id"}))?;
        let mut publisher = match (&self.redis, over_redis) {
            (Some((url, prefix)), true) => {
                let address = url.parse().expect("an address");
                Publisher::Redis(Box::new(RedisPublisher::new(&address, prefix, task).map_err(|error| failed(&error))?))
            }
            _ => Publisher::Hub(self.client(false), task),
        };
        let trying = async {
            loop {
                match publisher.publish(activities).await {
                    Err(error) if error.is_transient() => sleep(RETRY).await,
                    done => return done.map_err(|error| failed(&error)),
                }
            }
        };
        timeout(PATIENCE, trying).await.expect("in time")
    }

    fn client(&self, viewer: bool) -> Client {
        let address = self.road.as_ref().filter(|_| viewer).map_or_else(|| self.stage.address(), |road| road.address);
        Client::new(&format!("http://{address}"), None).expect("a URL")
    }

    async fn follow(&mut self, step: &Value, expect: &Value) -> Result<(), String> {
        let opened = match filter(step) {
            Err(failed) => Err(failed),
            Ok(filter) => {
                let task = self.task.parse().map_err(|_| "no task id")?;
                let mut follow = self.client(true).follow(task, start(&step["from"])?, filter);
                loop {
                    match next(&mut follow).await {
                        Ok(event) if event["event"] == "subscribed" => break Ok(follow),
                        Ok(_) => {}
                        Err(failed) => break Err(failed),
                    }
                }
            }
        };
        match (opened, expect.get("error")) {
            (Ok(follow), None) => {
                self.viewers.insert(text(step, "as")?.to_owned(), follow);
                Ok(())
            }
            (Ok(_), Some(_)) => Err("it was to fail".to_owned()),
            (Err(failed), wanted) => self.names.check(wanted.unwrap_or(&Value::Null), &failed, "error"),
        }
    }

    fn viewer(&mut self, name: &str) -> Result<&mut Follow, String> {
        self.viewers.get_mut(name).ok_or_else(|| format!("no viewer {name}"))
    }

    async fn events(&mut self, name: &str, expect: &Value) -> Result<(), String> {
        for wanted in expect.as_array().ok_or("no events")? {
            match (wanted["event"].as_str(), wanted["from"].as_u64(), wanted["to"].as_u64()) {
                (Some("activities"), Some(from), Some(to)) => {
                    for offset in from..=to {
                        self.event(name, &json!({"event": "activity", "offset": offset})).await?;
                    }
                }
                _ => self.event(name, wanted).await?,
            }
        }
        Ok(())
    }

    /// Takes events up to the one that is wanted; only chatter may come before it.
    async fn event(&mut self, name: &str, wanted: &Value) -> Result<(), String> {
        loop {
            let found = next(self.viewer(name)?).await.map_err(|failed| failed.to_string())?;
            let same = found["event"] == wanted["event"];
            let chatter = found["event"].as_str().is_some_and(|event| CHATTER.contains(&event));
            if chatter && !(same && self.names.clone().check(wanted, &found, "event").is_ok()) {
                continue;
            }
            return self.names.check(wanted, &found, "event").map_err(|error| format!("{error} in {found}"));
        }
    }
}

/// An object without these fields.
fn without(step: &Value, fields: &[&str]) -> Option<Value> {
    let mut step = step.as_object()?.clone();
    step.retain(|name, _| !fields.contains(&name.as_str()));
    Some(Value::Object(step))
}

fn text<'a>(step: &'a Value, name: &str) -> Result<&'a str, String> {
    step[name].as_str().ok_or_else(|| format!("no {name}"))
}

fn start(from: &Value) -> Result<Start, String> {
    match (from.as_str(), from["last"].as_u64(), from["after"].as_str()) {
        (Some("start"), ..) => Ok(Start::Beginning),
        (Some("end"), ..) => Ok(Start::End),
        (_, Some(last), _) => Ok(Start::Last(last)),
        (.., Some(cursor)) => cursor.parse().map(Start::After).map_err(|_| format!("{cursor} is no cursor")),
        _ => Err(format!("{from} is no place to begin")),
    }
}

fn filter(step: &Value) -> Result<Filter, Failed> {
    let types = step["types"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::parse);
    let types = types.collect::<Result<_, _>>().map_err(|_| json!({"code": "unknown_type"}))?;
    let invocation = step["invocation"].as_str().map(str::parse).transpose();
    let invocation = invocation.map_err(|_| json!({"code": "invalid_invocation_id"}))?;
    Ok(Filter { types, invocation, finished_series: step["series"] == "final" })
}

fn failed(error: &ClientError) -> Failed {
    match error {
        ClientError::Refused(problem) => json!({"code": problem.code, "field": problem.field, "status": problem.status}),
        other => json!({"code": other.to_string()}),
    }
}

fn result(result: &ItemResult) -> Value {
    match result {
        ItemResult::Stored(receipt) => json!({"eventId": receipt.event_id.to_string(), "offset": receipt.offset.get(),
            "cursor": receipt.cursor.to_string(), "duplicate": receipt.duplicate}),
        ItemResult::Acknowledged(event_id) => json!({"eventId": event_id.to_string()}),
        ItemResult::Heartbeat => json!({"heartbeat": true}),
        ItemResult::Refused(refusal) => json!({"error": {"code": refusal.code, "field": refusal.field}}),
    }
}

/// The next event in the list's words.
async fn next(follow: &mut Follow) -> Result<Value, Failed> {
    let Ok(event) = timeout(PATIENCE, follow.next()).await else { return Err(json!({"code": "nothing came in time"})) };
    Ok(match event {
        Ok(Event::Subscribed { epoch, floor, head }) => {
            json!({"event": "subscribed", "epoch": epoch.map(|epoch| epoch.to_string()), "floor": floor.get(), "head": head.get()})
        }
        Ok(Event::Activity(received)) => {
            let text = format!("{{{}", received.json_after_brace());
            let mut activity: Value = serde_json::from_str(&text).expect("an activity");
            activity["event"] = json!("activity");
            activity
        }
        Ok(Event::Live(offset)) => json!({"event": "live", "offset": offset.get()}),
        Ok(Event::Skipped(offset)) => json!({"event": "cursor", "offset": offset.get()}),
        Ok(Event::Truncated(floor)) => json!({"event": "truncated", "floor": floor.get()}),
        Ok(Event::Reset(epoch)) => json!({"event": "reset", "epoch": epoch.to_string()}),
        Ok(Event::Deleted) => json!({"event": "unsubscribed", "reason": "deleted"}),
        Ok(Event::Reconnecting { .. }) => json!({"event": "reconnecting"}),
        Err(FollowError::Refused { code, .. }) => return Err(json!({"code": code})),
        Err(error) => return Err(json!({"code": error.to_string()})),
    })
}

#[tokio::test]
async fn the_rust_client_does_what_every_client_must() {
    let list: Value = serde_json::from_str(include_str!("../../sdk/conformance/scenarios.json")).expect("JSON");
    assert_eq!(list["version"], 1);
    let (mut played, mut left_out, mut wrong) = (0, Vec::new(), Vec::new());
    for (number, scenario) in list["scenarios"].as_array().expect("scenarios").iter().enumerate() {
        let needs: Vec<&str> = scenario["needs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(needs.iter().all(|need| ["redis", "proxy", "hub", "trim", CANNOT].contains(need)), "{needs:?}");
        if needs.contains(&CANNOT) {
            left_out.push(scenario["name"].as_str().expect("a name"));
            continue;
        }
        let mut player = Player::prepare(&needs, number).await;
        played += 1;
        for (place, step) in scenario["steps"].as_array().expect("steps").iter().enumerate() {
            if let Err(error) = player.play(step).await {
                wrong.push(format!("{}, step {}: {error}", scenario["name"], place + 1));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {played} scenarios: {wrong:#?}", wrong.len());
    assert_eq!((played, left_out), (31, LEFT_OUT.to_vec()), "the list has changed: say here what is played and what is not");
}
