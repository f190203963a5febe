//! Whose pages may talk to the hub. Browsers send cookies and reach loopback for any page, so a page of another origin is refused
//! before anything else happens, and on loopback so is a name that is not loopback's (DNS rebinding).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, Request, Response, StatusCode, header},
    middleware::Next,
    response::IntoResponse,
};

use super::{App, error::Problem};

/// Which origins may connect.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    /// Beside the hub's own.
    pub allowed: Vec<String>,
    /// Whether the hub listens on loopback only, where only loopback's names are its own.
    pub loopback: bool,
    /// Whether the hub itself speaks TLS, so that no page of its own came without.
    pub secure: bool,
}

impl Origins {
    /// Whether a request with these headers may go on; if not, why.
    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let allowed_hosts = || self.allowed.iter().filter_map(|origin| origin.split_once("://")).any(|(_, known)| known == host);
        if self.loopback && !is_loopback_name(host) && !allowed_hosts() {
            let detail =
                "this hub listens on loopback and answers to localhost, 127.0.0.1 and [::1] only; http.origins can allow more";
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "host_forbidden", detail).field("Host"));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("null");
        // A proxy in front may speak TLS although the hub does not.
        let is_own = |scheme| scheme == "https" || (scheme == "http" && !self.secure);
        let own = origin.split_once("://").is_some_and(|(scheme, rest)| is_own(scheme) && rest == host);
        if own || self.allowed.iter().any(|known| known == origin) {
            return Ok(());
        }
        let detail = "pages of this origin may not use this hub; http.origins can allow them";
        Err(Problem::new(StatusCode::FORBIDDEN, "origin_forbidden", detail).field("Origin"))
    }
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.ends_with(".localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What browsers fetch to run it, or to apply it to a page.
const RUN: [&str; 8] = ["script", "style", "xslt", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet"];

/// Refuses what a browser would run in the name of the hub's page: what the API answers with was sent by publishers, and may be called a script by
/// them. The page's policy takes scripts from the hub, so a mark-up of theirs that got into it would have one at hand.
fn check_use(path: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let wanted = headers.get("sec-fetch-dest").and_then(|value| value.to_str().ok());
    if !path.starts_with("/v1/") || !wanted.is_some_and(|wanted| RUN.contains(&wanted)) {
        return Ok(());
    }
    let detail = "nothing of the API is a script, a style or a worker of a page: read it with fetch";
    Err(Problem::new(StatusCode::FORBIDDEN, "destination_forbidden", detail).field("Sec-Fetch-Dest"))
}

/// Refuses requests from foreign pages, and for code, before they reach a handler.
pub(super) async fn check(State(app): State<Arc<App>>, request: Request<Body>, next: Next) -> Response<Body> {
    let checked = app.origins.check(request.headers());
    match checked.and_then(|()| check_use(request.uri().path(), request.headers())) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(origins: &Origins, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        origins.check(&headers).is_err()
    }

    #[test]
    fn only_pages_of_the_hub_and_of_the_list_may_connect() {
        let origins = Origins { allowed: vec!["https://good.com".to_owned()], loopback: true, secure: false };
        for (host, origin) in [
            ("localhost:8080", None),
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("[::1]:8080", Some("http://[::1]:8080")),
            ("localhost:8080", Some("https://good.com")),
            ("good.com", Some("https://good.com")),
        ] {
            assert!(!refused(&origins, host, origin), "{host} {origin:?} must pass");
        }
        for (host, origin) in [
            ("localhost:8080", Some("http://localhost:3000")),
            ("localhost:8080", Some("null")),
            ("localhost:8080", Some("https://good.com.evil.io")),
            ("localhost:8080", Some("http://good.com")),
            ("localhost:8080", Some("https://evil.io")),
            ("localhost:8080", Some("file://localhost:8080")),
            ("evil.io:8080", None),
            ("evil.io:8080", Some("http://evil.io:8080")),
            ("127.0.0.1.evil.io", None),
        ] {
            assert!(refused(&origins, host, origin), "{host} {origin:?} must be refused");
        }
    }

    #[test]
    fn nothing_of_the_api_is_code_of_a_page() {
        let refused = |path: &str, dest: &str| {
            let headers = HeaderMap::from_iter([("sec-fetch-dest".parse().expect("a name"), dest.parse().expect("a value"))]);
            check_use(path, &headers).is_err()
        };
        for dest in RUN {
            assert!(refused("/v1/ds/t", dest) && refused("/v1/tasks", dest), "{dest}");
            assert!(!refused("/assets/app.js", dest), "the page's own: {dest}");
        }
        for dest in ["empty", "document", "websocket", "image", "iframe"] {
            assert!(!refused("/v1/ds/t", dest), "{dest}");
        }
        assert!(check_use("/v1/ds/t", &HeaderMap::new()).is_ok(), "what is no browser says nothing");
    }

    #[test]
    fn a_hub_that_speaks_tls_has_no_page_without() {
        let origins = Origins { allowed: Vec::new(), loopback: true, secure: true };
        assert!(!refused(&origins, "localhost:8080", Some("https://localhost:8080")));
        assert!(refused(&origins, "localhost:8080", Some("http://localhost:8080")));
    }
}
