//! Every bound of the product, with its reason, in one place, proven against each other at compile
//! time. A bound that bites has a metric: `portico_limit_reached_total{limit}`.

mod access;
mod accounting;
mod quotas;
mod telling;
mod usage;

use std::time::Duration;

pub use access::*;
pub use accounting::*;
pub use quotas::*;
pub use telling::*;
pub use usage::*;

/// RFC 1035 §2.3.4: a DNS label has at most 63 octets.
pub const LABEL_BYTES_MAX: usize = 63;
/// One less, because a label made from an id is `a` + id.
pub const SESSION_ID_BYTES_MAX: usize = LABEL_BYTES_MAX - 1;
/// Workspace, owner, tool: long enough for an e-mail address or a UUID, short in a log line.
pub const NAME_BYTES_MAX: usize = 128;
/// Labels of one session, and the value of one: what today's platforms hang on a session, doubled.
pub const LABELS_MAX: usize = 32;
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// A whole image reference: a registry's host, a path, a tag and a digest.
pub const IMAGE_BYTES_MAX: usize = 512;
/// A year: what lives longer is unlimited and says so.
pub const LIFESPAN_SECONDS_MAX: u64 = 366 * 24 * 60 * 60;
/// The words shown to a user about a session's state.
pub const REASON_BYTES_MAX: usize = 512;

/// Users that a session names: a team; larger circles are workspaces.
pub const ALLOWED_USERS_MAX: usize = 100;

/// A request to Portico's own pages: forms and tokens; and how long its body may take.
pub const EDGE_BODY_BYTES_MAX: usize = 64 * 1024;
pub const EDGE_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests to those pages that are under way in a process; and the largest of their answers.
pub const EDGE_REQUESTS_MAX: usize = 1_024;
pub const EDGE_ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// What somebody wanted to see before signing in, path and query; beyond it the session's root.
pub const SIGN_IN_TARGET_BYTES_MAX: usize = 2 * 1024;
/// From being sent to sign in to coming back: somebody types a password and a second factor.
pub const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// How often the keys of grants are looked after, and the pause after a store that failed.
pub const KEYS_CHECK: Duration = Duration::from_secs(60);
pub const KEYS_RETRY: Duration = Duration::from_secs(1);
/// A new key signs so long after it was made: every replica knows it by then, and one that does not
/// has lost its store for longer than that.
pub const KEY_LEAD: Duration = Duration::from_secs(10);
/// What a process says of itself with a heartbeat: who is connected, about 10,000 users.
pub const BEAT_NOTE_BYTES_MAX: usize = 1024 * 1024;
/// The longest that a sign-in may be let last. What takes one back is kept for as long, whatever
/// the setting is now: the sign-in may have begun under another.
pub const LOGIN_LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A ticket, from being made to being used.
pub const TICKET_LIFETIME_MAX: Duration = Duration::from_secs(60);
/// Tickets of sign-ins that a process remembers as used, each for a minute: 1,600 a second.
pub const TICKETS_USED_MAX: usize = 100_000;
/// How long a platform's token that renews a sign-in unseen is kept by a browser.
pub const REFRESH_COOKIE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A platform that answered so recently is taken to be there for the next sign-in.
pub const OIDC_PRESENCE_TTL: Duration = Duration::from_secs(5);
/// How often the platform is asked whether it still knows Portico as its client.
pub const OIDC_CLIENT_CHECK: Duration = Duration::from_secs(10 * 60);
/// The platform is not asked about one grant again before this, whatever it said, or before a
/// quarter of the time that its word holds, if that is sooner.
pub const RECHECK_PAUSE: Duration = Duration::from_secs(10);
pub const RECHECKS_MAX: usize = 100_000;
/// Ended connections that wait to be written down, so that a session of thousands ends at once.
pub const ENDED_QUEUE_MAX: usize = 65_536;

