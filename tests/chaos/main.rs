//! Faults, one after the other, while agents publish and viewers watch; then everything is compared with the log. See docs/chaos.md.

mod services;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let mut redis = services::Redis::start(folder.path()).await?;
        redis.kill()?;
        redis.start_again().await?;
        let mut postgres = services::Postgres::start(folder.path()).await?;
        postgres.stop_at_once().await?;
        postgres.start_again().await?;
        println!("{} {}", redis.address(), postgres.url());
        Ok(())
    })
}
