//! What webhooks make of the values, and the forms of values that only they have.

use std::{fmt, fs, time::Duration};

use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ConfigError, EndpointSettings, Settings};
use crate::{
    auth::Pattern,
    model::Became,
    webhooks::{Allowed, Endpoint, RequestOptions, Secrets, WebhookOptions},
};

/// The most endpoints.
const MOST_ENDPOINTS: usize = 32;

/// The most bytes of a file with a secret.
const SECRET_BYTES: usize = 64 * 1024;

/// The most characters of an endpoint's name.
const NAME_CHARS: usize = 32;

/// What is told if nothing is said: what somebody may want to do something about.
const ON: [&str; 3] = ["failed", "lost", "stalled"];

/// Several endpoints, as an array of tables, or as JSON in one text.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Endpoints(pub Vec<EndpointSettings>);

impl<'de> Deserialize<'de> for Endpoints {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tables;
        impl<'de> de::Visitor<'de> for Tables {
            type Value = Endpoints;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tables [[webhooks.endpoint]], or a JSON array of objects in one text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Endpoints, E> {
                if text.trim().is_empty() {
                    return Ok(Endpoints::default());
                }
                // The text holds secrets: only where it is wrong is said.
                let place =
                    |error: serde_json::Error| format!("it is no such JSON (line {}, column {})", error.line(), error.column());
                serde_json::from_str(text).map(Endpoints).map_err(|error| de::Error::custom(place(error)))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut sequence: A) -> Result<Endpoints, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = sequence.next_element()? {
                    all.push(one);
                }
                Ok(Endpoints(all))
            }
        }
        deserializer.deserialize_any(Tables)
    }
}

/// A URL of which only the server is shown: the rest of it is a secret with many services.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct WebUrl(String);