/// Request line: RFC 9112 §3 recommends that at least 8,000 octets are supported. 414 beyond.
pub const REQUEST_LINE_BYTES_MAX: usize = 16 * 1024;
/// A whole head, request or response. Browsers cut cookies at about 8 KiB a domain, and siblings
/// can fill several domains' worth; beyond it the answer is 431.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// `Set-Cookie` fields that take away what made a head too large: of some 100 bytes each, far below
/// what browsers read (256 KiB in Chromium).
pub const COOKIES_EXPIRED_MAX: usize = 240;
/// Fields in a head: real heads have under 50.
pub const HEAD_FIELDS_MAX: usize = 128;
/// `1f4;ext=…` : a chunk-size line. Sizes need 16 digits, extensions are rare and ignored.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Trailer section of a chunked body.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Interim (1xx) answers to one request: more than a few is an upstream that loops.
pub const INTERIM_RESPONSES_MAX: u32 = 16;

/// PROXY protocol §2.1: the longest version 1 line that can be, with its CRLF.
pub const PROXY_V1_BYTES_MAX: usize = 107;
/// PROXY protocol §2.2: what fits the smallest TCP segment, 536 bytes, behind the 16 fixed ones.
pub const PROXY_V2_BYTES_MAX: usize = 16 + 536;

/// One receive; idle connections hold none. A 16 KiB WebSocket message with its frame header goes
/// through in one read and one write, and a download, which fills it, costs a fifth less than with
/// half of it (742 to 574 µs for a MiB).
pub const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// Data-plane threads of a process: as many as the largest machines have cores; each has its own
/// ring, buffers and pool.
pub const WORKERS_MAX: usize = 512;
/// Receive buffers shared by the connections of a worker on io_uring. When all are in use, a
/// connection falls back to one of its own from the heap, so a slow reader starves nobody. The
/// kernel goes through all of them in turn, a page each for small messages: twice as many made
/// each of 5,000 idle connections 0.4 kB heavier, and a GET over 512 a tenth dearer.
pub const RECEIVE_BUFFERS_PER_WORKER: usize = 256;

/// Bytes that a workspace owes for what went through above its rate: requests wait no longer than
/// this for a single large download that was faster than the rate.
pub const BYTE_DEBT_MAX: Duration = Duration::from_secs(10);

/// Time from the first byte of a head (or from accept) to its end; slow-loris bound.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// TLS handshake and PROXY header, from accept.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle kept-alive client connection.
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(60);
/// Waiting on a client's body: this much patience for all of it, plus a second for every
/// `BODY_BYTES_PER_SECOND_MIN` bytes that did come. A rate, not one timeout, so that a 50 GB upload
/// over a slow line is not cut.
pub const BODY_PATIENCE: Duration = Duration::from_secs(20);
pub const BODY_BYTES_PER_SECOND_MIN: u64 = 240;
/// What came faster is credit up to this: a notebook that changes networks in mid-upload is waited
/// for, and a client that sent a gigabyte cannot hold its connections for weeks.
pub const BODY_CREDIT_MAX: Duration = Duration::from_secs(60);
/// TCP connect to an upstream: on one network, so three SYN retransmissions are plenty.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After a failed connect the upstream is not tried again for this long (502 at once).
pub const CONNECT_BACKOFF: Duration = Duration::from_millis(250);
/// An idle pooled upstream connection: below the 5 s of Node's default keep-alive, the shortest
/// among the tools that we serve.
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Idle pooled connections per upstream address and worker: with fewer, that many clients of one
/// session would have connections opened and closed all the time.
pub const UPSTREAM_IDLE_PER_ADDRESS_MAX: usize = 4096;
/// Idle pooled connections of a worker to all upstreams together, fewer where the process may open
/// few files: one client that walks over many sessions leaves one behind for each. Enough for a
/// thousand sessions that are newly opened each second.
pub const UPSTREAM_IDLE_PER_WORKER_MAX: usize = 4096;
/// Dead peers: probes start after this idle time, and unacknowledged data is given up after
/// `TCP_USER_TIMEOUT`.
pub const TCP_KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
pub const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(120);
/// A kept-alive connection that is idle when a drain begins gets this long for a request that is
/// already on its way, which is then answered with `Connection: close`.
pub const DRAIN_IDLE_GRACE: Duration = Duration::from_secs(2);
/// After a refused message: bytes still arriving are read and dropped for this long, so that the
/// answer is not lost to a reset (RFC 9112 §9.6).
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// While an upstream takes its time, the client's connection is looked at this often: who has left
/// is not answered, and frees both connections.
pub const CLIENT_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// A client that ended its stream behind its request, and gets no byte of the answer for so long,
/// is taken for one that left: it looks the same. Half-closing clients are scripts (`nc -N`), whose
/// answers rarely take longer; and a browser that left does not hold a session for longer.
pub const HALF_CLOSED_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A relay of which one side has ended its stream: how long the other may be silent. Without a
/// bound a client that is gone for good would hold the session's socket for ever.
pub const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(300);
/// After a drain's end, for the connections that were shut down to finish.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Resolution of all deadlines above: a worker looks at its connections this often.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(250);
/// The longest that an operator may let relays go on after a drain began: a work week's sessions.
pub const DRAIN_TIMEOUT_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Certificate files are looked at this often: renewed ones are in use before an operator wonders.
pub const CERTIFICATE_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Addresses of an upstream's name are kept this long by a worker.
pub const RESOLVE_CACHE_TTL: Duration = Duration::from_secs(5);
/// That a name has no address is kept for this long: retries cost no lookup each, and a session
/// whose name has just appeared is not kept waiting.
pub const RESOLVE_FAILURE_TTL: Duration = Duration::from_secs(1);
/// Names that a worker looks up at the same time, a thread each. A lookup of a dead name can take
/// half a minute, so there have to be more than a platform usually has of those.
pub const UPSTREAM_LOOKUPS_MAX: usize = 64;

