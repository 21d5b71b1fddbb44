// The platform of the tests: a certified OpenID provider with dynamic registration by an initial
// access token, PKCE, refresh tokens, revocation and both ways to log out. It believes whoever says
// a name, and asks for no consent. Its settings are PLATFORM_* (bench/src/world/oidc.rs); it keeps
// everything in memory, so `down` closes its doors and `up` opens them on what it knew.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

import { installed, serve } from "./lines.mjs";

const { default: Provider } = await installed("oidc-provider", "oidc-provider");

const settings = process.env;
// Where the provider is below the platform's root: "" or "/api".
const mount = settings.PLATFORM_MOUNT ?? "";
// user -> names of workspaces; whoever is not in it may sign in and has none.
const users = JSON.parse(settings.PLATFORM_USERS ?? "{}");
const secure = settings.PLATFORM_CERT !== undefined;
const authority = settings.PLATFORM_CA && readFileSync(settings.PLATFORM_CA);
// "host:port" of a URL -> address where that is really found, for what the provider calls.
const addresses = new Map();

// What the provider keeps, by "Kind:id", open to the commands below.
const kept = new Map();

class Memory {
  constructor(kind) {
    this.kind = kind;
  }

  async upsert(id, payload, seconds) {
    kept.set(`${this.kind}:${id}`, { payload, until: Date.now() + (seconds ?? Infinity) * 1000 });
  }

  async find(id) {
    const found = kept.get(`${this.kind}:${id}`);
    return found && found.until > Date.now() ? found.payload : undefined;
  }

  async findByUid(uid) {
    return all(this.kind).find((payload) => payload.uid === uid);
  }

  async consume(id) {
    (await this.find(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    kept.delete(`${this.kind}:${id}`);
  }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of kept) if (payload.grantId === grantId) kept.delete(key);
  }
}

function all(kind) {
  const own = [...kept].filter(([key]) => key.startsWith(`${kind}:`));
  return own.map(([, { payload }]) => payload);
}

function signingKey() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "platform-1" };
}

// fetch() with names found by `addresses` and our authority trusted; as little of it as is used.
function call(url, { method, headers, body, signal }) {
  const target = new URL(url);
  const port = target.port || (target.protocol === "https:" ? "443" : "80");
  const [address, at] = (addresses.get(`${target.hostname}:${port}`) ?? "").split(":");
  const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(String(body));
  const options = {
    method,
    signal,
    host: address || target.hostname,
    port: at ?? port,
    path: target.pathname + target.search,
    servername: target.hostname,
    ca: authority,
    agent: false,
    headers: { ...Object.fromEntries(headers), host: target.host, "content-length": bytes.length },
  };
  return new Promise((resolve, reject) => {
    const { request } = target.protocol === "https:" ? https : http;
    const sent = request(options, async (response) => {
      const pieces = await response.toArray().catch(reject);
      const { statusCode: status } = response;
      const empty = status === 204 || status === 304;
      resolve(new Response(empty ? null : Buffer.concat(pieces), { status }));
    });
    sent.on("error", reject).end(bytes);
  });
}

// Everything that was asked for is granted: a new grant where there is none or it has less.
async function grantAll(ctx) {
  const { client, session, params, provider } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  const { accountId } = session;
  const grant =
    (known && (await provider.Grant.find(known))) ||
    new provider.Grant({ clientId: client.clientId, accountId });
  grant.addOIDCScope(params.scope);
  await grant.save();
  return grant;
}

const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.codePointAt(0)};`);

function page(title, body) {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title>
<h1>${escaped(title)}</h1>${body}</html>`;
}

function logoutSource(ctx, form) {
  const button = `<button form="op.logoutForm" name="logout" value="yes" id="yes">Yes</button>`;
  ctx.body = page("Sign out of the platform?", form + button);
}

function claims(sub) {
  const email = `${sub}@example.com`;
  const workspaces = users[sub] ?? [];
  return { sub, name: sub, preferred_username: sub, email, email_verified: true, workspaces };
}

