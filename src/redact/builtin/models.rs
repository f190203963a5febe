//! Vendors of models, and of what agents are built from.

use super::{Builtin, token};

pub(super) const RULES: [Builtin; 18] = [
    token("anthropic-key", "a key of Anthropic", &["sk-ant-"], 32, r"sk-ant-[a-z]{3,8}\d{2}-[A-Za-z0-9_-]{32,160}"),
    token(
        "openai-key",
        "a key of OpenAI",
        &["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", "T3BlbkFJ"],
        20,
        r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{32,200}|sk-[A-Za-z0-9_-]{20,100}T3BlbkFJ[A-Za-z0-9_-]{20,100}",
    ),
    token("openrouter-key", "a key of OpenRouter", &["sk-or-v1-"], 64, r"sk-or-v1-[a-f0-9]{64}"),
    token("sk-key", "a key of one of the many vendors whose keys begin with sk-", &["sk-"], 32, r"sk-[A-Za-z0-9]{32,64}")
        .alone()
        .entropy(3.3),
    token("huggingface-token", "a token of Hugging Face", &["hf_", "api_org_"], 34, r"(?:hf_|api_org_)[A-Za-z0-9]{34,40}")
        .alone(),
    token("replicate-token", "a token of Replicate", &["r8_"], 37, r"r8_[A-Za-z0-9]{37}").alone(),
    token("groq-key", "a key of Groq", &["gsk_"], 52, r"gsk_[A-Za-z0-9]{52}"),
    token("xai-key", "a key of xAI", &["xai-"], 80, r"xai-[A-Za-z0-9]{80}"),
    token("perplexity-key", "a key of Perplexity", &["pplx-"], 48, r"pplx-[A-Za-z0-9]{48}"),
    token("fireworks-key", "a key of Fireworks", &["fw_"], 24, r"fw_[A-Za-z0-9]{24}").alone().entropy(3.5),
    token("nvidia-key", "a key of NVIDIA's APIs", &["nvapi-"], 60, r"nvapi-[A-Za-z0-9_-]{60,70}"),
    token("langsmith-key", "a key of LangSmith", &["lsv2_pt_", "lsv2_sk_"], 32, r"lsv2_(?:pt|sk)_[a-f0-9]{32}_[a-f0-9]{10}"),
    token(
        "langfuse-key",
        "a secret key of Langfuse",
        &["sk-lf-"],
        36,
        r"sk-lf-[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}",
    ),
    token("tavily-key", "a key of Tavily", &["tvly-"], 30, r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{30,40}"),
    token("e2b-key", "a key of E2B", &["e2b_"], 40, r"e2b_[a-f0-9]{40}"),
    token("pinecone-key", "a key of Pinecone", &["pcsk_"], 50, r"pcsk_[A-Za-z0-9_]{50,80}"),
    token("cerebras-key", "a key of Cerebras", &["csk-"], 48, r"csk-[a-z0-9]{48}").alone(),
    token("cursor-key", "a key of Cursor", &["crsr_", "key_"], 64, r"(?:crsr|key)_[a-f0-9]{64}").alone(),
];