/// Addresses tried for one upstream's name.
pub const UPSTREAM_ADDRESSES_MAX: usize = 3;
/// A body up to this size is copied behind its head and sent with it; a larger one goes from the
/// buffer that it was received in. A copy of this size costs less than a system call.
pub const COALESCE_BYTES_MAX: usize = 4 * 1024;
/// Open files kept free for what is no connection: logs, the store, listeners, rings.
pub const FILES_RESERVED: u64 = 256;

/// Labels of deleted sessions that still answer 410 instead of 404.
pub const TOMBSTONES_MAX: usize = 10_000;
/// Records of the audit log that a store keeps: years of a small install, weeks of a busy one,
/// which sends the lines of its log elsewhere.
pub const AUDIT_RECORDS_MAX: usize = 100_000;
/// How long a repeated `Idempotency-Key` finds what the first request made, and how many are kept.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(24 * 60 * 60);
pub const IDEMPOTENCY_KEYS_MAX: usize = 100_000;
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Entries of the change log. A follower that is further behind loads the snapshot: reading that
/// many changes one by one costs about as much, and at 100 changes a second it is nearly three
/// minutes away.
pub const CHANGE_LOG_ENTRIES_MAX: usize = 16_384;
/// Changes that a follower takes at once, to publish them with one swap of the table.
pub const CHANGES_PER_READ_MAX: usize = 1_024;
/// Writes that share one commit of the embedded store (one fsync), and writes that wait for the
/// next one; beyond it callers wait for a place.
pub const STORE_BATCH_MAX: usize = 256;
pub const STORE_QUEUE_MAX: usize = 1_024;
/// Page cache of the embedded store: 10,000 sessions are about 10 MiB.
pub const STORE_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Redis: TCP, TLS and login together, in one data centre.
pub const REDIS_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer that is not here by then is not coming, or too late for whoever asked: a page of 1,000
/// sessions takes 2 ms, and a Redis that forks for a snapshot of 10 GB stands still for 0.2 s.
pub const REDIS_RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a write waits for a replica to confirm it: one that is further behind would not be
/// chosen in a failover.
pub const REDIS_REPLICA_TIMEOUT: Duration = Duration::from_secs(1);
/// Any call to a store in Redis, with the wait for a place, a connection and one more try. Below
/// what a client of the API waits for.
pub const REDIS_CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// A follower's read waits inside Redis for as long as this, then asks whether the store is still
/// the one that it was.
pub const REDIS_FOLLOW_WAIT: Duration = Duration::from_secs(5);
/// A connection for writes that was idle for this long is tried first: a write on a dead one would
/// leave it open whether it was done. One round trip, which a busy writer does not pay.
pub const REDIS_IDLE_CHECK: Duration = Duration::from_millis(100);
/// Sessions asked for at once, so that one answer (about 1 MB) does not hold up the others.
pub const REDIS_PAGE_ITEMS: usize = 1_000;
/// Old tombstones and idempotency keys that one write forgets. It adds one, so this converges on a
/// lowered bound, too, and a script's time stays bounded.
pub const REDIS_FORGET_PER_WRITE: usize = 16;
/// Addresses of Sentinels or of a Cluster's nodes in one URL.
pub const REDIS_ADDRESSES_MAX: usize = 16;
/// While a store on another machine is away, reads are answered from what is known for so long
/// before it is asked again: each such question takes its time.
pub const STORE_AWAY_PAUSE: Duration = Duration::from_secs(1);
/// Pause of a follower after a store that failed, doubled each time up to the second figure.
pub const FEED_RETRY_MIN: Duration = Duration::from_millis(50);
pub const FEED_RETRY_MAX: Duration = Duration::from_secs(5);
/// Bodies of the API, and the time that one may take to arrive.
pub const API_BODY_BYTES_MAX: usize = 64 * 1024;
pub const API_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bodies of bulk requests, and the sessions that one may create and delete: a page of each.
pub const BULK_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
pub const BULK_ITEMS_MAX: usize = 1_000;
/// Wrong tokens from one address that are answered at once, and how long each weighs: 20, then one
/// every three seconds, which no honest client notices and no guesser likes.
pub const LOGIN_FAILURES_MAX: u32 = 20;
pub const LOGIN_FAILURE_COST: Duration = Duration::from_secs(3);
pub const LOGIN_FAILURE_ADDRESSES_MAX: usize = 10_000;
/// What a client waits for that found its workspace full: a session ends rarely sooner.
pub const WORKSPACE_FULL_RETRY_AFTER: Duration = Duration::from_secs(30);
/// Changes that a listener of the event stream may have missed and still be told, listeners at a
/// time (each holds a connection of the API, half of which are left for others), and how often one
/// hears that the connection lives: below the 30 s of impatient balancers.
pub const EVENTS_KEPT_MAX: usize = 4_096;
/// A listener may have heard this many changes from another replica that this one has not yet.
pub const EVENTS_AHEAD_MAX: u64 = 1_024;
pub const EVENT_LISTENERS_MAX: usize = 32;
pub const EVENT_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a stream of events looks whether its token is in force still.
pub const EVENT_TOKEN_CHECK: Duration = Duration::from_millis(250);
/// A replica says this often that it lives, and is believed for this long: two may be lost.
pub const REPLICA_BEAT: Duration = Duration::from_secs(5);
pub const REPLICA_TTL: Duration = Duration::from_secs(16);
/// A process that ends waits no longer than this to say so.
pub const REPLICA_LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest sleep of who ends lifespans, in case the machine slept or its clock was set, and the
/// pause after a store that failed.
pub const LIFESPAN_CHECK_MAX: Duration = Duration::from_secs(60);
pub const LIFESPAN_RETRY: Duration = Duration::from_secs(1);
/// Documents of one kind: tokens are looked at one by one, and lists of them have one page.
pub const TOKENS_MAX: usize = 1_000;
pub const TEMPLATES_MAX: usize = 1_000;
/// The largest limit of a workspace: RFC 8259 §6, beyond it JSON's readers disagree on a number.
pub const WORKSPACE_LIMIT_MAX: u64 = (1 << 53) - 1;
pub const ALLOWED_WORKSPACES_MAX: usize = 10_000;
/// Connections of the API's listener, and as many of the management's; who comes later waits. A
/// platform's pool of clients is smaller, and both together leave half of `FILES_RESERVED`.
pub const CONTROL_CONNECTIONS_MAX: usize = 64;
/// Of such a connection: from the accept, or from the last answer, to the end of the next head. One
/// figure, because hyper has one clock for both: a client may be idle for so long, and who says
/// nothing gives its place back after it.
pub const CONTROL_HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A bearer token: 16 characters of its alphabet are 96 bits if drawn at random.
pub const TOKEN_BYTES_MIN: usize = 16;
pub const TOKEN_BYTES_MAX: usize = 512;
/// Tries to find a session id that is free (32 random bits: one try but for a giant install), and
/// to change a session that others change at the same time.
pub const SESSION_ID_TRIES_MAX: usize = 16;
pub const CHANGE_TRIES_MAX: usize = 16;
/// Records looked at for one page of a list, so that a filter that matches nothing stays cheap; the
/// page is then shorter than asked and has a cursor.
pub const PAGE_SCAN_MAX: usize = 10_000;
/// Items on one page of a list.
pub const PAGE_ITEMS_MAX: usize = 1_000;
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// Plaintext encrypted at once: four full TLS records, which leave in one send.
pub const TLS_SEND_BYTES: usize = 4 * 16 * 1024;
/// TLS 1.2 sessions that are resumed by id, of clients without tickets: old ones, few.
pub const TLS_SESSIONS_MAX: usize = 1_024;