const configuration = {
  adapter: Memory,
  jwks: { keys: [signingKey()] },
  cookies: { keys: [randomBytes(32).toString("hex")] },
  claims: {
    openid: ["sub"],
    profile: ["name", "preferred_username", "workspaces"],
    email: ["email", "email_verified"],
  },
  // The id token has them, not only what userinfo answers.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true, initialAccessToken: settings.PLATFORM_REGISTRATION_TOKEN },
    registrationManagement: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource,
      postLogoutSuccessSource: (ctx) => (ctx.body = page("Signed out of the platform", "")),
    },
    revocation: { enabled: true },
  },
  findAccount: (_ctx, accountId) => ({ accountId, claims: () => claims(accountId) }),
  loadExistingGrant: grantAll,
  interactions: { url: (_ctx, interaction) => `${mount}/interaction/${interaction.uid}` },
  renderError: (ctx, out) => {
    ctx.type = "html";
    ctx.body = page("The platform refuses", `<pre>${escaped(JSON.stringify(out))}</pre>`);
  },
  fetch: call,
};

// The sign-in page asks for a name; whatever else the provider wants to ask is agreed to.
async function interaction(request, response) {
  const { prompt } = await provider.interactionDetails(request, response);
  if (prompt.name !== "login") {
    return provider.interactionFinished(request, response, { consent: {} });
  }
  if (request.method === "POST") {
    const text = Buffer.concat(await request.toArray()).toString();
    const accountId = new URLSearchParams(text).get("login");
    return provider.interactionFinished(request, response, { login: { accountId } });
  }
  const form = `<form method="post"><label>Name <input name="login" autofocus required></label>
<button id="sign-in">Sign in</button></form>`;
  html(response, 200, page("Sign in to the platform", form));
}

function html(response, status, text) {
  response.writeHead(status, { "content-type": "text/html; charset=utf-8" }).end(text);
}

// `/embed?url=…` is a page of the platform that shows another in a frame.
async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, provider.issuer);
  if (pathname === "/embed") {
    const frame = `<iframe src="${escaped(searchParams.get("url"))}"></iframe>`;
    html(response, 200, page("The platform", frame));
  } else if (pathname.startsWith(`${mount}/interaction/`)) {
    await interaction(request, response);
  } else if (pathname.startsWith(`${mount}/`)) {
    request.originalUrl = request.url;
    request.url = request.url.slice(mount.length);
    await provider.callback()(request, response);
  } else {
    html(response, 404, page("The platform has no such page", ""));
  }
}

const certificate = secure && {
  cert: readFileSync(settings.PLATFORM_CERT),
  key: readFileSync(settings.PLATFORM_KEY),
};

function listener(request, response) {
  answer(request, response).catch((error) => {
    console.error(error);
    html(response, 500, page("The platform failed", `<pre>${escaped(error.message)}</pre>`));
  });
}

const server = secure ? https.createServer(certificate, listener) : http.createServer(listener);

const listen = (port) =>
  new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });

function down() {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  return closed;
}

// Ends every session of a user and tells the clients that take part, as their logout would. Answers
// what each client said: [{"client_id":"…","error":null}].
async function logOut({ user }) {
  const told = [];
  for (const found of all("Session").filter(({ accountId }) => accountId === user)) {
    const session = await provider.Session.findByUid(found.uid);
    for (const clientId of Object.keys(session.authorizations ?? {})) {
      const client = await provider.Client.find(clientId);
      const grantId = session.grantIdFor(clientId);
      const revoked = [provider.AccessToken, provider.RefreshToken, provider.AuthorizationCode];
      for (const kind of revoked) await kind.revokeByGrantId(grantId);
      if (!client?.backchannelLogoutUri) continue;
      const said = client.backchannelLogout(user, session.sidFor(clientId));
      const error = await said.then(() => null, (e) => `${e.message} ${e.cause?.message ?? ""}`);
      told.push({ client_id: clientId, error });
    }
    await session.destroy();
  }
  return told;
}

await listen(0);
const { port } = server.address();
const scheme = secure ? "https" : "http";
const origin = `${scheme}://${settings.PLATFORM_HOST ?? "127.0.0.1"}:${port}`;
const provider = new Provider(origin + mount, configuration);
provider.on("server_error", (_ctx, error) => console.error(error));

const commands = {
  clients: () => all("Client"),
  sessions: () => all("Session").filter(({ accountId }) => accountId !== undefined),
  log_out: logOut,
  reach: ({ host, address }) => void addresses.set(host, address),
  workspaces: ({ user, names }) => void (users[user] = names),
  down,
  up: () => listen(port),
};
serve({ port, origin, issuer: origin + mount }, commands, async () => {});
