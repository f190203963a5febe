//! Sets of Redis servers of one test's own: a master with a replica and a Sentinel, a cluster of three, one that speaks TLS and knows users.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::{harness::PATIENCE, services::free_address};

/// How often something is looked at that will come to be.
const LOOK: std::time::Duration = std::time::Duration::from_millis(50);

/// Some servers, which end with this.
pub struct Servers {
    pub folder: TempDir,
    pub ports: Vec<u16>,
    children: Vec<Child>,
}

fn port() -> u16 {
    // Cluster nodes also need this plus 10,000.
    loop {
        let port = free_address().expect("a free port").port();
        if port < 50_000 {
            return port;
        }
    }
}

/// What a program of Redis's answers on its standard output.
pub fn redis_cli(arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(arguments).output().expect("redis-cli is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until `redis-cli` with these arguments answers something that contains `words`.
pub async fn until_said(arguments: &[&str], words: &str) {
    let said = async {
        while !redis_cli(arguments).contains(words) {
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("{arguments:?} never said {words}: {}", redis_cli(arguments)));
}

impl Servers {
    fn none() -> Self {
        Self { folder: TempDir::new().expect("a folder"), ports: Vec::new(), children: Vec::new() }
    }

    fn add(&mut self, flags: &[&str]) -> String {
        let port = port();
        let folder = self.folder.path().join(port.to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--dir"]).arg(&folder);
        if !flags.contains(&"--tls-port") {
            command.args(["--port", &port.to_string()]);
        }
        let flags: Vec<_> = flags.iter().map(|flag| flag.replace("{port}", &port.to_string())).collect();
        self.children.push(command.args(flags).stdout(Stdio::null()).spawn().expect("redis-server is installed"));
        self.ports.push(port);
        port.to_string()
    }

    /// A master, a replica, and a Sentinel that knows them as `main`: `ports` in this order.
    pub async fn with_replica() -> Self {
        let mut servers = Self::none();
        let master = servers.add(&[]);
        until_said(&["-p", &master, "ping"], "PONG").await;
        let replica = servers.add(&["--replicaof", "127.0.0.1", &master]);
        until_said(&["-p", &replica, "info", "replication"], "master_link_status:up").await;
        let (port, file) = (port(), servers.folder.path().join("sentinel.conf"));
        let config = format!(
            "bind 127.0.0.1\nport {port}\nsentinel monitor main 127.0.0.1 {master} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
        );
        std::fs::write(&file, config).expect("a file");
        let mut command = Command::new("redis-server");
        servers.children.push(command.arg(&file).arg("--sentinel").stdout(Stdio::null()).spawn().expect("it starts"));
        servers.ports.push(port);
        until_said(&["-p", &port.to_string(), "sentinel", "replicas", "main"], &replica).await;
        servers
    }

    /// Three masters that share the slots.
    pub async fn cluster() -> Self {
        let mut servers = Self::none();
        for _ in 0..3 {
            let port = servers.add(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
            until_said(&["-p", &port, "ping"], "PONG").await;
        }
        let addresses: Vec<_> = servers.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let create =
            [&["--cluster", "create"][..], &addresses.iter().map(String::as_str).collect::<Vec<_>>(), &["--cluster-yes"]]
                .concat();
        let said = redis_cli(&create);
        assert!(said.contains("All 16384 slots covered"), "{said}");
        for port in servers.ports.clone() {
            until_said(&["-p", &port.to_string(), "cluster", "info"], "cluster_state:ok").await;
        }
        servers
    }

    /// One that speaks TLS only, with a certificate of an authority of its own, whose file this gives, and that lets only this user in.
    pub async fn with_tls(user: &str, rules: &str) -> (Self, PathBuf) {
        let mut servers = Self::none();
        let script = "cd \"$0\" && \
            openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -keyout ca.key -out ca.pem && \
            openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr && \
            printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE\\n' > extensions && \
            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile extensions -out server.pem";
        let made = Command::new("sh").args(["-c", script]).arg(servers.folder.path()).output().expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = |name: &str| servers.folder.path().join(name).display().to_string();
        let (ca, certificate, key, acl) = (file("ca.pem"), file("server.pem"), file("server.key"), file("users.acl"));
        std::fs::write(&acl, format!("user default off\nuser {user} {rules}\n")).expect("a file");
        servers.add(&[
            "--port",
            "0",
            "--tls-port",
            "{port}",
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &ca,
            "--tls-auth-clients",
            "no",
            "--aclfile",
            &acl,
        ]);
        let port = servers.ports[0].to_string();
        until_said(&["-p", &port, "--tls", "--cacert", &ca, "ping"], "NOAUTH").await;
        (servers, ca.into())
    }

    /// `kill -9` of the server at this place.
    pub fn kill(&mut self, place: usize) {
        // It may have ended already.
        let _ = self.children[place].kill();
        let _ = self.children[place].wait();
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.children.len()).for_each(|place| self.kill(place));
    }
}
