//! Clouds, and what watches over what runs in them.

use super::{Builtin, token};

pub(super) const RULES: [Builtin; 26] = [
    token(
        "aws-access-key",
        "an access key's id of AWS",
        &["AKIA", "ASIA", "ABIA", "ACCA"],
        16,
        r"A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}",
    )
    .alone()
    .check(is_no_example),
    token(
        "aws-bedrock-key",
        "a key of Amazon Bedrock",
        &["ABSKQmVkcm9ja0FQSUtleS"],
        60,
        r"ABSKQmVkcm9ja0FQSUtleS[A-Za-z0-9+/]{60,}={0,2}",
    ),
    token("google-api-key", "a key of Google's APIs", &["AIza"], 35, r"AIza[A-Za-z0-9_-]{35}"),
    token("google-client-secret", "an OAuth client's secret of Google", &["GOCSPX-"], 28, r"GOCSPX-[A-Za-z0-9_-]{28}"),
    token("google-access-token", "an access token of Google", &["ya29."], 20, r"ya29\.[A-Za-z0-9_.-]{20,}"),
    token("google-refresh-token", "a refresh token of Google", &["1//0"], 40, r"1//0[A-Za-z0-9_-]{40,}"),
    token(
        "azure-storage-key",
        "a storage account's key of Azure",
        &["AccountKey=", "AccessKey="],
        0,
        r"(?i)(?:AccountKey|SharedAccessKey|AccessKey)=([a-z0-9+/]{43,86}={1,2})",
    ),
    token(
        "azure-client-secret",
        "a client's secret of Entra ID",
        &["7Q~", "8Q~", "9Q~"],
        31,
        r"[A-Za-z0-9_~.-]{3}[7-9]Q~[A-Za-z0-9_~.-]{31,34}",
    )
    .entropy(3.5),
    token("azure-devops-token", "a token of Azure DevOps", &["AZDO"], 0, r"[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}"),
    token("digitalocean-token", "a token of DigitalOcean", &["dop_v1_", "doo_v1_", "dor_v1_"], 64, r"do[opr]_v1_[a-f0-9]{64}"),
    token("cloudflare-origin-key", "a key of Cloudflare's origin CA", &["v1.0-"], 24, r"v1\.0-[a-f0-9]{24}-[a-f0-9]{146}"),
    token("heroku-key", "a key of Heroku", &["HRKU-"], 58, r"HRKU-[A-Za-z0-9_-]{58,60}"),
    token("alibaba-access-key", "an access key's id of Alibaba Cloud", &["LTAI"], 16, r"LTAI[A-Za-z0-9]{16,24}").alone(),
    token("tencent-secret-id", "a secret's id of Tencent Cloud", &["AKID"], 28, r"AKID[A-Za-z0-9]{28,36}").alone(),
    token("scaleway-access-key", "an access key of Scaleway", &["SCW"], 17, r"SCW[A-Z0-9]{17}").alone().entropy(3.0),
    token("yandex-key", "a key of Yandex Cloud", &["AQVN"], 35, r"AQVN[A-Za-z0-9_-]{35,38}").alone(),
    token(
        "tailscale-key",
        "a key of Tailscale",
        &["tskey-"],
        20,
        r"tskey-(?:auth|api|client|scim|webhook)-[A-Za-z0-9]{8,32}-[A-Za-z0-9]{16,64}",
    ),
    token(
        "newrelic-key",
        "a key of New Relic",
        &["NRAK-", "NRII-", "NRJS-"],
        19,
        r"NR(?:AK-[A-Z0-9]{27}|II-[A-Za-z0-9_-]{32}|JS-[a-f0-9]{19})",
    ),
    token(
        "grafana-token",
        "a token of Grafana",
        &["glsa_", "glc_"],
        32,
        r"glsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}|glc_[A-Za-z0-9+/]{32,400}={0,2}",
    ),
    token(
        "sentry-token",
        "a token of Sentry",
        &["sntrys_", "sntryu_"],
        60,
        r"sntrys_eyJ[A-Za-z0-9+/=_-]{60,}|sntryu_[a-f0-9]{64}",
    ),
    token(
        "dynatrace-token",
        "a token of Dynatrace",
        &["dt0c01.", "dt0s01.", "dt0s02."],
        0,
        r"dt0[cs]0[12]\.[A-Z0-9]{8,24}\.[A-Z0-9]{64}",
    ),
    token("posthog-key", "a private key of PostHog", &["phx_"], 40, r"phx_[A-Za-z0-9]{40,48}"),
    token("confluent-secret", "a secret of Confluent Cloud", &["cflt"], 60, r"cflt[A-Za-z0-9+/]{60}"),
    token("elastic-key", "a key of Elastic Cloud", &["essu_"], 40, r"essu_[A-Za-z0-9+/=_-]{40,}"),
    token("mapbox-token", "a secret token of Mapbox", &["sk.eyJ"], 60, r"sk\.eyJ[A-Za-z0-9_-]{60,}\.[A-Za-z0-9_-]{20,24}"),
    token("infracost-key", "a key of Infracost", &["ico-"], 32, r"ico-[A-Za-z0-9]{32}").alone(),
];

/// AWS's documents write `AKIAIOSFODNN7EXAMPLE`.
fn is_no_example(key: &[u8]) -> bool {
    !key.ends_with(b"EXAMPLE")
}
