//! The rights in Redis that docs/redis.md hands out, as they stand there: what each user needs works, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};

use redis::{Value as Answer, aio::MultiplexedConnection};
use serde_json::json;
use tasklight::config::Settings;

use crate::{
    cluster::{Cluster, numbered, numbers},
    harness::TestHub,
    program::{end, tasklight},
    stand_in::OwnRedis,
    viewer::Viewer,
};

/// What Redis lets everybody do, so that they can log in and out.
const ALWAYS: [&str; 4] = ["auth", "hello", "quit", "reset"];

/// The users of the document, and what each needs beside the above.
const NEEDED: [(&str, &[&str]); 3] = [
    (
        "hub",
        &[
            "evalsha",
            "hdel",
            "hget",
            "hgetall",
            "hset",
            "pexpire",
            "ping",
            "publish",
            "script|load",
            "subscribe",
            "time",
            "unsubscribe",
            "unwatch",
        ],
    ),
    ("agent-7", &["ping", "publish", "subscribe", "unwatch"]),
    (
        "operator",
        &[
            "acl|log",
            "acl|whoami",
            "client|info",
            "client|list",
            "hgetall",
            "info",
            "latency|latest",
            "ping",
            "pttl",
            "pubsub|channels",
            "pubsub|numpat",
            "pubsub|numsub",
            "slowlog|get",
            "unwatch",
        ],
    ),
];

/// The rules of a user as they stand in the document: words, or what is in parentheses.
fn rules(user: &str) -> Vec<String> {
    let document = include_str!("../../docs/redis.md");
    let block = document.split(&format!("    ACL SETUSER {user} ")).nth(1).and_then(|rest| rest.split("\n\n").next());
    let block = block.expect("it is in the document");
    let mut rules: Vec<String> = Vec::new();
    for word in block.split_whitespace() {
        match rules.last_mut() {
            Some(open) if open.starts_with('(') && !open.ends_with(')') => *open = format!("{open} {word}"),
            _ => rules.push(word.to_owned()),
        }
    }
    rules
}

/// A Redis that knows the users of the document.
struct Guarded {
    redis: OwnRedis,
    admin: MultiplexedConnection,
}

impl Guarded {
    async fn start() -> Self {
        Self::of(OwnRedis::start().await, |_, rules| rules).await
    }

    async fn of(redis: OwnRedis, change: impl Fn(&str, Vec<String>) -> Vec<String>) -> Self {
        let admin = connect(&redis.url()).await;
        let mut guarded = Self { redis, admin };
        for (user, _) in NEEDED {
            let mut command = redis::cmd("ACL");
            command.arg("SETUSER").arg(user).arg(change(user, rules(user)));
            let () = command.query_async(&mut guarded.admin).await.expect("they are rules");
        }
        guarded
    }

    /// The address for this user.
    fn url(&self, user: &str) -> String {
        self.redis.url().replace("://", &format!("://{user}:password@"))
    }

    /// What Redis would say if this user gave this command.
    async fn would_say(&mut self, user: &str, command: &[&str]) -> String {
        let answer = redis::cmd("ACL").arg("DRYRUN").arg(user).arg(command).query_async(&mut self.admin).await;
        answer.unwrap_or_else(|error: redis::RedisError| panic!("{command:?}: {error}"))
    }

    /// What was denied to this user so far.
    async fn denied(&mut self, user: &str) -> Vec<String> {
        let log: Vec<BTreeMap<String, Answer>> = redis::cmd("ACL").arg("LOG").query_async(&mut self.admin).await.expect("a log");
        let text = |entry: &BTreeMap<String, Answer>, field: &str| -> String {
            entry.get(field).and_then(|value| redis::from_redis_value(value.clone()).ok()).unwrap_or_default()
        };
        log.iter().filter(|entry| text(entry, "username") == user).map(|entry| text(entry, "object")).collect()
    }
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a URL");
    client.get_multiplexed_async_connection().await.expect("Redis lets it in")
}

