//! What is shown in the page's place by a hub that was built without it.

use axum::{
    body::Body,
    http::{HeaderValue, Response, header},
};

use super::guard::PAGE_POLICY;

/// The name of its style sheet: the policy allows no style within a page.
pub(super) const STYLE_NAME: &str = "unbuilt.css";

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Tasklight: built without its page</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/unbuilt.css">
</head>
<body>
<main>
<h1>This hub was built without its page</h1>
<p>It works: it stores what is published and shows it to whoever asks. Only the page is missing: it had not been built when the program was.</p>
<h2>To build it with the page</h2>
<p>Node.js 20.19 or later of 20, or 22.12 or newer, is needed, on the machine that builds. In Tasklight's folder:</p>
<pre><code>make web</code></pre>
<p>or, without make:</p>
<pre><code>npm ci --prefix web
npm run build --prefix web</code></pre>
<p>then build the program again, and restart the hub. (A debug build needs no more than a reload of this page.)</p>
<h2>What works meanwhile</h2>
<pre><code>tasklight tasks list
tasklight tail TASK</code></pre>
<p>and the API, which <a href="/openapi.json">/openapi.json</a> describes: <a href="/v1/tasks">/v1/tasks</a>.</p>
</main>
</body>
</html>
"#;

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: light-dark(#fff, #16181d); color: light-dark(#1c2024, #e6e8eb); }
main { max-width: 40rem; margin: 10vh auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
h2 { font-size: 1rem; margin-top: 2rem; }
pre { padding: .75rem 1rem; border-radius: 6px; overflow-x: auto; background: light-dark(#f2f4f7, #22262d); }
a { color: light-dark(#0b5fc4, #7db6ff); }
";

/// The page.
pub(super) fn page() -> Response<Body> {
    answer("text/html; charset=utf-8", PAGE)
}

/// Its style sheet.
pub(super) fn style() -> Response<Body> {
    answer("text/css; charset=utf-8", STYLE)
}

fn answer(kind: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response
}
