//! The keys about where sessions are kept.

use super::Key;
use super::Preset::{Unset, Value};
use super::Shape::{Secret, Text, Url};
use super::key;

pub static KEYS: &[Key] = &[
    key(
        "store.url",
        Url,
        "embedded:DIR, or a Redis URL",
        Value("embedded:/var/lib/portico"),
        "Where sessions are: a directory, or redis[s]://, redis[s]+sentinel:// or …+cluster://.",
    ),
    key(
        "store.username",
        Text,
        "text",
        Unset { meaning: "that of store.url, else Redis' default user", example: "portico" },
        "The ACL user of the Redis; goes before that of store.url.",
    ),
    key(
        "store.password",
        Secret,
        "text",
        Unset { meaning: "that of store.url", example: "" },
        "The password of the Redis; goes before that of store.url. Prefer store.password_file.",
    ),
    key(
        "store.password_file",
        Text,
        "file",
        Unset { meaning: "none", example: "/run/secrets/redis-password" },
        "A file that holds the password of the Redis.",
    ),
    key(
        "store.prefix",
        Text,
        "text",
        Value("portico"),
        "What the keys in the Redis begin with, in braces: one for each Portico that shares it.",
    ),
    key(
        "store.ca_file",
        Text,
        "file",
        Unset { meaning: "those that this machine trusts", example: "/etc/portico/redis-ca.crt" },
        "The certificates (PEM) by which a Redis with TLS is trusted.",
    ),
    key(
        "store.cert_file",
        Text,
        "file",
        Unset { meaning: "none", example: "/etc/portico/redis.crt" },
        "The certificate chain (PEM) to show to the Redis; needs store.key_file.",
    ),
    key(
        "store.key_file",
        Text,
        "file",
        Unset { meaning: "none", example: "/etc/portico/redis.key" },
        "The private key (PEM) of store.cert_file.",
    ),
    key(
        "store.tls_insecure",
        Text,
        "true or false",
        Value("false"),
        "Whether any certificate of the Redis is taken: whoever is in between can change all.",
    ),
    key(
        "store.cache",
        Text,
        "file, or off",
        Value("/var/lib/portico/routes.cache"),
        "Where what the Redis last held is kept, for a start without it; `.ROLE` is put behind.",
    ),
    key(
        "store.stale_max",
        Text,
        "duration, or off",
        Value("off"),
        "How long routes are served while the Redis is away; off is for as long as it takes.",
    ),
];
