//! The page: what `npm run build --prefix web` made, built into the program. Debug builds read it while they run.
//!
//! Files under `assets` have a hash of their content in their names and are kept by browsers for ever; everything else is asked for again each time
//! and answered with 304 if it is the same. The build leaves a `.gz` beside each text that gets smaller by it; nothing is compressed here.

use axum::{
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header},
    response::IntoResponse,
};
use rust_embed::{Embed, EmbeddedFile};

use super::{error::no_route, guard::PAGE_POLICY, unbuilt};

#[derive(Embed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Files;

/// The API's description.
const OPENAPI: &str = include_str!("../../docs/openapi.json");

/// The description of sockets, streams and channels.
const ASYNCAPI: &str = include_str!("../../docs/asyncapi.json");

/// The page itself.
const INDEX: &str = "index.html";

/// How the name of a compressed file ends.
const COMPRESSED: &str = ".gz";

/// For files that never change under their name.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// For the others: kept, but asked for each time.
const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

/// The page itself; what of it is shown is for its script to read from the address.
pub(super) async fn page(headers: HeaderMap) -> Response<Body> {
    index::<Files>(&headers)
}

/// A file that the page names with its hash.
pub(super) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response<Body> {
    match find::<Files>(&format!("assets/{path}"), &headers) {
        Some(found) => found.answer(&headers, FOR_EVER),
        None => no_route().await.into_response(),
    }
}

/// What no other route wants: a file beside the index, such as its icon, or nothing.
pub(super) async fn beside(method: Method, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let wanted = matches!(method, Method::GET | Method::HEAD).then(|| uri.path().trim_start_matches('/'));
    match wanted.and_then(|name| file::<Files>(name, &headers)) {
        Some(response) => response,
        None => no_route().await.into_response(),
    }
}

pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

pub(super) async fn asyncapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], ASYNCAPI)
}

fn index<F: Embed>(headers: &HeaderMap) -> Response<Body> {
    match find::<F>(INDEX, headers) {
        Some(found) => found.answer(headers, ASK_AGAIN),
        None => unbuilt::page(),
    }
}

/// A file beside the index; the index itself has an address of its own.
fn file<F: Embed>(name: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    if name == unbuilt::STYLE_NAME && F::get(INDEX).is_none() {
        return Some(unbuilt::style());
    }
    let wanted = name != INDEX && !name.contains('/');
    wanted.then(|| find::<F>(name, headers)).flatten().map(|found| found.answer(headers, ASK_AGAIN))
}

/// A file as this client gets it.
struct Found {
    file: EmbeddedFile,
    /// What it is when it is not compressed.
    kind: String,
    is_compressed: bool,
}

/// The file of this name, compressed if there is such a form and the client takes it. Compressed forms cannot be asked for by name.
fn find<F: Embed>(name: &str, headers: &HeaderMap) -> Option<Found> {
    if name.ends_with(COMPRESSED) {
        return None;
    }
    let file = F::get(name)?;
    let kind = file.metadata.mimetype().to_owned();
    let smaller = if takes_gzip(headers) { F::get(&format!("{name}{COMPRESSED}")) } else { None };
    let is_compressed = smaller.is_some();
    Some(Found { file: smaller.unwrap_or(file), kind, is_compressed })
}

/// Whether gzip is among the encodings that the client takes; `q=0` refuses one.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| {
        let (name, quality) = part.split_once(';').unwrap_or((part, ""));
        let refused = quality.trim().strip_prefix("q=").is_some_and(|quality| quality.trim().parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

impl Found {
    fn answer(self, headers: &HeaderMap, keep: HeaderValue) -> Response<Body> {
        let tag = tag(&self.file.metadata.sha256_hash());
        let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| names(known, &tag));
        let mut response = if known {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            let mut response = Response::new(Body::from(self.file.data));
            let kind = if self.kind.starts_with("text/") { format!("{}; charset=utf-8", self.kind) } else { self.kind };
            set(&mut response, header::CONTENT_TYPE, &kind);
            if self.is_compressed {
                set(&mut response, header::CONTENT_ENCODING, "gzip");
            }
            response
        };
        set(&mut response, header::ETAG, &tag);
        set(&mut response, header::VARY, "accept-encoding");
        response.headers_mut().insert(header::CACHE_CONTROL, keep);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        response
    }
}