/// Every command and subcommand of this Redis, with as many arguments as it needs at least.
async fn commands(admin: &mut MultiplexedConnection) -> Vec<(String, usize)> {
    fn read(info: &Answer, into: &mut Vec<(String, usize)>) {
        let Answer::Array(fields) = info else { panic!("{info:?}") };
        let name: String = redis::from_redis_value(fields[0].clone()).expect("a name");
        let arity: i64 = redis::from_redis_value(fields[1].clone()).expect("a number");
        let Answer::Array(below) = &fields[9] else { panic!("{name}: {:?}", fields[9]) };
        let words = usize::try_from(arity.abs()).expect("small");
        if below.is_empty() {
            into.push((name, words));
        }
        below.iter().for_each(|info| read(info, into));
    }
    let Answer::Array(all) = redis::cmd("COMMAND").query_async(admin).await.expect("an answer") else { panic!("a list") };
    let mut commands = Vec::new();
    all.iter().for_each(|info| read(info, &mut commands));
    commands
}

#[tokio::test]
async fn every_command_that_is_not_needed_is_denied() {
    let mut redis = Guarded::start().await;
    let commands = commands(&mut redis.admin).await;
    assert!(300 < commands.len(), "{} commands", commands.len());
    for (user, needed) in NEEDED {
        let mut allowed = BTreeSet::new();
        for (name, words) in &commands {
            let mut command: Vec<&str> = name.split('|').collect();
            command.resize(command.len().max(*words), "tasklight:nodes");
            // Whether its keys and channels may be touched is said only of commands that may be given.
            if !redis.would_say(user, &command).await.contains("no permissions to run") {
                allowed.insert(name.as_str());
            }
        }
        let unwatch = (user == "operator").then_some("unwatch");
        let expected: BTreeSet<_> = ALWAYS.iter().chain(needed).copied().filter(|name| Some(*name) != unwatch).collect();
        assert_eq!(allowed, expected, "{user}");
    }
}

#[tokio::test]
async fn every_channel_is_for_whom_it_is_for() {
    let mut redis = Guarded::start().await;
    // Who may publish, who may subscribe: hub, agent-7.
    for (channel, publish, subscribe) in [
        ("tasks", [true, true], [true, false]),
        ("task:agent-7-build", [true, true], [true, false]),
        ("task:agent-7-", [true, true], [true, false]),
        ("task:agent-70-build", [true, false], [true, false]),
        ("task:agent-7", [true, false], [true, false]),
        ("task:agent-8-build", [true, false], [true, false]),
        ("task:*", [true, false], [true, false]),
        ("ack:agent-7-build", [true, false], [true, true]),
        ("ack:agent-8-build", [true, false], [true, false]),
        ("ack:*", [true, false], [true, false]),
        ("feed:agent-7-build", [true, false], [true, false]),
        ("feed:agent-8-build", [true, false], [true, false]),
        ("changed", [true, false], [true, false]),
        ("cluster", [true, false], [true, false]),
        ("node:hub-1#5f3a9c1e", [true, false], [true, false]),
        ("probe:hub-1#5f3a9c1e:feed:0:0", [true, false], [true, false]),
        ("probe:agent-5f3a9c1e00000000:acks:0:0", [true, true], [true, true]),
        ("nodes", [false, false], [false, false]),
        ("staging:task:agent-7-build", [false, false], [false, false]),
    ] {
        let name = format!("tasklight:{channel}");
        for (index, user) in ["hub", "agent-7"].into_iter().enumerate() {
            let may = redis.would_say(user, &["PUBLISH", &name, "x"]).await == "OK";
            assert_eq!(may, publish[index], "{user} publishes to {channel}");
            let may = redis.would_say(user, &["SUBSCRIBE", &name]).await == "OK";
            assert_eq!(may, subscribe[index], "{user} subscribes to {channel}");
        }
        for command in [&["PUBLISH", &name, "x"][..], &["SUBSCRIBE", &name]] {
            assert_ne!(redis.would_say("operator", command).await, "OK", "{command:?}");
        }
    }
    for (user, key, may) in [
        ("hub", "tasklight:nodes", true),
        ("hub", "tasklight:nodes2", false),
        ("hub", "other", false),
        ("operator", "tasklight:nodes", true),
        ("operator", "other", false),
        ("agent-7", "tasklight:nodes", false),
    ] {
        assert_eq!(redis.would_say(user, &["HGETALL", key]).await == "OK", may, "{user} reads {key}");
        assert_eq!(redis.would_say(user, &["HSET", key, "a", "b"]).await == "OK", may && user == "hub", "{user} writes {key}");
        assert_eq!(
            redis.would_say(user, &["EVALSHA", "x", "1", key]).await == "OK",
            may && user == "hub",
            "{user} runs on {key}"
        );
    }
}