impl From<&str> for WebUrl {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.parse::<Url>() {
            Ok(url) if url.has_host() => write!(f, "{}/…", url.origin().ascii_serialization()),
            _ => f.write_str(if self.0.is_empty() { "" } else { "[redacted]" }),
        }
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for WebUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Settings {
    /// Whom to tell what becomes of runs, if anybody; reads the files that are named.
    pub(crate) fn webhook_options(&self) -> Result<Option<WebhookOptions>, ConfigError> {
        let webhooks = &self.webhooks;
        let bad = |text: String| ConfigError::BadValue(text);
        let allowed = Allowed::parse(webhooks.allow_private.words())
            .map_err(|word| bad(format!("webhooks.allow_private: {word:?} is no network such as 10.0.0.0/8 and no address")))?;
        if MOST_ENDPOINTS < webhooks.endpoint.0.len() {
            return Err(bad(format!("webhooks.endpoint: at most {MOST_ENDPOINTS} of them")));
        }
        for (key, span, least) in [
            ("webhooks.interval", webhooks.interval, Duration::from_millis(10)),
            ("webhooks.stall_interval", webhooks.stall_interval, Duration::from_millis(10)),
            ("webhooks.timeout", webhooks.timeout, Duration::from_millis(10)),
            ("webhooks.retry_first", webhooks.retry_first, Duration::from_millis(1)),
            ("webhooks.retry_most", webhooks.retry_most, webhooks.retry_first.get()),
            ("webhooks.give_up_after", webhooks.give_up_after, Duration::from_secs(1)),
        ] {
            if span.get() < least {
                return Err(bad(format!("{key} must be at least {}", humantime::format_duration(least))));
            }
        }
        if webhooks.queue == 0 {
            return Err(bad("webhooks.queue must be at least 1".to_owned()));
        }
        let page_url = self.page_url()?;
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for (index, settings) in webhooks.endpoint.0.iter().enumerate() {
            let endpoint = endpoint(settings, webhooks.allow_http, index)?;
            if endpoints.iter().any(|other| other.name == endpoint.name) {
                return Err(bad(format!("webhooks.endpoint: two are called {:?}", endpoint.name)));
            }
            endpoints.push(endpoint);
        }
        if endpoints.is_empty() {
            return Ok(None);
        }
        Ok(Some(WebhookOptions {
            endpoints,
            page_url,
            requests: RequestOptions {
                timeout: webhooks.timeout.get(),
                longest_wait: webhooks.retry_most.get(),
                allowed,
                ca_file: (!webhooks.ca_file.is_empty()).then(|| webhooks.ca_file.clone().into()),
            },
            retry: (webhooks.retry_first.get(), webhooks.retry_most.get()),
            give_up_after: webhooks.give_up_after.get(),
            queue: webhooks.queue,
            stall_interval: webhooks.stall_interval.get(),
            stalled_after: self.store_options().stalled_after,
        }))
    }

    fn page_url(&self) -> Result<Option<String>, ConfigError> {
        let text = &self.webhooks.page_url;
        if text.is_empty() {
            return Ok(None);
        }
        let plain = |url: &Url| matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
        match text.parse::<Url>() {
            Ok(url) if plain(&url) && url.username().is_empty() => Ok(Some(text.trim_end_matches('/').to_owned())),
            _ => Err(ConfigError::BadValue(format!(
                "webhooks.page_url = {text:?} must be what the page's address begins with, such as https://tasklight.example.com"
            ))),
        }
    }
}

fn endpoint(settings: &EndpointSettings, allow_http: bool, index: usize) -> Result<Endpoint, ConfigError> {
    let name = &settings.name;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=NAME_CHARS).contains(&name.len()) || !name.bytes().all(known) {
        return Err(ConfigError::BadValue(format!(
            "webhooks.endpoint {}: name = {name:?} must be 1 to {NAME_CHARS} letters, digits, - and _",
            index + 1
        )));
    }
    let bad = |what: String| ConfigError::BadValue(format!("webhooks.endpoint {name:?}: {what}"));
    let url: Url = settings.url.0.parse().map_err(|_| bad("url must be a URL such as https://hooks.example.com/x".to_owned()))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            return Err(bad(
                "url must be https://: without TLS everybody on the way can read it; webhooks.allow_http allows it".to_owned()
            ));
        }
        _ => return Err(bad("url must be https://".to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("url must not hold a user or password: requests are signed instead".to_owned()));
    }
    let text = match (settings.secret.reveal(), settings.secret_file.as_str()) {
        ("", "") => return Err(bad("secret or secret_file must be given".to_owned())),
        (secret, "") => secret.to_owned(),
        ("", file) => fs::read_to_string(file).map_err(|error| {
            ConfigError::Unreadable(format!("webhooks.endpoint {name:?}: secret_file {file} cannot be read: {error}"))
        })?,
        _ => return Err(bad("secret and secret_file are both given: leave one out".to_owned())),
    };
    if SECRET_BYTES < text.len() {
        return Err(bad(format!("secret_file has more than {SECRET_BYTES} bytes: is it a secret?")));
    }
    let secrets = Secrets::parse(&text).map_err(|error| bad(format!("secret {error}")))?;
    let on = words(settings.on.words(), &ON);
    let on = on.iter().map(|word| word.parse::<Became>().map_err(|error| bad(format!("on = {word:?}: {error}"))));
    let tasks = words(settings.tasks.words(), &["*"]);
    let tasks = tasks.iter().map(|word| word.parse::<Pattern>().map_err(|error| bad(format!("tasks = {word:?}: {error}"))));
    let (on, tasks) = (on.collect::<Result<_, _>>()?, tasks.collect::<Result<_, _>>()?);
    Ok(Endpoint { name: name.clone(), url, secrets, on, tasks })
}