// Sign-in at the platform (OpenID Connect), its authorize webhook, and what is sealed into cookies.

/// TCP connect to the platform: a login page is loaded by a person who waits.
pub const OUTBOUND_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer of the platform: real documents and key sets have under 50 KiB.
pub const OUTBOUND_BODY_BYTES_MAX: usize = 1024 * 1024;
/// Idle connections kept to one address of the platform, and for how long: below the 5 s of Node's
/// default, so that a code, which is good once, is not sent on a connection that just ends.
pub const OUTBOUND_IDLE_MAX: usize = 8;
pub const OUTBOUND_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// One call of a sign-in, whole. A sign-in makes at most five (document, second document, token,
/// keys, user), of which all but the token's are rare.
pub const OIDC_CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The platform's document and its keys are fetched anew after this: a withdrawn key is not
/// believed for longer.
pub const OIDC_CACHE_TTL: Duration = Duration::from_secs(60 * 60);
/// A key that is not known has the keys fetched anew, but not more often: anybody can send a logout
/// token that names one.
pub const OIDC_KEYS_REFETCH: Duration = Duration::from_secs(10);
/// Pause after a fetch that failed, doubled each time up to the second figure.
pub const OIDC_RETRY_MIN: Duration = Duration::from_secs(1);
pub const OIDC_RETRY_MAX: Duration = Duration::from_secs(5);
/// Keys of a platform: a few in rotation for each algorithm.
pub const OIDC_KEYS_MAX: usize = 64;
/// Keys that a token without a key id is tried with: each costs a verification.
pub const OIDC_KEYS_TRIED_MAX: usize = 4;
/// How far the platform's clock may be from ours.
pub const OIDC_CLOCK_SKEW: Duration = Duration::from_secs(60);
/// A token of the platform: one with all the groups of a large company has some 16 KiB.
pub const OIDC_TOKEN_BYTES_MAX: usize = 64 * 1024;
/// A URL in the platform's document or our settings, and a parameter that a browser brings back.
pub const OIDC_URL_BYTES_MAX: usize = 2 * 1024;
pub const OIDC_PARAMETER_BYTES_MAX: usize = 4 * 1024;
/// OpenID Connect Core §2: a subject has at most 255 characters. A session's id is held to it, too.
pub const OIDC_SUBJECT_BYTES_MAX: usize = 255;
/// Workspaces of a user that are kept, because they travel in a cookie.
pub const OIDC_WORKSPACES_MAX: usize = 64;
/// Questions to the webhook at the same time; who comes later waits, within the same timeout.
pub const WEBHOOK_CALLS_MAX: usize = 64;
/// How long an answer of the webhook holds if it does not say so, and at most.
pub const WEBHOOK_TTL_DEFAULT: Duration = Duration::from_secs(300);
pub const WEBHOOK_TTL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// What is sealed into a cookie: browsers keep 4,096 bytes of name, value and attributes (RFC 6265
/// §6.1), and sealing adds 33 bytes and then a third.
pub const SEALED_TEXT_BYTES_MAX: usize = 2_816;
/// Keys that open sealed texts: a day's key each, over the longest login.
pub const SEALING_KEYS_MAX: usize = 64;
/// Keys of grants: far more than are exchanged within the longest login. An operator's haste, or a
/// script's, does not fill the store.
pub const SIGNING_KEYS_MAX: usize = 64;
/// Keys and revocations stay for so long after the last sign-in that they can be about: for clocks
/// that differ, and for a replica that was without its store and signed with the key before.
pub const KEY_GRACE: Duration = Duration::from_secs(60 * 60);
/// What one look at revocations forgets, so that it is short; the next one goes on.
pub const REVOCATIONS_FORGET_PER_LOOK: usize = 1_000;
/// Used tickets that are too old to be brought again, which one more of them forgets: more than
/// one, so that forgetting keeps up, and few, so that a write stays short after a long pause.
pub const TICKETS_FORGET_PER_WRITE: usize = 16;