/// A name for exactly these bytes: the compressed form has another one.
fn tag(hash: &[u8; 32]) -> String {
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Whether an `If-None-Match` names this tag.
fn names(known: &HeaderValue, tag: &str) -> bool {
    let tags = known.to_str().unwrap_or_default().split(',').map(str::trim);
    tags.map(|known| known.strip_prefix("W/").unwrap_or(known)).any(|known| known == tag || known == "*")
}

fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Embed)]
    #[folder = "tests/fixtures/page"]
    struct Built;

    #[derive(Embed)]
    #[folder = "tests/fixtures/page-that-was-not-built"]
    #[allow_missing = true]
    struct NotBuilt;

    fn asking(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).expect("a header"))])
    }

    fn header_of(response: &Response<Body>, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    async fn bytes(response: Response<Body>) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body").to_vec()
    }

    #[tokio::test]
    async fn what_has_a_hash_is_kept_for_ever_and_compressed_for_who_takes_it() {
        let name = "assets/app-1a2b3c4d.js";
        let plain = find::<Built>(name, &HeaderMap::new()).expect("it is there").answer(&HeaderMap::new(), FOR_EVER);
        assert_eq!(header_of(&plain, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!((header_of(&plain, header::VARY), header_of(&plain, header::CONTENT_ENCODING)), ("accept-encoding", ""));
        let headers = asking(header::ACCEPT_ENCODING, "gzip, br");
        let small = find::<Built>(name, &headers).expect("it is there").answer(&headers, FOR_EVER);
        assert_eq!((header_of(&small, header::VARY), header_of(&small, header::CONTENT_ENCODING)), ("accept-encoding", "gzip"));
        for response in [&plain, &small] {
            assert_eq!(header_of(response, header::CONTENT_TYPE), "text/javascript; charset=utf-8");
        }
        assert_ne!(header_of(&plain, header::ETAG), header_of(&small, header::ETAG));
        let (plain, small) = (bytes(plain).await, bytes(small).await);
        assert!(small.len() < plain.len() && small.starts_with(&[0x1f, 0x8b]), "{} of {} bytes", small.len(), plain.len());
        assert!(find::<Built>(&format!("{name}.gz"), &headers).is_none(), "compressed forms have no address of their own");
    }

    #[tokio::test]
    async fn the_index_is_asked_for_again_and_not_sent_again() {
        let first = index::<Built>(&HeaderMap::new());
        assert_eq!((first.status(), header_of(&first, header::CACHE_CONTROL)), (StatusCode::OK, "no-cache"));
        let again = index::<Built>(&asking(header::IF_NONE_MATCH, header_of(&first, header::ETAG)));
        assert_eq!((again.status(), header_of(&again, header::CACHE_CONTROL)), (StatusCode::NOT_MODIFIED, "no-cache"));
        assert_eq!(header_of(&again, header::ETAG), header_of(&first, header::ETAG));
        assert!(bytes(again).await.is_empty());
        assert_eq!(index::<Built>(&asking(header::IF_NONE_MATCH, "\"another\"")).status(), StatusCode::OK);
    }

    #[test]
    fn the_page_and_what_it_runs_say_the_pages_own_policy() {
        let none = HeaderMap::new();
        let worker = find::<Built>("assets/app-1a2b3c4d.js", &none).expect("it is there").answer(&none, FOR_EVER);
        let icon = file::<Built>("icon.svg", &none).expect("it is there");
        let whole = index::<Built>(&none);
        let known = index::<Built>(&asking(header::IF_NONE_MATCH, header_of(&whole, header::ETAG)));
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        for response in [worker, icon, whole, known, index::<NotBuilt>(&none), unbuilt::style()] {
            assert_eq!(response.headers().get(header::CONTENT_SECURITY_POLICY), Some(&PAGE_POLICY));
        }
    }

    #[tokio::test]
    async fn only_what_was_built_is_served_beside_the_index() {
        let none = HeaderMap::new();
        let icon = file::<Built>("icon.svg", &none).expect("it is there");
        assert_eq!(
            (header_of(&icon, header::CONTENT_TYPE), header_of(&icon, header::CACHE_CONTROL)),
            ("image/svg+xml", "no-cache")
        );
        for name in ["index.html", "unknown.svg", "", "assets", "../Cargo.toml", "assets/app-1a2b3c4d.js", "unbuilt.css"] {
            assert!(file::<Built>(name, &none).is_none(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_hub_without_its_page_says_what_is_missing_and_what_works() {
        let page = index::<NotBuilt>(&HeaderMap::new());
        assert_eq!((page.status(), header_of(&page, header::CACHE_CONTROL)), (StatusCode::OK, "no-store"));
        let page = String::from_utf8(bytes(page).await).expect("UTF-8");
        for words in
            ["Node.js 20.19", "make web", "npm ci --prefix web", "tasklight tail", "tasklight tasks list", "/openapi.json"]
        {
            assert!(page.contains(words), "{words}");
        }
        assert!(
            !page.contains("<style") && !page.contains("style=") && !page.contains("<script"),
            "the policy allows nothing inline"
        );
        let style = file::<NotBuilt>(unbuilt::STYLE_NAME, &HeaderMap::new()).expect("its style is there");
        assert_eq!(header_of(&style, header::CONTENT_TYPE), "text/css; charset=utf-8");
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accepts, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, br", false),
            ("br", false),
            ("", false),
            ("x-gzip-like", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepts))]);
            assert_eq!(takes_gzip(&headers), takes, "{accepts:?}");
        }
        assert!(!takes_gzip(&HeaderMap::new()), "a client that says nothing gets it plain");
    }

    #[test]
    fn a_tag_is_known_alone_in_a_list_and_when_it_was_weakened() {
        for (known, same) in
            [("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("*", true), ("\"b\"", false), ("a", false)]
        {
            assert_eq!(names(&HeaderValue::from_static(known), "\"a\""), same, "{known}");
        }
    }
}