/// What was said, or what holds if nothing was.
fn words(said: &[String], otherwise: &[&str]) -> Vec<String> {
    if said.is_empty() { otherwise.iter().map(|word| (*word).to_owned()).collect() } else { said.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn options(text: &str) -> Result<Option<WebhookOptions>, String> {
        Settings::from_text(text).and_then(|settings| settings.webhook_options()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_is_a_table_with_little_in_it() {
        let text = format!("[[webhooks.endpoint]]\nname = \"ops\"\nurl = \"https://h.example/x?y\"\nsecret = \"{SECRET}\"\n");
        let options = options(&text).expect("it is good").expect("there is one");
        let endpoint = &options.endpoints[0];
        let on: Vec<_> = endpoint.on.iter().map(|became| became.as_str()).collect();
        assert_eq!((endpoint.name.as_str(), on), ("ops", vec!["failed", "lost", "stalled"]));
        assert_eq!(endpoint.url.as_str(), "https://h.example/x?y");
        assert!(endpoint.tasks[0].matches(&"anything".parse().expect("valid")));
    }

    #[test]
    fn what_is_shown_of_an_endpoint_holds_no_secret() {
        let text = format!(
            "[[webhooks.endpoint]]\nname = \"ops\"\nurl = \"https://h.example/hunter2?y=hunter3\"\nsecret = \"{SECRET}\"\n"
        );
        let settings = Settings::from_text(&text).expect("it is good");
        let shown = settings.values()["webhooks.endpoint"].clone() + &format!("{:?}", settings.webhooks);
        assert!(shown.contains("https://h.example/…") && shown.contains("[redacted]"), "{shown}");
        assert!(!shown.contains("hunter") && !shown.contains("MfKQ"), "{shown}");
    }

    #[test]
    fn an_endpoint_that_makes_no_sense_is_refused_by_its_name() {
        let with = |fields: &str| format!("[[webhooks.endpoint]]\nname = \"ops\"\nsecret = \"{SECRET}\"\n{fields}\n");
        for (text, says) in [
            (with("url = \"http://h.example\""), "webhooks.allow_http"),
            (with("url = \"ftp://h.example\""), "https://"),
            (with("url = \"https://u:hunter2@h.example\""), "user or password"),
            (with("url = \"hunter2\""), "must be a URL"),
            (with("url = \"https://h.example\"\non = [\"broken\"]"), "\"broken\""),
            (with("url = \"https://h.example\"\ntasks = \"a b\""), "pattern"),
            (with("url = \"https://h.example\"\nsecret_file = \"x\""), "both given"),
            (with("url = \"https://h.example\"\nretries = 3"), "retries"),
            ("[[webhooks.endpoint]]\nname = \"a b\"\n".to_owned(), "name = \"a b\""),
            ("[[webhooks.endpoint]]\nname = \"a\"\nurl = \"https://h.example\"\n".to_owned(), "secret_file must be given"),
            ("[[webhooks.endpoint]]\nname = \"a\"\nurl = \"https://h.example\"\nsecret = \"hunter2\"\n".to_owned(), "openssl"),
            (with("url = \"https://h.example\"").repeat(2), "two are called \"ops\""),
            ("[webhooks]\nallow_private = [\"10.0.0.0/99\"]\n".to_owned(), "10.0.0.0/99"),
            ("[webhooks]\npage_url = \"tasklight\"\n".to_owned(), "webhooks.page_url"),
            ("[webhooks]\nretry_first = \"2s\"\nretry_most = \"1s\"\n".to_owned(), "webhooks.retry_most must be at least 2s"),
            ("[webhooks]\nendpoint = '[{\"name\": \"hunter2\", \"oops\": 1}]'\n".to_owned(), "column"),
        ] {
            let error = options(&text).expect_err(&text);
            assert!(error.contains(says) && !error.contains("hunter2"), "{says:?} is missing in {error:?}, or a secret is not");
        }
    }

    #[test]
    fn endpoints_can_be_given_as_one_text() {
        let json = format!(r#"[{{"name":"a","url":"https://h.example","secret":"{SECRET}","on":"lost","tasks":["x-*"]}}]"#);
        let options = options(&format!("[webhooks]\nendpoint = '{json}'\n")).expect("it is good").expect("there is one");
        assert_eq!(options.endpoints[0].on, [Became::Status(crate::model::Status::Lost)]);
    }
}
