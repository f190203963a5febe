//! Which servers a Redis consists of at the moment, and which of them has what: one, the master that the Sentinels name, or the masters of
//! a cluster by hash slot.

use std::time::Duration;

use redis::{ConnectionInfo, Value};
use tokio::time::timeout;

use super::{
    BrokerError,
    address::{Kind, RedisAddress},
};

/// How many slots a cluster has (Redis Cluster specification).
const SLOTS: u16 = 16_384;

/// The servers that take writes.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    pub(super) masters: Vec<ConnectionInfo>,
    /// Slot ranges, both ends included, and whose they are. Empty if there is one master.
    slots: Vec<(u16, u16, usize)>,
    pub(super) sharded: bool,
}

impl Servers {
    /// Asks who they are. Takes at most `patience` for each server that is asked.
    pub(super) async fn discover(address: &RedisAddress, patience: Duration) -> Result<Self, BrokerError> {
        match &address.kind {
            Kind::Single => {
                let (host, port) = &address.hosts[0];
                Ok(Self { masters: vec![address.server(host, *port)?], slots: Vec::new(), sharded: false })
            }
            Kind::Sentinel(service) => {
                let command = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service).to_owned();
                let answer = ask_any(address, &command, patience, |host, port| address.sentinel(host, port)).await?;
                let found: Option<(String, u16)> = redis::from_redis_value(answer.1).ok();
                let (host, port) = found.ok_or(BrokerError::Unusable("the Sentinels do not know this master"))?;
                let master = address.server(&host, port)?;
                // During a failover Sentinels may name one that is no master yet, or no more. Who may not ask has to believe them.
                let role = ask(master.clone(), &redis::cmd("ROLE"), patience).await;
                if matches!(&role, Ok(Value::Array(role)) if role.first() != Some(&Value::BulkString(b"master".to_vec()))) {
                    return Err(BrokerError::Unusable("the Sentinels name a server that is no master"));
                }
                Ok(Self { masters: vec![master], slots: Vec::new(), sharded: false })
            }
            Kind::Cluster => {
                let command = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
                let (asked, answer) = ask_any(address, &command, patience, |host, port| address.server(host, port)).await?;
                Self::of_cluster(address, &asked, answer).ok_or(BrokerError::Unusable("the cluster does not serve all slots"))?
            }
        }
    }

    /// Reads the answer of CLUSTER SLOTS. Nothing if some slots are nobody's.
    fn of_cluster(address: &RedisAddress, asked: &str, answer: Value) -> Option<Result<Self, BrokerError>> {
        let Value::Array(ranges) = answer else { return None };
        let mut names: Vec<(String, u16)> = Vec::new();
        let mut slots = Vec::new();
        let mut covered = 0;
        for range in ranges {
            let Value::Array(parts) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = parts.as_slice() else { return None };
            let [host, Value::Int(port), ..] = master.as_slice() else { return None };
            let host: String = redis::from_redis_value(host.clone()).unwrap_or_default();
            // An empty host is the one that was asked (CLUSTER SLOTS, "preferred endpoint").
            let host = if host.is_empty() || host == "?" { asked.to_owned() } else { host };
            let name = (host, u16::try_from(*port).ok()?);
            let index = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            covered += last.checked_sub(first)? + 1;
            slots.push((first, last, index));
        }
        if covered != SLOTS {
            return None;
        }
        let masters = names.iter().map(|(host, port)| address.server(host, *port)).collect::<Result<Vec<_>, _>>();
        Some(masters.map(|masters| Self { masters, slots, sharded: true }).map_err(BrokerError::from))
    }

    /// Which of the masters has this key or sharded channel.
    pub(super) fn master_of(&self, name: &str) -> usize {
        let slot = slot_of(name);
        self.slots.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map_or(0, |(_, _, index)| *index)
    }

    /// Names that begin with `name`, one on each master, in their order.
    pub(super) fn one_on_each(&self, name: &str) -> Vec<String> {
        let mut names: Vec<Option<String>> = vec![None; self.masters.len()];
        // Slots are spread evenly over numbers: each master is found soon.
        for number in 0..100_000_u32 {
            if names.iter().all(Option::is_some) {
                break;
            }
            let candidate = format!("{name}:{number}");
            let index = self.master_of(&candidate);
            names[index].get_or_insert(candidate);
        }
        names.into_iter().flatten().collect()
    }

    /// Whether these are the same servers with the same slots.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let addresses = |servers: &Self| servers.masters.iter().map(|info| info.addr().to_string()).collect::<Vec<_>>();
        addresses(self) == addresses(other) && self.slots == other.slots
    }
}

/// The answer of the first server or Sentinel that gives one, and its host.
async fn ask_any(
    address: &RedisAddress,
    command: &redis::Cmd,
    patience: Duration,
    info: impl Fn(&str, u16) -> redis::RedisResult<ConnectionInfo>,
) -> Result<(String, Value), BrokerError> {
    let mut last = BrokerError::Unusable("no server is named");
    for (host, port) in &address.hosts {
        match ask(info(host, *port)?, command, patience).await {
            Ok(Value::Nil) => last = BrokerError::Unusable("the Sentinels do not know this master"),
            Ok(answer) => return Ok((host.clone(), answer)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn ask(server: ConnectionInfo, command: &redis::Cmd, patience: Duration) -> Result<Value, BrokerError> {
    let client = redis::Client::open(server)?;
    let asking = async {
        let config =
            redis::AsyncConnectionConfig::new().set_connection_timeout(Some(patience)).set_response_timeout(Some(patience));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(command.query_async::<Value>(&mut connection).await?)
    };
    timeout(patience * 2, asking).await.unwrap_or(Err(BrokerError::Timeout))
}

/// The hash slot of a key (Redis Cluster specification): CRC-16/XMODEM of it, or of what is between the first braces.
fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag).filter(|tag| !tag.is_empty());
    let crc = tag.unwrap_or(key).bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot_of("123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot_of("{user1000}.following"), slot_of("{user1000}.followers"));
        assert_eq!(slot_of("foo{}{bar}"), slot_of("foo{}{bar}"));
        assert_ne!(slot_of("foo{}{bar}"), slot_of("bar"));
        assert_eq!(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    }

    #[test]
    fn a_cluster_is_read_and_probed_on_each_master() {
        let address: RedisAddress = "redis+cluster://h:7000".parse().expect("an address");
        let range = |first: i64, last: i64, host: &str, port: i64| {
            let master = Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master])
        };
        let answer = Value::Array(vec![range(0, 5460, "a", 1), range(5461, 10922, "", 2), range(10923, 16383, "a", 1)]);
        let servers = Servers::of_cluster(&address, "seed", answer).expect("all slots").expect("addresses");
        assert_eq!(servers.masters.len(), 2);
        let probes = servers.one_on_each("p");
        assert_eq!(probes.iter().map(|name| servers.master_of(name)).collect::<Vec<_>>(), [0, 1]);
        assert!(Servers::of_cluster(&address, "seed", Value::Array(vec![range(0, 16382, "a", 1)])).is_none(), "a hole");
    }
}
