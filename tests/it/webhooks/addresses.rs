//! Where webhooks do not go: what only the hub can reach.

use serde_json::json;

use super::{Answer, Receiver, endpoint, figure, status, tell, until_figure};
use crate::harness::TestHub;

#[tokio::test]
async fn neither_a_private_address_nor_a_name_that_means_one_is_sent_anything() {
    let mut receiver = Receiver::start().await;
    let port = receiver.address.port();
    // Names are looked up as the system does: `localhost` is one that means a private address.
    let urls = [
        ("name", format!("http://localhost:{port}/")),
        ("address", format!("http://127.0.0.1:{port}/")),
        ("number", format!("http://2130706433:{port}/")),
        ("mapped", format!("http://[::ffff:127.0.0.1]:{port}/")),
        ("all", format!("http://0.0.0.0:{port}/")),
    ];
    let endpoints: Vec<_> = urls.iter().map(|(name, url)| endpoint(name, url)).collect();
    let hub = TestHub::start_with(|settings| {
        tell(settings, json!(endpoints));
        settings.webhooks.allow_private = serde_json::from_value(json!("10.0.0.0/8,::1")).expect("a list");
    })
    .await;
    hub.post("t", status("r", "failed")).await;
    for (name, _) in &urls {
        until_figure(&hub, &format!(r#"tasklight_webhook_failures_total{{endpoint="{name}",reason="address"}}"#), 2).await;
    }
    assert!(receiver.is_silent());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (mut first, mut inside) = (Receiver::start().await, Receiver::start().await);
    let away = |status| Answer::Status(status, vec![("location", inside.url("/metadata"))]);
    first.answers([301, 302, 303, 307, 308].map(away));
    let hub = TestHub::start_with(|settings| tell(settings, json!([endpoint("ops", &first.url("/"))]))).await;
    hub.post("t", status("r", "failed")).await;
    let id = first.next().await.id().to_owned();
    for _ in 0..5 {
        assert_eq!(first.next().await.id(), id, "it is tried again, at the same address");
    }
    until_figure(&hub, r#"tasklight_webhook_deliveries_total{endpoint="ops"}"#, 1).await;
    assert_eq!(figure(&hub, r#"tasklight_webhook_failures_total{endpoint="ops",reason="redirect"}"#).await, 5);
    assert!(inside.is_silent());
}