fn around(url: &str) -> impl Fn(&mut Settings) {
    let url = url.to_owned();
    move |settings| {
        settings.broker.url = url.clone();
        settings.broker.prefix = "tasklight:".to_owned();
    }
}

/// Hubs with the rights of hubs and no more.
async fn hubs_on(url: &str, count: usize, agent: &str) -> Cluster {
    let mut cluster = Cluster::start(0, agent, |_| {}).await;
    cluster.prefix = "tasklight:".to_owned();
    for _ in 0..count {
        cluster.add(around(url)).await;
    }
    cluster
}

#[tokio::test]
async fn hubs_need_no_more_rights_than_are_written_down() {
    let mut redis = Guarded::start().await;
    // The one who publishes has an agent's rights.
    let mut cluster = hubs_on(&redis.url("hub"), 2, &redis.url("agent-7")).await;
    let task = "agent-7-build";
    let mut viewers = Vec::new();
    for hub in &cluster.hubs {
        viewers.push(Viewer::subscribe(hub.address(), task, json!({})).await);
    }
    for n in 0..3 {
        assert!(1 <= cluster.publish(task, &numbered(n)).await);
    }
    cluster.heard_by(task, 2).await;
    // Whoever owns the task leaves, and the other takes it over.
    assert!(cluster.hubs[0].stop().await);
    cluster.heard_by(task, 1).await;
    cluster.publish(task, &numbered(3)).await;
    let log = cluster.log_of(1, task, 4).await;
    assert_eq!(numbers(&log), [0, 1, 2, 3]);
    assert_eq!(numbers(&viewers[1].activities(4).await), [0, 1, 2, 3]);
    assert_eq!(redis.denied("hub").await, Vec::<String>::new());
    assert_eq!(redis.denied("agent-7").await, Vec::<String>::new());
}