const _: () = assert!(REQUEST_LINE_BYTES_MAX < HEAD_BYTES_MAX);
const _: () = assert!(TRAILER_BYTES_MAX <= HEAD_BYTES_MAX);
const _: () = assert!(RECEIVE_BUFFER_BYTES > 16 * 1024 + 14, "a 16 KiB message with its header");
const _: () = assert!(RECEIVE_BUFFERS_PER_WORKER.is_power_of_two(), "IORING_REGISTER_PBUF_RING");
const _: () = assert!(RECEIVE_BUFFERS_PER_WORKER <= 1 << 15, "IORING_REGISTER_PBUF_RING");
const _: () = assert!(SWEEP_INTERVAL.as_millis() * 4 <= DRAIN_IDLE_GRACE.as_millis());
const _: () = assert!(UPSTREAM_IDLE_TIMEOUT.as_secs() < KEEP_ALIVE_TIMEOUT.as_secs());
const _: () = assert!(REPLICA_BEAT.as_millis() * 3 < REPLICA_TTL.as_millis());
const _: () = assert!(UPSTREAM_IDLE_PER_ADDRESS_MAX <= UPSTREAM_IDLE_PER_WORKER_MAX);
const _: () = assert!(RESOLVE_FAILURE_TTL.as_secs() < RESOLVE_CACHE_TTL.as_secs());
const _: () = assert!(BODY_PATIENCE.as_secs() <= BODY_CREDIT_MAX.as_secs());
const _: () = assert!(CLIENT_CHECK_INTERVAL.as_secs() < HALF_CLOSED_ANSWER_TIMEOUT.as_secs());
const _: () = assert!(2 * EVENT_LISTENERS_MAX <= CONTROL_CONNECTIONS_MAX);
const _: () = assert!(2 * CONTROL_CONNECTIONS_MAX as u64 <= FILES_RESERVED / 2);
const _: () = assert!(STORE_BATCH_MAX <= STORE_QUEUE_MAX);
const _: () = assert!(CHANGES_PER_READ_MAX < CHANGE_LOG_ENTRIES_MAX);
const _: () = assert!(PAGE_ITEMS_MAX <= PAGE_SCAN_MAX);
const _: () = assert!(REDIS_PAGE_ITEMS <= PAGE_SCAN_MAX);
const _: () = assert!(REDIS_REPLICA_TIMEOUT.as_millis() < REDIS_RESPONSE_TIMEOUT.as_millis());
const _: () = assert!(
    REDIS_CONNECT_TIMEOUT.as_millis() + REDIS_RESPONSE_TIMEOUT.as_millis()
        < REDIS_CALL_TIMEOUT.as_millis()
);
const _: () = assert!(REDIS_FORGET_PER_WRITE > 1, "forgetting keeps up with writing");
const _: () = assert!(KEY_LEAD.as_secs() + CLOCK_SKEW_MAX.as_secs() <= KEY_GRACE.as_secs());
const _: () = assert!(TICKETS_FORGET_PER_WRITE > 1, "forgetting keeps up with redeeming");
const _: () = assert!((SEALED_TEXT_BYTES_MAX + 33).div_ceil(3) * 4 + 256 <= 4096, "a cookie");
const _: () = assert!(OUTBOUND_CONNECT_TIMEOUT.as_secs() < OIDC_CALL_TIMEOUT.as_secs());
const _: () = assert!(OIDC_KEYS_REFETCH.as_secs() < OIDC_CACHE_TTL.as_secs());
const _: () = assert!(WEBHOOK_TTL_DEFAULT.as_secs() <= WEBHOOK_TTL_MAX.as_secs());
