//! Faults, one after the other, while agents publish and viewers watch; then everything is compared with the log. See docs/chaos.md.

mod checker;
mod hubs;
mod proxy;
mod services;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let redis = services::Redis::start(folder.path()).await?;
        let options = hubs::HubOptions {
            store: format!("sqlite://{}/log.db", folder.path().display()),
            log_level: "info".into(),
            folder: folder.path().into(),
        };
        let mut hub = hubs::Hub::new("hub-1", redis.address(), options)?;
        hub.start()?;
        hub.ready().await?;
        hub.freeze()?;
        hub.thaw()?;
        println!("{:?}", hub.condition().await);
        hub.stop().await?;
        println!("{}", hubs::tail(&hub.log(), 10));
        Ok(())
    })
}