#[tokio::test]
async fn in_a_cluster_the_sharded_commands_take_their_place() {
    let (redis, _) = OwnRedis::cluster().await;
    let sharded = |user: &str, rules: Vec<String>| {
        if user == "operator" {
            return rules;
        }
        let mut rules: Vec<String> = rules.iter().map(|rule| rule.replace("+publish", "+spublish")).collect();
        rules =
            rules.iter().map(|rule| rule.replace("+subscribe", "+ssubscribe").replace("+unsubscribe", "+sunsubscribe")).collect();
        // What the user may do is before what is in parentheses.
        rules.insert(2, "+cluster|slots".to_owned());
        rules
    };
    let all: Vec<_> = sharded("hub", rules("hub"));
    assert!(["+spublish", "+ssubscribe", "+sunsubscribe", "+cluster|slots"].iter().all(|rule| all.iter().any(|one| one == rule)));
    let mut redis = Guarded::of(redis, |user, rules| {
        let mut rules = sharded(user, rules);
        // `-@all` is after it.
        rules.sort_by_key(|rule| rule.starts_with('+') || rule.starts_with('('));
        rules
    })
    .await;
    let address = |user: &str| redis.url(user).replace("redis://", "redis+cluster://");
    let hub = TestHub::start_with(around(&address("hub"))).await;
    hub.member().await;
    let mut command = tasklight("http://127.0.0.1:1", ["run", "--task", "agent-7-run", "--", "sh", "-c", "echo one; exit 2"]);
    command.env_remove("TASKLIGHT_HUB").env("TASKLIGHT_REDIS", address("agent-7"));
    let done = end(command.spawn().expect("it starts")).await;
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    let log = hub.log("agent-7-run").await;
    assert!(log.iter().any(|activity| activity["data"]["text"] == "one\n"), "{log:?} {}", done.stderr);
    assert_eq!(redis.denied("hub").await, Vec::<String>::new());
    assert_eq!(redis.denied("agent-7").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_agent_can_neither_forge_nor_listen() {
    let mut redis = Guarded::start().await;
    let cluster = hubs_on(&redis.url("hub"), 1, &redis.url("agent-7")).await;
    let hub = &cluster.hubs[0];
    hub.publish("agent-8-build", &["theirs"]).await;
    let mut agent = connect(&redis.url("agent-7")).await;
    let forged = numbered(1).to_string();
    let event = "0190c6a4-7c1e-7000-8000-5f3a9c1e0001";
    let ack = json!({"invocationId": "r", "eventIds": [event]}).to_string();
    let control = json!({"op": "forget", "from": "x", "tasks": ["agent-8-build"]}).to_string();
    for (channel, text) in [
        ("task:agent-8-build", &*forged),
        ("task:agent-8-build", "\0tasklight:mark\0claims\0x\x001"),
        ("feed:agent-8-build", "\u{1}\0"),
        ("feed:agent-7-build", "\u{1}\0"),
        ("ack:agent-8-build", &ack),
        ("ack:agent-7-build", &ack),
        ("changed", "[\"agent-8-build\"]"),
        ("cluster", &control),
        ("node:hub-1#00000000", &control),
    ] {
        let answer = redis::cmd("PUBLISH").arg(format!("tasklight:{channel}")).arg(text).query_async::<u64>(&mut agent).await;
        assert_eq!(answer.map_err(|error| error.code().map(str::to_owned)), Err(Some("NOPERM".to_owned())), "{channel}");
    }
    let client = redis::Client::open(redis.url("agent-7")).expect("a URL");
    let mut ears = client.get_async_pubsub().await.expect("Redis lets it in");
    for channel in
        ["feed:agent-7-build", "feed:agent-8-build", "ack:agent-8-build", "task:agent-8-build", "cluster", "changed", "tasks"]
    {
        let answer = ears.subscribe(format!("tasklight:{channel}")).await;
        assert_eq!(answer.map_err(|error| error.code().map(str::to_owned)), Err(Some("NOPERM".to_owned())), "{channel}");
    }
    assert!(ears.psubscribe("*").await.is_err() && ears.psubscribe("tasklight:ack:agent-7-*").await.is_err());
    for command in
        ["FLUSHALL", "SHUTDOWN", "MONITOR", "KEYS *", "ACL LIST", "CONFIG GET *", "EVAL return(1) 0", "HGETALL tasklight:nodes"]
    {
        let mut parts = command.split(' ');
        let mut words = redis::cmd(parts.next().expect("a word"));
        words.arg(parts.collect::<Vec<_>>());
        let answer = words.query_async::<Answer>(&mut agent).await;
        assert_eq!(answer.map_err(|error| error.code().map(str::to_owned)), Err(Some("NOPERM".to_owned())), "{command}");
    }
    // The program says what it may not do, and the hub has heard of nothing.
    let over = |arguments: &[&str]| {
        let mut command = tasklight("http://127.0.0.1:1", arguments);
        command.env_remove("TASKLIGHT_HUB").env("TASKLIGHT_REDIS", redis.url("agent-7"));
        command.spawn().expect("it starts")
    };
    let done = end(over(&["run", "--task", "agent-7-run", "--", "echo", "one"])).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(hub.log("agent-7-run").await.iter().any(|activity| activity["data"]["text"] == "one\n"), "{}", done.stderr);
    let done = end(over(&["publish", "agent-8-build", "--invocation=r", "--type=custom", "--retry-for=0s"])).await;
    assert!(done.code == Some(3) && done.stderr.contains("may this user subscribe to it?"), "{:?} {}", done.code, done.stderr);
    assert_eq!(hub.log("agent-8-build").await.len(), 1, "theirs alone");
    assert_eq!(redis.denied("hub").await, Vec::<String>::new());
    let mut hub = connect(&redis.url("hub")).await;
    for words in [
        &["KEYS", "*"][..],
        &["FLUSHALL"],
        &["CONFIG", "GET", "*"],
        &["EVAL", "return 1", "0"],
        &["PUBLISH", "other:task:t", "x"],
    ] {
        let answer = redis::cmd(words[0]).arg(&words[1..]).query_async::<Answer>(&mut hub).await;
        assert_eq!(answer.map_err(|error| error.code().map(str::to_owned)), Err(Some("NOPERM".to_owned())), "{words:?}");
    }
}
